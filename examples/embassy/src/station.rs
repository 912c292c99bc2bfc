//! An adapter with a queue pair under a stack.

use anyhow::Result;
use embassy_futures::select::{Either3, select3};
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_time::Timer;
use example_support::{AdapterArgs, Running, bring_up};
use fastlinq_hal::adapter::{AdapterConfig, Event, InterruptMode};
use fastlinq_host::{AdapterName, AnyHost, OpenOptions};
use fastlinq_linux::Vector;
use fastlinq_model_host::model::firmware_image::synthetic_image;
use fastlinq_model_host::{ModelHost, join};
use fastlinq_net::stack::embassy_net_v0_2::{EmbassyDriver, Signals, Wakeups};
use fastlinq_net::stack::{Phy, RxChecksums, TxChecksums};
use fastlinq_net::{AdapterQueue, QueueConfig};

use crate::ending::Ending;

/// Vector 0 is the adapter's own, vector 1 the queue pair's.
const VECTORS: u16 = 2;

type Driver = EmbassyDriver<'static, AdapterQueue<'static, AnyHost>>;

pub(crate) struct Station {
    pub(crate) host: AnyHost,
    pub(crate) signals: &'static Signals,
    running: Running<AnyHost>,
    vector: u16,
    driver: Driver,
}

/// Opens the adapter; on the software adapter also a second one, joined to it by a cable.
pub(crate) fn open(args: &AdapterArgs) -> Result<(Station, Option<Station>)> {
    let host = OpenOptions::default()
        .vectors(VECTORS)
        .open(&args.adapter)?;
    let mut client = None;
    if args.adapter == AdapterName::Model {
        let other = ModelHost::builder()
            .interrupt_vectors(VECTORS)
            .mac_base([2, 0x0e, 0x1e, 0xff, 0, 1])
            .seed(7)
            .build();
        if let Some(model) = host.model() {
            join(model, 0, &other, 0);
        }
        client = Some(Station::new(AnyHost::Model(other), &synthetic_image())?);
    }
    Ok((Station::new(host, &args.firmware()?)?, client))
}

impl Station {
    fn new(host: AnyHost, firmware: &[u8]) -> Result<Self> {
        let config = AdapterConfig {
            interrupts: InterruptMode::MsiX,
            ..AdapterConfig::default()
        };
        let mut running = bring_up(host.clone(), config, firmware)?;
        let config = QueueConfig::default();
        let queue = running.queue(&config)?;
        let vector = queue.device().vector();
        running.go(&host)?;
        let signals: &'static Signals = Box::leak(Box::new(Signals::new()));
        signals.set_link(true);
        let phy = Phy::new(queue, &config)
            .with_checksums(RxChecksums::Device)
            .with_sent_checksums(TxChecksums::Device);
        let driver = EmbassyDriver::new(phy, running.mac, signals, Wakeups::Interrupt);
        Ok(Self {
            host,
            signals,
            running,
            vector,
            driver,
        })
    }

    /// Puts a stack on the queue pair and works with it until the work is done or the program's end is wanted; then takes the
    /// adapter down.
    pub(crate) async fn run(
        self,
        address: Ipv4Address,
        ending: &Ending,
        work: impl AsyncFnOnce(Stack<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self {
            signals,
            mut running,
            mut driver,
            ..
        } = self;
        let config = Config::ipv4_static(StaticConfigV4 {
            address: Ipv4Cidr::new(address, 24),
            gateway: None,
            dns_servers: Default::default(),
        });
        let mut resources = StackResources::<4>::new();
        let seed = running.mac[5].into();
        // The stack borrows the driver, so that it comes back for the way down.
        let (stack, mut runner) = embassy_net::new(&mut driver, config, &mut resources, seed);
        let watch = async {
            while !ending.is_wanted() {
                running.adapter.poll_events(|event| {
                    if let Event::Link(link) = event {
                        signals.set_link(link.up);
                    }
                })?;
                Timer::after_millis(20).await;
            }
            Ok(())
        };
        let ended = match select3(runner.run(), watch, work(stack)).await {
            Either3::First(never) => never,
            Either3::Second(ended) | Either3::Third(ended) => ended,
        };
        drop(runner);
        running.down(vec![driver.into_phy().into_ring()])?;
        ended
    }

    /// The queue pair's interrupt, where the operating system delivers it.
    pub(crate) fn vectors(&self) -> Vec<Vector> {
        let own = |vector: &&Vector| vector.number() == self.vector;
        self.host.vectors().iter().filter(own).cloned().collect()
    }

    /// This end of the cable, for software adapters.
    pub(crate) fn wire(&self) -> WireEnd {
        WireEnd {
            host: self.host.clone(),
            signals: self.signals,
            vector: self.vector,
        }
    }
}

/// A software adapter's end of the cable, and its interrupt.
pub(crate) struct WireEnd {
    host: AnyHost,
    signals: &'static Signals,
    vector: u16,
}

impl WireEnd {
    /// Lets time pass; an interrupt wakes the stack, as its handler would.
    pub(crate) fn pass(&mut self) {
        if let Some(model) = self.host.model() {
            model.poll();
            model.advance(20_000);
            if model.take_interrupts(self.vector) > 0 {
                self.signals.wake();
            }
        }
    }
}
