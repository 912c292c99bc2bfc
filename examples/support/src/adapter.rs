//! An adapter from its name to Up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastlinq_hal::adapter::{Adapter, AdapterConfig, InventorySkipped, Up};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::Host;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::vport::{ReceiveMode, VportConfig, VportId};
use fastlinq_host::{AdapterName, AnyHost};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::firmware_image::synthetic_image;
use fastlinq_net::{AdapterQueue, QueueConfig, Storage};

const INSTALLED: &str = "/lib/firmware/qed/qed_init_values_zipped-8.59.1.0.bin";
/// Milliseconds that a link may take to come up.
const LINK_MS: u32 = 10_000;

/// An adapter that is up, on host `H`.
pub type UpAdapter<H> = Adapter<Up<InventorySkipped>, H>;

/// Which adapter, and with which storm firmware.
#[derive(Clone, Debug, clap::Args)]
pub struct AdapterArgs {
    /// The adapter: model, vfio:0000:3b:00.0, or vfio-user:PATH.
    #[arg(long, default_value = "model")]
    pub adapter: AdapterName,
    /// A second adapter at the other end of the cable, from which a visitor sends. The software adapter in this process
    /// has one of its own.
    #[arg(long)]
    pub visitor: Option<AdapterName>,
    /// File with the storm firmware. Without it: the installed one, or for software adapters a synthetic one.
    #[arg(long)]
    pub firmware: Option<PathBuf>,
}

impl AdapterArgs {
    /// Opens the adapter.
    ///
    /// # Errors
    ///
    /// When it cannot be used.
    pub fn open(&self) -> Result<AnyHost> {
        self.adapter.can_be_driven()?;
        let host = self.adapter.open();
        host.with_context(|| format!("adapter {} cannot be used", self.adapter))
    }

    /// The storm firmware's file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn firmware(&self) -> Result<Vec<u8>> {
        let installed = Path::new(INSTALLED);
        match &self.firmware {
            Some(path) => std::fs::read(path).with_context(|| path.display().to_string()),
            None if installed.is_file() => std::fs::read(installed).context(INSTALLED),
            None => Ok(synthetic_image()),
        }
    }
}

/// Opens an adapter for a program's second port. The software adapter in this process has a loopback there: every frame that it
/// sends comes back.
///
/// # Errors
///
/// When it cannot be used.
pub fn open_far_port(name: &AdapterName) -> Result<AnyHost> {
    if *name == AdapterName::Model {
        let far = ModelHost::builder().mac_base([2, 0x0e, 0x1e, 0xee, 0, 1]);
        return Ok(AnyHost::Model(far.seed(11).loopback().build()));
    }
    let host = name.open();
    host.with_context(|| format!("adapter {name} cannot be used"))
}

/// An adapter that is up, with its link, and a vport that receives every frame.
pub struct Running<H: Host> {
    /// The adapter.
    pub adapter: UpAdapter<H>,
    /// The vport.
    pub vport: VportId,
    /// The port's address.
    pub mac: [u8; 6],
}

/// Brings an adapter up, starts a vport and asks for the link.
///
/// # Errors
///
/// What stopped it, with the layer at fault.
pub fn bring_up<H: Host>(host: H, config: AdapterConfig, firmware: &[u8]) -> Result<Running<H>> {
    let image = FirmwareImage::parse(firmware)?;
    let mut scratch = Box::new(Scratch::new());
    let adapter = Adapter::new(host, config)
        .connect()
        .map_err(|failed| failed.cause)?;
    // These programs have no use for the table of flash images.
    let adapter = adapter.without_inventory();
    let mut adapter = adapter
        .up(&image, &mut scratch)
        .map_err(|failed| failed.cause)?;
    let vport = adapter.start_vport(VportConfig::default())?;
    adapter.set_receive_mode(vport, ReceiveMode::PROMISCUOUS)?;
    let settings = adapter.flash_link_settings();
    adapter.set_link(&settings)?;
    let mac = adapter
        .mac_address()
        .context("the adapter has no MAC address")?;
    Ok(Running {
        adapter,
        vport,
        mac,
    })
}

impl<H: Host + Clone> Running<H> {
    /// Opens the next queue pair.
    ///
    /// # Errors
    ///
    /// What stopped it.
    pub fn queue(&mut self, config: &QueueConfig) -> Result<AdapterQueue<'static, H>> {
        Ok(AdapterQueue::open(
            &mut self.adapter,
            self.vport,
            config,
            storage(config),
        )?)
    }

    /// Lets frames in, and waits for the link.
    ///
    /// # Errors
    ///
    /// When the link stays down.
    pub fn go(&mut self, host: &H) -> Result<()> {
        self.adapter.activate_vport(self.vport)?;
        self.wait_for_link(host)
    }

    /// Waits for the link.
    ///
    /// # Errors
    ///
    /// When it stays down.
    pub fn wait_for_link(&mut self, host: &H) -> Result<()> {
        let mut host = host.clone();
        for _ in 0..LINK_MS / 10 {
            if self.adapter.link()?.up {
                return Ok(());
            }
            host.delay_ms(10);
        }
        ensure!(self.adapter.link()?.up, "the link stays down");
        Ok(())
    }

    /// Closes queue pairs and takes the adapter down.
    ///
    /// # Errors
    ///
    /// When the adapter does not let go; its memory then stays allocated.
    pub fn down(mut self, queues: Vec<AdapterQueue<'static, H>>) -> Result<()> {
        for queue in queues {
            let closed = queue.close(&mut self.adapter);
            closed.map_err(|failed| failed.leak().0)?;
        }
        self.adapter.stop_vport(self.vport)?;
        self.adapter.down().map_err(|failed| failed.cause)?;
        Ok(())
    }
}

/// Bookkeeping memory for a queue pair that lives as long as the program.
pub fn storage(config: &QueueConfig) -> Storage<'static> {
    let buffers = config.buffers as usize;
    let links: Vec<_> = (0..buffers).map(|_| Default::default()).collect();
    Storage::from_slices(
        vec![0; buffers].leak(),
        vec![0; buffers].leak(),
        links.leak(),
        vec![0; usize::from(config.receive_ring).next_power_of_two()].leak(),
        vec![0; usize::from(config.transmit_ring).next_power_of_two()].leak(),
    )
}

/// What a loop does when there was nothing to do: on the software adapter time passes, elsewhere the core rests.
pub fn idle(host: &AnyHost) {
    match host.model() {
        Some(model) => pass(model),
        None => std::thread::sleep(Duration::from_micros(20)),
    }
}

/// Lets a software adapter look at its wire, and a little time pass.
fn pass(model: &ModelHost) {
    model.poll();
    model.advance(50_000);
}

/// Becomes true when the user presses Ctrl-C.
///
/// # Errors
///
/// When the signal cannot be caught.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&flag))?;
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&flag))?;
    Ok(flag)
}
