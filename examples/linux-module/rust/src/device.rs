//! The adapter, from the first look to down again.

use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, AnyAdapter, Cause, Event, InterruptMode, Inventory, Misuse,
    NvmPopulated, Populated, State, Up,
};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::mfw::link::LinkState;
use fastlinq_hal::queue::{Coalescing, QueuePairId};
use fastlinq_hal::slowpath::{PacketPathStatistics, VportStatistics};
use fastlinq_hal::vport::{HashedHeaders, ReceiveMode, RssConfig, VportConfig, VportId};
use fastlinq_net::{OpenError, PrepareError};
use fastlinq_pac::versions::FirmwareVersion;
use heapless::Vec;

use crate::kernel::{KernelBox, KernelHost};
use crate::queue::{OpenFailure, Queue};

/// Most queue pairs.
pub const MAX_QUEUES: usize = 64;

/// What an adapter says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Address of the function.
    pub address: Option<[u8; 6]>,
    /// Version of the management firmware.
    pub management_firmware: u32,
    /// Images in the flash.
    pub images: Images,
}

/// What the management firmware said of the images in the flash.
#[derive(Clone, Copy, Debug)]
pub enum Images {
    /// So many.
    Known(usize),
    /// It does not know the question.
    Unsupported,
    /// Anything else, which is in the log.
    Refused,
}

/// What is wanted of an adapter that goes up.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The storm-firmware file.
    pub firmware: &'a [u8],
    /// Largest payload in bytes.
    pub mtu: u16,
    /// Most queue pairs.
    pub queues: u16,
    /// Address of the interface.
    pub address: [u8; 6],
    /// Toeplitz key.
    pub rss_key: [u8; 40],
    /// Receive descriptors of a queue pair.
    pub receive_ring: u16,
    /// Transmit descriptors of a queue pair.
    pub transmit_ring: u16,
    /// How long the device may wait before it interrupts.
    pub coalescing: Coalescing,
}

/// Which frames the interface wants.
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    /// Its address.
    pub address: [u8; 6],
    /// Further unicast addresses.
    pub unicast: &'a [[u8; 6]],
    /// Multicast addresses.
    pub multicast: &'a [[u8; 6]],
    /// All unicast.
    pub promiscuous: bool,
    /// All multicast.
    pub all_multicast: bool,
}

/// What happened since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub struct News {
    /// The link as it is now.
    pub link: Option<LinkState>,
    /// Events of the hardware or of the storm firmware, which are in the log.
    pub troubles: u32,
}

/// The adapter, in memory of the device's: each step takes it out, and puts what it became in its place.
type Slot = Option<AnyAdapter<KernelHost>>;

/// Does something with the adapter, whatever its inventory.
macro_rules! on_up {
    ($adapter:expr, $up:ident => $body:expr) => {
        match $adapter {
            Some(AnyAdapter::UpWithImages($up)) => $body,
            Some(AnyAdapter::UpWithoutBist($up)) => $body,
            Some(AnyAdapter::UpSkipped($up)) => $body,
            _ => Err(Misuse::NotUp.into()),
        }
    };
}

/// One PCI function.
pub struct Device {
    host: KernelHost,
    /// Up, or nothing; other states only while a call brings it up.
    adapter: Slot,
    vport: Option<VportId>,
    /// Not to be looked at while the adapter is up: they are in use by the data path then.
    queues: Vec<KernelBox<Queue>, MAX_QUEUES>,
    /// Their numbers, for control calls.
    pairs: Vec<QueuePairId, MAX_QUEUES>,
}

impl Device {
    /// A function that nothing is known of.
    pub fn new(host: KernelHost) -> Self {
        Self {
            host,
            adapter: None,
            vport: None,
            queues: Vec::new(),
            pairs: Vec::new(),
        }
    }

