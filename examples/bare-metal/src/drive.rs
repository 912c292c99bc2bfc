//! The adapter from Reset to Up, and the way back.

use fastlinq_hal::adapter::{
    Adapter, AdapterConfig, Cause, Event, InterruptMode, InventorySkipped, McpReady, NvmPopulated,
    Populated, Up,
};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::queue::Coalescing;
use fastlinq_hal::vport::{ReceiveMode, VportConfig, VportId};
use fastlinq_net::{AdapterQueue, QueueConfig, QueueStorage};

use crate::clock::Tsc;
use crate::failure::{Failure, Status};
use crate::machine::Machine;
use crate::network::{Port, Services, SocketMemory};
use crate::once::Once;
use crate::options::Options;
use crate::pci::Function;
use crate::serial::say;
use crate::serve::Serving;

/// Whether this program is the one with interrupts.
pub(crate) const INTERRUPTS: bool = cfg!(feature = "interrupts");
/// How long the link may take.
const LINK_S: u64 = 30;

const BUFFERS: usize = 256;
const RING: usize = 128;

static SCRATCH: Once<Scratch> = Once::new(Scratch::new());
static STORAGE: Once<QueueStorage<BUFFERS, RING, RING>> = Once::new(QueueStorage::new());
static SOCKETS: Once<SocketMemory> = Once::new(SocketMemory::new());

pub(crate) type UpAdapter = Adapter<Up<InventorySkipped>, Machine>;

/// Brings the adapter up, serves, and takes it down again.
pub(crate) fn drive(
    machine: Machine,
    function: &mut Function,
    firmware: &[u8],
    options: &Options,
) -> Result<Status, Failure> {
    let clock = machine.clock;
    let image = FirmwareImage::parse(firmware).map_err(|error| Failure::BringUp(error.into()))?;
    let mut adapter = bring_up(machine, &image)?;
    let vport = adapter
        .start_vport(VportConfig::default())
        .map_err(Failure::BringUp)?;
    let mac = ready_vport(&mut adapter, vport).map_err(Failure::BringUp)?;
    let config = QueueConfig {
        receive_ring: RING as u16,
        transmit_ring: RING as u16,
        buffers: BUFFERS as u32,
        coalescing: Coalescing::IMMEDIATE,
        ..QueueConfig::default()
    };
    let storage = STORAGE.take().ok_or(TAKEN)?;
    let queue = AdapterQueue::open(&mut adapter, vport, &config, storage).map_err(Failure::Open)?;
    adapter.activate_vport(vport).map_err(Failure::BringUp)?;
    wait_for_link(&mut adapter, &clock)?;
    say!(
        "ready at {} us: {} answers",
        clock.now_us(),
        options.address
    );
    let mut port = Port::new(queue, &config);
    let sockets = SOCKETS.take().ok_or(TAKEN)?;
    let mut services = Services::new(&mut port, mac, options.address, clock.now_us(), sockets);
    let serving = Serving {
        function,
        clock: &clock,
        seconds: options.seconds,
    };
    let ended = serving.run(&mut adapter, &mut port, &mut services);
    say!("{} datagrams sent back", services.echoed);
    say!("{:?}", port.counters());
    let down = match ended {
        // Nobody is there who could confirm anything: what the device had stays with it.
        Err(Failure::Gone) => {
            drop(port);
            Ok(())
        }
        _ => close(&mut adapter, port, vport),
    };
    let down = down.and(adapter.down().map(drop).map_err(|failed| failed.cause));
    match &down {
        Ok(()) => say!("the adapter is down"),
        Err(cause) => say!("the adapter did not go down: {cause}"),
    }
    let status = ended?;
    down.map_err(Failure::Lost)?;
    Ok(status)
}

const TAKEN: Failure = Failure::Platform("memory of the program is in use already");

fn bring_up(machine: Machine, image: &FirmwareImage<'_>) -> Result<UpAdapter, Failure> {
    let scratch = SCRATCH.take().ok_or(TAKEN)?;
    let config = AdapterConfig {
        interrupts: if INTERRUPTS {
            InterruptMode::MsiX
        } else {
            InterruptMode::Polling
        },
        ..AdapterConfig::default()
    };
    load(populate(connect(machine, config)?), image, scratch)
}

// Each transition moves the adapter, some 10 KiB. In functions of their own they do not add up on the stack.

#[inline(never)]
fn connect(machine: Machine, config: AdapterConfig) -> Result<Adapter<McpReady, Machine>, Failure> {
    let adapter = Adapter::new(machine, config)
        .connect()
        .map_err(|failed| Failure::BringUp(failed.cause))?;
    say!("management firmware {}", adapter.info().version);
    Ok(adapter)
}

#[inline(never)]
fn load(
    adapter: Adapter<NvmPopulated<InventorySkipped>, Machine>,
    image: &FirmwareImage<'_>,
    scratch: &mut Scratch,
) -> Result<UpAdapter, Failure> {
    let adapter = adapter
        .up(image, scratch)
        .map_err(|failed| Failure::BringUp(failed.cause))?;
    say!("storm firmware {}", adapter.storm_firmware());
    Ok(adapter)
}

/// Asks for the images in the flash. Whatever the answer, the way goes on.
#[inline(never)]
fn populate(
    adapter: Adapter<McpReady, Machine>,
) -> Adapter<NvmPopulated<InventorySkipped>, Machine> {
    match adapter.populate() {
        Ok(Populated::Images(adapter)) => {
            say!("{} images in the flash", adapter.images().len());
            adapter.forget_inventory()
        }
        Ok(Populated::Unsupported(adapter)) => {
            say!("BIST_TEST is unknown to the management firmware: no table of images");
            adapter.forget_inventory()
        }
        Err(failed) => {
            say!("no table of images: {}", failed.cause);
            failed.adapter.without_inventory()
        }
    }
}

/// Filters for the adapter's own address and broadcasts; gives the address.
fn ready_vport(adapter: &mut UpAdapter, vport: VportId) -> Result<[u8; 6], Cause> {
    // A locally administered address, where the management firmware has none.
    let mac = adapter.mac_address().unwrap_or([0x02, 0, 0, 0x10, 0x77, 1]);
    adapter.set_mac_filter(vport, mac)?;
    adapter.set_receive_mode(vport, ReceiveMode::NORMAL)?;
    let [a, b, c, d, e, f] = mac;
    say!("MAC {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    Ok(mac)
}

fn wait_for_link(adapter: &mut UpAdapter, clock: &Tsc) -> Result<(), Failure> {
    let settings = adapter.flash_link_settings();
    let mut link = adapter.set_link(&settings).map_err(Failure::BringUp)?;
    let begun = clock.now_us();
    while !link.up {
        if clock.now_us() - begun > LINK_S * 1_000_000 {
            return Err(Failure::NoLink(LINK_S));
        }
        clock.wait_ns(1_000_000);
        let polled = adapter.poll_events(|event| {
            if let Event::Link(now) = event {
                link = now;
            }
        });
        polled.map_err(Failure::BringUp)?;
    }
    say!("link up");
    Ok(())
}

/// The queue pair and the vport.
fn close(adapter: &mut UpAdapter, port: Port<'_>, vport: VportId) -> Result<(), Cause> {
    if let Err(failed) = port.into_ring().close(adapter) {
        let (cause, bytes) = failed.leak();
        say!("the queue pair did not stop: {bytes} bytes stay with the device");
        return Err(cause);
    }
    adapter.stop_vport(vport)
}
