//! The driver crates in a program that has neither `std` nor an allocator.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use embedded_hal::delay::DelayNs;
use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, Cause, Inventory, Layer, NvmPopulated, Populated,
};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::{AllocationError, Bar, Clock, DmaAllocator, DmaRegion, Host, PciIdentity};
use fastlinq_hal::init::Scratch;
use fastlinq_hal::vport::{ReceiveMode, VportConfig};
use fastlinq_net::{AdapterQueue, QueueConfig, QueueStorage, RxPacket};
use fastlinq_pac::BusAddress;

/// Time of this host, in nanoseconds: every wait makes it pass.
static NOW_NS: AtomicU64 = AtomicU64::new(0);

/// A slot from which the card was pulled.
#[derive(Clone, Copy)]
struct EmptySlot;

#[derive(Clone, Copy)]
struct EmptyBar;

impl Bar for EmptyBar {
    fn len(&self) -> usize {
        1 << 20
    }

    fn read32(&self, _offset: usize) -> u32 {
        // Opaque, so that the compiler cannot leave out what happens on a card.
        black_box(u32::MAX)
    }

    fn write32(&self, _offset: usize, _value: u32) {}

    fn write16(&self, _offset: usize, _value: u16) {}
}

/// Memory of the program, lent for good.
struct Lent {
    first: NonNull<u8>,
    length: usize,
}

// SAFETY: the slot lends each piece of a static array once and never takes it back; no device has its address.
unsafe impl DmaRegion for Lent {
    fn pointer(&self) -> NonNull<u8> {
        self.first
    }

    fn bus_address(&self) -> BusAddress {
        BusAddress(self.first.as_ptr() as u64)
    }

    fn len(&self) -> usize {
        self.length
    }
}

impl DmaAllocator for EmptySlot {
    type Region = Lent;

    /// Has nothing to lend; the compiler does not know.
    fn allocate(&mut self, size: usize, align: usize) -> Result<Lent, AllocationError> {
        match black_box(None::<NonNull<u8>>) {
            Some(first) => Ok(Lent {
                first,
                length: size,
            }),
            None => Err(AllocationError { size, align }),
        }
    }
}

impl Clock for EmptySlot {
    fn now_us(&self) -> u64 {
        NOW_NS.load(Ordering::Relaxed) / 1000
    }
}

impl DelayNs for EmptySlot {
    fn delay_ns(&mut self, ns: u32) {
        NOW_NS.fetch_add(ns.into(), Ordering::Relaxed);
    }
}

impl Host for EmptySlot {
    type Bar = EmptyBar;

    fn registers(&self) -> EmptyBar {
        EmptyBar
    }

    fn doorbells(&self) -> EmptyBar {
        EmptyBar
    }

    fn identity(&self) -> PciIdentity {
        PciIdentity {
            vendor: 0x1077,
            device: 0x8070,
            revision: 2,
            ..PciIdentity::default()
        }
    }
}

// The C library starts the program and has `memcpy` and its kin; nothing else of it is used.
#[link(name = "c")]
unsafe extern "C" {}

/// Everything that a user of the crates does, so that all of it is linked.
fn drive(firmware: &[u8], scratch: &mut Scratch) -> Result<usize, Cause> {
    let adapter = Adapter::new(EmptySlot, AdapterConfig::default());
    let adapter = adapter.connect().map_err(|failed| failed.cause)?;
    let image = FirmwareImage::parse(firmware)?;
    match adapter.populate() {
        Ok(Populated::Images(adapter)) => forward(adapter, &image, scratch),
        Ok(Populated::Unsupported(adapter)) => forward(adapter, &image, scratch),
        Err(failed) => forward(failed.adapter.without_inventory(), &image, scratch),
    }
}

fn forward<I: Inventory>(
    adapter: Adapter<NvmPopulated<I>, EmptySlot>,
    image: &FirmwareImage<'_>,
    scratch: &mut Scratch,
) -> Result<usize, Cause> {
    let mut adapter = adapter.up(image, scratch).map_err(|failed| failed.cause)?;
    let settings = adapter.flash_link_settings();
    adapter.set_link(&settings)?;
    let vport = adapter.start_vport(VportConfig::default())?;
    let mut storage = QueueStorage::<256, 128, 128>::new();
    let config = QueueConfig {
        receive_ring: 128,
        transmit_ring: 128,
        buffers: 256,
        ..QueueConfig::default()
    };
    let mut received = 0;
    if let Ok(mut queue) = AdapterQueue::open(&mut adapter, vport, &config, &mut storage) {
        adapter.set_receive_mode(vport, ReceiveMode::PROMISCUOUS)?;
        adapter.activate_vport(vport)?;
        let mut packets = [RxPacket::EMPTY; 32];
        received = queue.receive(&mut packets).unwrap_or(0);
        let _ = queue.transmit(packets.get(..received).unwrap_or_default());
        if let Err(failed) = queue.close(&mut adapter) {
            return Err(failed.cause);
        }
    }
    adapter.poll_events(|_| {})?;
    adapter.down().map_err(|failed| failed.cause)?;
    Ok(received)
}

static mut SCRATCH: Scratch = Scratch::new();

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    // SAFETY: `main` runs once, on the only thread, and nothing else names `SCRATCH`.
    let scratch = unsafe { &mut *(&raw mut SCRATCH) };
    // What the compiler cannot see it cannot leave out.
    let firmware = black_box::<&[u8]>(&[]);
    match drive(firmware, scratch) {
        Err(cause) if cause.layer() == Layer::Pci => 0,
        Err(_) => 1,
        Ok(_) => 2,
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// The prebuilt `core` was compiled for unwinding and names this; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