    /// Looks who the adapter is; nothing of it is in use afterwards.
    ///
    /// # Errors
    ///
    /// [`Cause`]; an inventory that is refused is none.
    pub fn identify(&mut self) -> Result<Identity, Cause> {
        if self.adapter.is_some() {
            return Err(Misuse::NoFreeVport.into());
        }
        let adapter = &mut self.adapter;
        let result = connect(adapter, self.host.clone(), AdapterConfig::default())
            .and_then(|()| populate(adapter))
            .and_then(|()| describe(adapter));
        // Nothing is in use in any of these states.
        self.adapter = None;
        result
    }

    /// Brings the adapter up with as many queue pairs as there may be; gives the version of the storm firmware.
    ///
    /// # Errors
    ///
    /// [`Cause`]; the adapter is down then.
    pub fn up(
        &mut self,
        wanted: &Wanted<'_>,
        scratch: &mut Scratch,
    ) -> Result<FirmwareVersion, Cause> {
        if self.adapter.is_some() {
            return Err(Misuse::NoFreeVport.into());
        }
        let config = AdapterConfig {
            queue_pairs: wanted.queues,
            mtu: Some(wanted.mtu),
            mac_address: Some(wanted.address),
            ..AdapterConfig::default()
        };
        let image = FirmwareImage::parse(wanted.firmware)?;
        let adapter = &mut self.adapter;
        let started = connect(adapter, self.host.clone(), config)
            .and_then(|()| populate(adapter))
            .and_then(|()| load(adapter, &image, scratch))
            .and_then(|()| on_up!(adapter, up => start(up, &mut self.queues, wanted)));
        match started {
            Ok((vport, version)) => {
                self.vport = Some(vport);
                self.pairs = self.queues.iter().map(|queue| queue.id()).collect();
                Ok(version)
            }
            Err(cause) => {
                // What fails on the way down is in the log; the caller wants the first cause.
                let _ = self.down();
                Err(cause)
            }
        }
    }

    /// Takes the adapter down. It is down afterwards, whatever happens.
    ///
    /// # Errors
    ///
    /// The first failure; memory that the device may still use stays allocated.
    pub fn down(&mut self) -> Result<(), Cause> {
        self.vport = None;
        self.pairs.clear();
        let queues = core::mem::take(&mut self.queues);
        let closed = match queues.is_empty() {
            true => Ok(()),
            false => on_up!(&mut self.adapter, up => close(up, queues)),
        };
        closed.and(reset(&mut self.adapter))
    }

    /// The queue pairs, for C.
    pub fn queues(&self) -> impl Iterator<Item = *mut Queue> {
        self.queues.iter().map(KernelBox::as_ptr)
    }

    fn vport(&self) -> Result<VportId, Cause> {
        self.vport.ok_or(Misuse::NotUp.into())
    }

    /// Looks for events; call it when vector 0 fires, and now and then.
    ///
    /// # Errors
    ///
    /// [`Cause`].
    pub fn events(&mut self) -> Result<News, Cause> {
        let mut news = News::default();
        on_up!(&mut self.adapter, up => up.poll_events(|event| match event {
            Event::Link(link) => news.link = Some(link),
            Event::Management(event) => log::info!("management firmware: {event:?}"),
            event => {
                log::warn!("{event:?}");
                news.troubles += 1;
            }
        }))?;
        Ok(news)
    }

    /// The link as it is now.
    ///
    /// # Errors
    ///
    /// [`Cause`].
    pub fn link(&mut self) -> Result<LinkState, Cause> {
        on_up!(&mut self.adapter, up => up.link())
    }

    /// Sets which frames are received.
    ///
    /// # Errors
    ///
    /// [`Cause`].
    pub fn filter(&mut self, filters: &Filters<'_>) -> Result<(), Cause> {
        let vport = self.vport()?;
        on_up!(&mut self.adapter, up => filter(up, vport, filters))
    }

    /// Counters of the device.
    ///
    /// # Errors
    ///
    /// [`Cause`], also when the device is gone.
    pub fn statistics(&mut self) -> Result<(VportStatistics, PacketPathStatistics), Cause> {
        let vport = self.vport()?;
        on_up!(&mut self.adapter, up => {
            let of_vport = up.vport_statistics(vport)?;
            Ok((of_vport, up.packet_path_statistics()?))
        })
    }
}

