//! What C calls. The other side of `shim/fastlinq.h`, which states each function's contract.
#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicBool, Ordering};

use fastlinq_hal::adapter::{Cause, Layer};
use fastlinq_hal::init::Scratch;
use fastlinq_hal::mfw::link::LinkState;
use fastlinq_hal::queue::Coalescing;
use fastlinq_net::SendError;

use crate::device::{Device, Filters, Images, MAX_QUEUES, Wanted};
use crate::kernel::{self, Frame, KernelHost};
use crate::queue::{BATCH, MOST_DESCRIPTORS, Queue, RECEIVE_RING, TRANSMIT_RING, Work};

/// `struct fl_host`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlHost {
    pub device: *mut c_void,
    pub registers: *mut c_void,
    pub registers_length: u64,
    pub doorbells: *mut c_void,
    pub doorbells_length: u64,
    pub vendor: u16,
    pub device_id: u16,
    pub subsystem_vendor: u16,
    pub subsystem: u16,
    pub vectors: u16,
    pub revision: u8,
    pub reserved: u8,
}

/// `struct fl_identity`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlIdentity {
    pub result: c_int,
    pub management_firmware: u32,
    pub images: i32,
    pub has_address: u8,
    pub address: [u8; 6],
    pub reserved: u8,
}

/// `struct fl_up`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlUp {
    pub firmware: *const u8,
    pub firmware_length: u64,
    pub result: c_int,
    pub storm_firmware: [u8; 4],
    pub mtu: u16,
    pub queues: u16,
    pub address: [u8; 6],
    pub rss_key: [u8; 40],
    pub receive_ring: u16,
    pub transmit_ring: u16,
    pub receive_us: u16,
    pub transmit_us: u16,
    pub reserved: [u8; 6],
    pub queue: [*mut Queue; MAX_QUEUES],
}

/// `struct fl_coalescing`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlCoalescing {
    pub result: c_int,
    pub receive_us: u16,
    pub transmit_us: u16,
}

/// `struct fl_news`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlNews {
    pub result: c_int,
    pub troubles: u32,
    pub link_known: u8,
    pub link_up: u8,
    pub full_duplex: u8,
    pub autonegotiation: u8,
    pub speed_mbps: u32,
}

/// `struct fl_filters`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlFilters {
    pub unicast: *const [u8; 6],
    pub multicast: *const [u8; 6],
    pub unicast_count: u32,
    pub multicast_count: u32,
    pub result: c_int,
    pub address: [u8; 6],
    pub promiscuous: u8,
    pub all_multicast: u8,
}

/// `struct fl_statistics`.
#[repr(C)]
#[allow(missing_docs)]
#[derive(Default)]
pub struct FlStatistics {
    pub result: c_int,
    pub reserved: u32,
    pub received_unicast: u64,
    pub received_multicast: u64,
    pub received_broadcast: u64,
    pub received_bytes: u64,
    pub sent_unicast: u64,
    pub sent_multicast: u64,
    pub sent_broadcast: u64,
    pub sent_bytes: u64,
    pub transmit_errors: u64,
    pub dropped_too_big: u64,
    pub dropped_no_buffer: u64,
    pub dropped_inactive: u64,
    pub truncated: u64,
    pub mac_errors: u64,
    pub dropped_no_vport: u64,
}

/// `struct fl_frame`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlFrame {
    pub length: u32,
    pub hash: u32,
    pub hashed: u8,
    pub hash_over_ports: u8,
    pub checksum_good: u8,
    pub reserved: u8,
}

/// `struct fl_send`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlSend {
    pub frame: *const c_void,
    pub length: u32,
    pub headers: u16,
    pub payload: u16,
    pub checksum: u8,
    pub tagged: u8,
    pub tag: u16,
    pub reserved: [u8; 4],
}

/// `struct fl_sent`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlSent {
    pub frames: u32,
    pub bytes: u32,
}

/// `struct fl_counters`.
#[repr(C)]
#[allow(missing_docs)]
pub struct FlCounters {
    pub received: u64,
    pub received_bytes: u64,
    pub received_scattered: u64,
    pub receive_errors: u64,
    pub receive_starved: u64,
    pub sent: u64,
    pub sent_bytes: u64,
    pub refused: u64,
    pub full: u64,
    pub doorbells: u64,
}