impl Device {
    /// How long the device may wait before it interrupts, as the first queue pair has it.
    ///
    /// # Errors
    ///
    /// [`Cause`].
    pub fn coalescing(&mut self) -> Result<Coalescing, Cause> {
        let first = *self.pairs.first().ok_or(Misuse::NotUp)?;
        on_up!(&mut self.adapter, up => up.coalescing(first))
    }

    /// Sets it for all queue pairs.
    ///
    /// # Errors
    ///
    /// [`Cause`].
    pub fn set_coalescing(&mut self, coalescing: Coalescing) -> Result<(), Cause> {
        for pair in &self.pairs {
            on_up!(&mut self.adapter, up => up.set_coalescing(*pair, coalescing))?;
        }
        Ok(())
    }
}

// An adapter is 14 KB large and moves by value. Each of these is a function of its own, so that its copies are gone from the
// stack when the next begins.

#[inline(never)]
fn connect(slot: &mut Slot, host: KernelHost, config: AdapterConfig) -> Result<(), Cause> {
    let config = AdapterConfig {
        interrupts: InterruptMode::MsiX,
        ..config
    };
    let connected = Adapter::new(host, config).connect();
    store(slot, connected.map_err(|failed| failed.cause)?);
    Ok(())
}

/// No answer to the question for the images can stop a bring-up.
#[inline(never)]
fn populate(slot: &mut Slot) -> Result<(), Cause> {
    let Some(AnyAdapter::McpReady(adapter)) = slot.take() else {
        return Err(Misuse::NotUp.into());
    };
    match adapter.populate() {
        Ok(Populated::Images(adapter)) => store(slot, adapter),
        Ok(Populated::Unsupported(adapter)) => store(slot, adapter),
        Err(failed) => {
            log::warn!("without an inventory: {}", failed.cause);
            store(slot, failed.adapter.without_inventory());
        }
    }
    Ok(())
}

#[inline(never)]
fn store<S: State>(slot: &mut Slot, adapter: Adapter<S, KernelHost>)
where
    AnyAdapter<KernelHost>: From<Adapter<S, KernelHost>>,
{
    *slot = Some(adapter.into());
}

fn describe(slot: &Slot) -> Result<Identity, Cause> {
    fn of<S: State>(adapter: &Adapter<S, KernelHost>, images: Images) -> Identity {
        Identity {
            address: adapter.mac_address(),
            management_firmware: adapter.info().version.0,
            images,
        }
    }
    match slot {
        Some(AnyAdapter::Images(adapter)) => Ok(of(adapter, Images::Known(adapter.images().len()))),
        Some(AnyAdapter::BistUnsupported(adapter)) => Ok(of(adapter, Images::Unsupported)),
        Some(AnyAdapter::Skipped(adapter)) => Ok(of(adapter, Images::Refused)),
        _ => Err(Misuse::NotUp.into()),
    }
}

fn load(slot: &mut Slot, image: &FirmwareImage<'_>, scratch: &mut Scratch) -> Result<(), Cause> {
    #[inline(never)]
    fn one<I: Inventory>(
        adapter: Adapter<NvmPopulated<I>, KernelHost>,
        image: &FirmwareImage<'_>,
        scratch: &mut Scratch,
        slot: &mut Slot,
    ) -> Result<(), Cause>
    where
        AnyAdapter<KernelHost>: From<Adapter<Up<I>, KernelHost>>,
    {
        store(
            slot,
            adapter.up(image, scratch).map_err(|failed| failed.cause)?,
        );
        Ok(())
    }
    match slot.take() {
        Some(AnyAdapter::Images(adapter)) => one(adapter, image, scratch, slot),
        Some(AnyAdapter::BistUnsupported(adapter)) => one(adapter, image, scratch, slot),
        Some(AnyAdapter::Skipped(adapter)) => one(adapter, image, scratch, slot),
        _ => Err(Misuse::NotUp.into()),
    }
}

#[inline(never)]
fn reset(slot: &mut Slot) -> Result<(), Cause> {
    match slot.take().map(AnyAdapter::into_reset) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(failed)) => {
            log::warn!("{failed}");
            Err(failed.cause)
        }
    }
}