// The same numbers are asserted in fastlinq.h.
const _: () = assert!(
    size_of::<FlHost>() == 56
        && size_of::<FlIdentity>() == 20
        && size_of::<FlUp>() == 88 + 8 * MAX_QUEUES
        && size_of::<FlCoalescing>() == 8
        && size_of::<FlNews>() == 16
        && size_of::<FlFilters>() == 40
        && size_of::<FlStatistics>() == 128
        && size_of::<FlFrame>() == 12
        && size_of::<FlSend>() == 24
        && size_of::<FlSent>() == 8
        && size_of::<FlCounters>() == 80
        && BATCH == 64
        && RECEIVE_RING == 512
        && TRANSMIT_RING == 256
        && Coalescing::MAX_US == 511
        && MOST_DESCRIPTORS == 40
);

const ENOMEM: c_int = 12;
const EBUSY: c_int = 16;
const ENODEV: c_int = 19;
const EINVAL: c_int = 22;
const ENOSPC: c_int = 28;
const EIO: c_int = 5;
const EPROTO: c_int = 71;

fn number(result: Result<(), Cause>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(cause) => {
            log::error!("{cause}");
            -match cause {
                _ if cause.is_device_gone() => ENODEV,
                Cause::Memory(_) | Cause::ShortMemory { .. } | Cause::Misaligned { .. } => ENOMEM,
                Cause::Misuse(_) => EINVAL,
                _ if cause.layer() == Layer::ManagementFirmware => EPROTO,
                _ => EIO,
            }
        }
    }
}

/// Bytes of a `struct fl_device`.
#[unsafe(no_mangle)]
pub extern "C" fn fl_device_size() -> usize {
    size_of::<Device>()
}

/// Sets which lines go to the kernel's log: 1 errors, 2 warnings, 3 information, 4 debug.
#[unsafe(no_mangle)]
pub extern "C" fn fl_log_level(level: c_int) {
    kernel::start_log(level);
}

/// Makes a device in `place`; does not touch the hardware.
///
/// # Safety
///
/// As `fastlinq.h` says: `place` is for [`fl_device_size`] bytes, aligned to 16, and nobody else's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_new(place: *mut Device, host: *const FlHost) {
    // SAFETY: by the contract.
    unsafe { place.write(Device::new(KernelHost::new(&*host))) }
}

/// Takes the device down if it is up, and ends it.
///
/// # Safety
///
/// As `fastlinq.h` says: made by [`fl_device_new`], not used afterwards, control context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_drop(device: *mut Device, _: *mut c_void) {
    // SAFETY: by the contract.
    unsafe {
        if let Err(cause) = (*device).down() {
            log::error!("{cause}");
        }
        device.drop_in_place();
    }
}

/// Looks who the adapter is.
///
/// # Safety
///
/// As `fastlinq.h` says: control context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_identify(device: *mut Device, out: *mut FlIdentity) {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (device, out) = unsafe { (&mut *device, &mut *out) };
    out.result = number(device.identify().map(|identity| {
        out.management_firmware = identity.management_firmware;
        out.images = match identity.images {
            Images::Known(count) => count as i32,
            Images::Unsupported => -1,
            Images::Refused => -2,
        };
        if let Some(address) = identity.address {
            out.address = address;
            out.has_address = 1;
        }
    }));
}

/// Memory for bringing adapters up, one after another.
static mut SCRATCH: Scratch = Scratch::new();
static SCRATCH_TAKEN: AtomicBool = AtomicBool::new(false);

/// Brings the adapter up.
///
/// # Safety
///
/// As `fastlinq.h` says: control context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_up(device: *mut Device, call: *mut FlUp) {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (device, call) = unsafe { (&mut *device, &mut *call) };
    call.queue = [ptr::null_mut(); MAX_QUEUES];
    let length = usize::try_from(call.firmware_length).unwrap_or(0);
    if SCRATCH_TAKEN.swap(true, Ordering::Acquire) {
        // The shim comes with the kernel's one lock for configuration held.
        call.result = -EBUSY;
        return;
    }
    // SAFETY: whoever set the flag has the memory to himself until he clears it.
    let scratch = unsafe { &mut *ptr::addr_of_mut!(SCRATCH) };
    let wanted = Wanted {
        // SAFETY: by the contract, the file's bytes are there and do not change during the call.
        firmware: unsafe { slice::from_raw_parts(call.firmware, length) },
        mtu: call.mtu,
        queues: call.queues,
        address: call.address,
        rss_key: call.rss_key,
        receive_ring: call.receive_ring,
        transmit_ring: call.transmit_ring,
        coalescing: Coalescing {
            receive_us: call.receive_us,
            transmit_us: call.transmit_us,
        },
    };
    let result = device.up(&wanted, scratch);
    SCRATCH_TAKEN.store(false, Ordering::Release);
    call.queues = 0;
    call.result = number(result.map(|version| {
        call.storm_firmware = [
            version.major,
            version.minor,
            version.revision,
            version.engineering,
        ];
        for (place, queue) in call.queue.iter_mut().zip(device.queues()) {
            *place = queue;
            call.queues += 1;
        }
    }));
}

/// Takes the adapter down; its queues are gone.
///
/// # Safety
///
/// As `fastlinq.h` says: control context, no queue in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_down(device: *mut Device, result: *mut c_int) {
    // SAFETY: by the contract.
    unsafe { *result = number((*device).down()) }
}

fn tell_link(out: &mut FlNews, link: &LinkState) {
    out.link_known = 1;
    out.link_up = link.up.into();
    out.full_duplex = link.full_duplex.into();
    out.autonegotiation = link.autonegotiation.into();
    out.speed_mbps = link.speed.map_or(0, |speed| speed.mbps());
}

/// Looks for events.
///
/// # Safety
///
/// As `fastlinq.h` says: control context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_events(device: *mut Device, out: *mut FlNews) {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (device, out) = unsafe { (&mut *device, &mut *out) };
    out.result = number(device.events().map(|news| {
        out.troubles = news.troubles;
        if let Some(link) = news.link {
            tell_link(out, &link);
        }
    }));
}

/// Reads the link.
///
/// # Safety
///
/// As `fastlinq.h` says: control context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_link(device: *mut Device, out: *mut FlNews) {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (device, out) = unsafe { (&mut *device, &mut *out) };
    out.result = number(device.link().map(|link| tell_link(out, &link)));
}

/// Sets which frames are received.
///
/// # Safety
///
/// As `fastlinq.h` says: control context; the lists are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_filter(device: *mut Device, call: *mut FlFilters) {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (device, call) = unsafe { (&mut *device, &mut *call) };
    let list = |first: *const [u8; 6], count: u32| match count {
        0 => &[][..],
        // SAFETY: by the contract, so many addresses are there.
        _ => unsafe { slice::from_raw_parts(first, count as usize) },
    };
    call.result = number(device.filter(&Filters {
        address: call.address,
        unicast: list(call.unicast, call.unicast_count),
        multicast: list(call.multicast, call.multicast_count),
        promiscuous: call.promiscuous != 0,
        all_multicast: call.all_multicast != 0,
    }));
}

/// Reads the device's counters.
///
/// # Safety
///
/// As `fastlinq.h` says: control context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_statistics(device: *mut Device, out: *mut FlStatistics) {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (device, out) = unsafe { (&mut *device, &mut *out) };
    out.result = number(device.statistics().map(|(vport, port)| {
        let (received, sent) = (&vport.received, &vport.transmitted);
        *out = FlStatistics {
            received_unicast: received.unicast_frames,
            received_multicast: received.multicast_frames,
            received_broadcast: received.broadcast_frames,
            received_bytes: received.unicast_bytes
                + received.multicast_bytes
                + received.broadcast_bytes,
            sent_unicast: sent.unicast_frames,
            sent_multicast: sent.multicast_frames,
            sent_broadcast: sent.broadcast_frames,
            sent_bytes: sent.unicast_bytes + sent.multicast_bytes + sent.broadcast_bytes,
            transmit_errors: vport.transmit_errors,
            dropped_too_big: vport.dropped_too_big,
            dropped_no_buffer: vport.dropped_no_buffer,
            dropped_inactive: vport.dropped_inactive,
            truncated: port.truncated,
            mac_errors: port.mac_errors,
            dropped_no_vport: port.dropped_no_vport,
            ..FlStatistics::default()
        };
    }));
}

/// Reads how long the device may wait before it interrupts.
///
/// # Safety
///
/// As `fastlinq.h` says: control context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_read_coalescing(device: *mut Device, out: *mut FlCoalescing) {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (device, out) = unsafe { (&mut *device, &mut *out) };
    out.result = number(device.coalescing().map(|coalescing| {
        out.receive_us = coalescing.receive_us;
        out.transmit_us = coalescing.transmit_us;
    }));
}

/// Sets how long the device may wait before it interrupts.
///
/// # Safety
///
/// As `fastlinq.h` says: control context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_device_set_coalescing(device: *mut Device, call: *mut FlCoalescing) {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (device, call) = unsafe { (&mut *device, &mut *call) };
    call.result = number(device.set_coalescing(Coalescing {
        receive_us: call.receive_us,
        transmit_us: call.transmit_us,
    }));
}

/// Keeps the device from interrupting for the queue; gives the counter for [`fl_queue_unmask`].
///
/// # Safety
///
/// As `fastlinq.h` says: data context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_mask(queue: *mut Queue) {
    // SAFETY: by the contract.
    unsafe { (*queue).mask() }
}

/// The counter for [`fl_queue_unmask`]; read before looking for work.
///
/// # Safety
///
/// As `fastlinq.h` says: data context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_status(queue: *mut Queue) -> u32 {
    // SAFETY: by the contract.
    unsafe { (*queue).status() }
}