fn start<I: Inventory>(
    up: &mut Adapter<Up<I>, KernelHost>,
    queues: &mut Vec<KernelBox<Queue>, MAX_QUEUES>,
    wanted: &Wanted<'_>,
) -> Result<(VportId, FirmwareVersion), Cause> {
    let vport = up.start_vport(VportConfig {
        mtu: Some(wanted.mtu),
        ..VportConfig::default()
    })?;
    for _ in 0..up.queue_pairs().min(wanted.queues) {
        let queue = Queue::open(up, vport, wanted)
            .and_then(|queue| KernelBox::new(queue).map_err(OpenFailure::Memory));
        match queue {
            Ok(queue) => {
                // As many as wanted, which is at most as many as there are places.
                let _ = queues.push(queue);
            }
            Err(failure) if queues.is_empty() => return Err(cause(failure)),
            Err(failure) => {
                log::warn!("{} queue pairs only: {}", queues.len(), cause(failure));
                break;
            }
        }
    }
    let ids: Vec<QueuePairId, MAX_QUEUES> = queues.iter().map(|queue| queue.id()).collect();
    if ids.len() > 1 {
        let rss = RssConfig {
            queues: &ids,
            hashed: HashedHeaders::all(),
            key: &wanted.rss_key,
        };
        if let Err(cause) = up.set_rss(vport, &rss) {
            log::warn!("all frames go to one queue: {cause}");
        }
    }
    up.set_mac_filter(vport, wanted.address)?;
    up.set_receive_mode(vport, ReceiveMode::NORMAL)?;
    up.activate_vport(vport)?;
    let settings = up.flash_link_settings();
    up.set_link(&settings)?;
    Ok((vport, up.storm_firmware()))
}

fn cause(failure: OpenFailure) -> Cause {
    match failure {
        OpenFailure::Memory(error) => error.into(),
        OpenFailure::Open(OpenError::Adapter {
            cause,
            leaked_bytes,
        }) => {
            if leaked_bytes > 0 {
                log::warn!("{leaked_bytes} bytes of DMA memory stay with the device");
            }
            cause
        }
        OpenFailure::Open(OpenError::Prepare(PrepareError::Memory(error))) => error.into(),
        OpenFailure::Open(OpenError::Prepare(PrepareError::Region { size })) => {
            Cause::ShortMemory {
                bytes: 0,
                needed: size,
            }
        }
        OpenFailure::Open(OpenError::Prepare(PrepareError::Config(error))) => {
            log::error!("a queue pair that cannot be: {error}");
            Misuse::EmptyRing.into()
        }
    }
}

fn close<I: Inventory>(
    up: &mut Adapter<Up<I>, KernelHost>,
    queues: Vec<KernelBox<Queue>, MAX_QUEUES>,
) -> Result<(), Cause> {
    let mut first = Ok(());
    for queue in queues {
        if let Err((cause, bytes)) = queue.into_inner().close(up) {
            log::warn!("{bytes} bytes of DMA memory stay with the device: {cause}");
            if first.is_ok() {
                first = Err(cause);
            }
        }
    }
    first
}

fn filter<I: Inventory>(
    up: &mut Adapter<Up<I>, KernelHost>,
    vport: VportId,
    filters: &Filters<'_>,
) -> Result<(), Cause> {
    up.set_mac_filter(vport, filters.address)?;
    let mut promiscuous = filters.promiscuous;
    for address in filters.unicast {
        if let Err(cause) = up.add_mac_filter(vport, *address) {
            if cause.is_device_gone() {
                return Err(cause);
            }
            // The filters are used up: take everything instead.
            promiscuous = true;
            break;
        }
    }
    up.set_multicast(vport, filters.multicast)?;
    let mode = if promiscuous {
        ReceiveMode::PROMISCUOUS
    } else if filters.all_multicast {
        ReceiveMode::ALL_MULTICAST
    } else {
        ReceiveMode::NORMAL
    };
    up.set_receive_mode(vport, mode)
}