/// Lets the device interrupt again.
///
/// # Safety
///
/// As `fastlinq.h` says: data context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_unmask(queue: *mut Queue, status: u32) {
    // SAFETY: by the contract.
    unsafe { (*queue).unmask(status) }
}

/// Takes frames from the ring.
///
/// # Safety
///
/// As `fastlinq.h` says: data context; `frames` has room for `limit`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_receive(
    queue: *mut Queue,
    frames: *mut FlFrame,
    limit: u32,
) -> c_int {
    let limit = (limit as usize).min(BATCH);
    // SAFETY: by the contract.
    let (queue, frames) = unsafe { (&mut *queue, slice::from_raw_parts_mut(frames, limit)) };
    let count = match queue.receive(limit) {
        Ok(count) => count,
        Err(_) => return -EIO,
    };
    for (slot, out) in frames.iter_mut().enumerate().take(count) {
        let frame = queue.frame(slot);
        *out = FlFrame {
            length: frame.map_or(0, |frame| frame.length as u32),
            hash: frame
                .and_then(|frame| frame.hash)
                .map_or(0, |(hash, _)| hash),
            hashed: frame.is_some_and(|frame| frame.hash.is_some()).into(),
            hash_over_ports: frame
                .and_then(|frame| frame.hash)
                .is_some_and(|(_, ports)| ports)
                .into(),
            checksum_good: frame.is_some_and(|frame| frame.checksum_good).into(),
            reserved: 0,
        };
    }
    count as c_int
}

/// Copies a frame out and gives its buffers back to the ring; gives the bytes copied.
///
/// # Safety
///
/// As `fastlinq.h` says: data context; `target` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_take(
    queue: *mut Queue,
    slot: u32,
    target: *mut u8,
    length: u32,
) -> u32 {
    let target = match length {
        0 => &mut [][..],
        // SAFETY: by the contract.
        _ => unsafe { slice::from_raw_parts_mut(target, length as usize) },
    };
    // SAFETY: by the contract.
    unsafe { (*queue).take(slot as usize, target) as u32 }
}

/// Copies a frame in and sends it.
///
/// # Safety
///
/// As `fastlinq.h` says: data context; the frame stays as it is during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_send(queue: *mut Queue, call: *const FlSend) -> c_int {
    // SAFETY: by the contract.
    let (queue, call) = unsafe { (&mut *queue, &*call) };
    // SAFETY: by the contract.
    let frame = unsafe { Frame::new(call.frame, call.length) };
    let work = match (call.payload, call.checksum) {
        (0, 0) => Work::Nothing,
        (0, _) => Work::Checksum,
        (payload, _) => Work::Segments {
            headers: call.headers,
            payload,
        },
    };
    let tag = (call.tagged != 0).then_some(call.tag);
    match queue.send(&frame, work, tag) {
        Ok(()) => 0,
        Err(SendError::Full) => -ENOSPC,
        Err(SendError::Refused(_)) => -EINVAL,
        Err(SendError::Fault(_)) => -EIO,
    }
}

/// Frees what was sent; gives the room.
///
/// # Safety
///
/// As `fastlinq.h` says: data context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_reap(queue: *mut Queue, out: *mut FlSent) -> c_int {
    // SAFETY: by the contract, both are valid and nobody else's now.
    let (queue, out) = unsafe { (&mut *queue, &mut *out) };
    let room = queue.reap();
    let sent = queue.take_sent();
    out.frames = sent.frames;
    out.bytes = sent.bytes;
    room.map_or(-EIO, c_int::from)
}

/// The room.
///
/// # Safety
///
/// As `fastlinq.h` says: data context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_room(queue: *mut Queue) -> c_int {
    // SAFETY: by the contract.
    unsafe { (*queue).room().into() }
}

/// Reads the queue's counters.
///
/// # Safety
///
/// As `fastlinq.h` says: data context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fl_queue_counters(queue: *mut Queue, out: *mut FlCounters) {
    // SAFETY: by the contract.
    let counters = unsafe { (*queue).counters() };
    let (receive, transmit) = (&counters.receive, &counters.transmit);
    let counters = FlCounters {
        received: receive.packets,
        received_bytes: receive.bytes,
        received_scattered: receive.scattered,
        receive_errors: receive.errors(),
        receive_starved: receive.starved,
        sent: transmit.packets,
        sent_bytes: transmit.bytes,
        refused: transmit.refused,
        full: transmit.full,
        doorbells: transmit.doorbells,
    };
    // SAFETY: by the contract.
    unsafe { out.write(counters) }
}
