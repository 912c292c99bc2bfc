//! The network driver of the crate `virtio-drivers`, against a device in memory that works outside the clock.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, anyhow, ensure};
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::{DeviceStatus, DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::clock;
use crate::pass::{BATCH, Case, FRAME_BYTES, Measured, Mode};

/// Bytes of a buffer.
const BUFFER: usize = 2048;
/// Bytes of the header in front of every frame.
const HEADER: usize = 12;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// VIRTIO_F_VERSION_1, and nothing else: no offloads, no merged buffers.
const FEATURES: u64 = 1 << 32;

/// Memory whose bus address is its pointer.
struct Memory;

fn layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).expect("some pages")
}

// SAFETY: zeroed heap memory, aligned to a page, of nobody else until it is given back; addresses are pointers.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // SAFETY: the driver asks for one page at least.
        let pointer = unsafe { alloc_zeroed(layout(pages)) };
        let pointer = NonNull::new(pointer).expect("memory");
        (pointer.as_ptr() as PhysAddr, pointer)
    }

    unsafe fn dma_dealloc(_: PhysAddr, pointer: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: the caller's promise: allocated above with as many pages.
        unsafe { dealloc(pointer.as_ptr(), layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).expect("an address")
    }

    #[inline]
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    #[inline]
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// Where a queue is.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    size: u32,
    descriptors: u64,
    available: u64,
    used: u64,
}

#[derive(Debug, Default)]
struct Shared {
    status: Cell<DeviceStatus>,
    places: [Cell<Place>; 2],
    notified: Cell<u16>,
}

/// The device's registers, as the driver sees them.
#[derive(Clone, Copy, Debug)]
struct Registers(&'static Shared);

impl Transport for Registers {
    fn device_type(&self) -> DeviceType {
        DeviceType::Network
    }

    fn read_device_features(&mut self) -> u64 {
        FEATURES
    }

    fn write_driver_features(&mut self, features: u64) {
        assert_eq!(features, FEATURES);
    }

    fn max_queue_size(&mut self, _: u16) -> u32 {
        1 << 15
    }

    #[inline]
    fn notify(&mut self, queue: u16) {
        self.0.notified.set(queue);
    }

    fn get_status(&self) -> DeviceStatus {
        self.0.status.get()
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.0.status.set(status);
    }

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.0.places[usize::from(queue)].set(Place {
            size,
            descriptors: descriptors as u64,
            available: driver_area as u64,
            used: device_area as u64,
        });
    }

    fn queue_unset(&mut self, queue: u16) {
        self.0.places[usize::from(queue)].set(Place::default());
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.0.places[usize::from(queue)].get().size != 0
    }

    fn ack_interrupt(&mut self) -> bool {
        false
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> virtio_drivers::Result<T> {
        Ok(T::new_zeroed())
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        _: usize,
        _: T,
    ) -> virtio_drivers::Result<()> {
        Ok(())
    }
}

/// The device's own side of a queue.
#[derive(Debug, Default)]
struct Served {
    /// Elements taken, which are as many as given back.
    index: u16,
}

impl Served {
    /// Gives up to `most` elements back, each with a length, and the longest and the shortest buffer among them.
    fn serve(&mut self, place: Place, most: usize, length: u32) -> (usize, u32, u32) {
        let (mut count, mut shortest, mut longest) = (0, u32::MAX, 0);
        let slots = u64::from(place.size);
        let available_index = (place.available + 2) as *const AtomicU16;
        let used_index = (place.used + 2) as *const AtomicU16;
        // SAFETY: the two rings are the driver's pages, which live as long as it does; their indices are 16-bit words at
        // offset 2.
        let (available_index, used_index) = unsafe { (&*available_index, &*used_index) };
        while count < most && self.index != available_index.load(Ordering::Acquire) {
            let slot = u64::from(self.index) % slots;
            let entry = (place.available + 4 + 2 * slot) as *const u16;
            // SAFETY: a slot of the ring of available elements.
            let head = unsafe { entry.read_volatile() };
            let bytes = (place.descriptors + 16 * (u64::from(head) % slots) + 8) as *const u32;
            // SAFETY: a slot of the table of descriptors.
            let bytes = unsafe { bytes.read_volatile() };
            (shortest, longest) = (shortest.min(bytes), longest.max(bytes));
            let element = (place.used + 4 + 8 * slot) as *mut [u32; 2];
            // SAFETY: a slot of the ring of used elements, which the driver reads only behind the index.
            unsafe { element.write_volatile([head.into(), length]) };
            self.index = self.index.wrapping_add(1);
            count += 1;
        }
        used_index.store(self.index, Ordering::Release);
        (count, shortest, longest)
    }
}

type Driver<const RING: usize> = VirtIONetRaw<Memory, Registers, RING>;

/// A driver, its device, and its buffers.
pub(crate) struct Bench<const RING: usize> {
    case: Case,
    driver: Box<Driver<RING>>,
    shared: &'static Shared,
    served: [Served; 2],
    work: Work,
}

/// What a program keeps: which buffer each token stands for, and which are free.
struct Work {
    buffers: Vec<[u8; BUFFER]>,
    tokens: [Vec<u16>; 2],
    free: Vec<u16>,
    records: Vec<(u16, u16)>,
    /// Buffers that the transmit queue has.
    sending: usize,
}

impl<const RING: usize> Bench<RING> {
    pub(crate) fn new(case: Case) -> Result<Self> {
        let shared: &'static Shared = Box::leak(Box::default());
        let driver = Driver::<RING>::new(Registers(shared)).map_err(|error| anyhow!("{error}"))?;
        let count = 2 * RING + 2 * BATCH;
        let mut bench = Self {
            case,
            driver: Box::new(driver),
            shared,
            served: Default::default(),
            work: Work {
                buffers: vec![[0; BUFFER]; count],
                tokens: [vec![0; RING], vec![0; RING]],
                free: (0..count as u16).collect(),
                records: Vec::with_capacity(BATCH),
                sending: 0,
            },
        };
        while bench.work.post(&mut bench.driver) {}
        ensure!(bench.work.free.len() == count - RING, "a full ring");
        Ok(bench)
    }

    fn device_sends(&mut self) {
        let place = self.shared.places[TRANSMIT].get();
        let (count, shortest, longest) = self.served[TRANSMIT].serve(place, usize::MAX, 0);
        let bytes = HEADER as u32 + u32::from(FRAME_BYTES);
        let right = count == 0 || (shortest, longest) == (bytes, bytes);
        assert!(right, "descriptors that are wrong");
    }
}

impl<const RING: usize> Measured for Bench<RING> {
    fn bracket(&mut self) -> u64 {
        self.device_sends();
        if self.case.mode != Mode::Tx {
            let place = self.shared.places[RECEIVE].get();
            let bytes = HEADER as u32 + u32::from(FRAME_BYTES);
            let (count, ..) = self.served[RECEIVE].serve(place, BATCH, bytes);
            assert_eq!(count, BATCH, "buffers for all frames");
        }
        let start = clock::before();
        let done = measured_pass(&mut self.driver, self.case, &mut self.work);
        let counts = clock::after() - start;
        assert_eq!(done, BATCH, "{:?} stopped", self.case);
        let records = self.work.records.drain(..);
        for (buffer, length) in records {
            assert_eq!(length, FRAME_BYTES);
            self.work.free.push(buffer);
        }
        counts
    }

    fn finish(mut self: Box<Self>) {
        self.device_sends();
        let Self { driver, work, .. } = &mut *self;
        work.reap(driver);
        let held = work.buffers.len() - work.free.len();
        assert_eq!(
            (held, work.sending),
            (RING, 0),
            "buffers of the receive ring"
        );
    }
}

impl Work {
    /// Gives the device a free buffer to receive into.
    #[inline]
    fn post<const RING: usize>(&mut self, driver: &mut Driver<RING>) -> bool {
        let Some(buffer) = self.free.pop() else {
            return false;
        };
        let bytes = &mut self.buffers[usize::from(buffer)];
        // SAFETY: a buffer that is not free is left alone until its token comes back.
        let Ok(token) = (unsafe { driver.receive_begin(bytes) }) else {
            self.free.push(buffer);
            return false;
        };
        self.tokens[RECEIVE][usize::from(token)] = buffer;
        true
    }

    /// Takes the next frame.
    #[inline]
    fn take<const RING: usize>(&mut self, driver: &mut Driver<RING>) -> Option<(u16, u16)> {
        let token = driver.poll_receive()?;
        let buffer = self.tokens[RECEIVE][usize::from(token)];
        let bytes = &mut self.buffers[usize::from(buffer)];
        // SAFETY: the buffer that the token was given for.
        let (_, length) = unsafe { driver.receive_complete(token, bytes) }.ok()?;
        Some((buffer, length as u16))
    }

    /// Sends the frame in a buffer.
    #[inline]
    fn send<const RING: usize>(&mut self, driver: &mut Driver<RING>, buffer: u16) -> bool {
        let bytes = &mut self.buffers[usize::from(buffer)][..HEADER + usize::from(FRAME_BYTES)];
        if driver.fill_buffer_header(bytes).is_err() {
            return false;
        }
        // SAFETY: the buffer is left alone until its token comes back.
        let Ok(token) = (unsafe { driver.transmit_begin(bytes) }) else {
            return false;
        };
        self.tokens[TRANSMIT][usize::from(token)] = buffer;
        self.sending += 1;
        true
    }

    /// Frees what was sent.
    #[inline]
    fn reap<const RING: usize>(&mut self, driver: &mut Driver<RING>) {
        while let Some(token) = driver.poll_transmit() {
            let buffer = self.tokens[TRANSMIT][usize::from(token)];
            let bytes = &self.buffers[usize::from(buffer)][..HEADER + usize::from(FRAME_BYTES)];
            // SAFETY: the buffer that the token was given for.
            if unsafe { driver.transmit_complete(token, bytes) }.is_err() {
                return;
            }
            self.sending -= 1;
            self.free.push(buffer);
        }
    }
}

/// What is inside the clock, and what callgrind counts.
#[inline(never)]
fn measured_pass<const RING: usize>(
    driver: &mut Driver<RING>,
    case: Case,
    work: &mut Work,
) -> usize {
    let mut done = 0;
    while done < BATCH {
        let burst = case.burst.min(BATCH - done);
        let before = done;
        match case.mode {
            Mode::Rx => {
                while done < before + burst {
                    let Some(record) = work.take(driver) else {
                        return done;
                    };
                    work.records.push(record);
                    done += 1;
                }
                for _ in 0..burst {
                    work.post(driver);
                }
            }
            Mode::Rxf => {
                while done < before + burst {
                    let Some((buffer, _)) = work.take(driver) else {
                        return done;
                    };
                    work.free.push(buffer);
                    done += 1;
                }
                for _ in 0..burst {
                    work.post(driver);
                }
            }
            Mode::Tx => {
                work.reap(driver);
                while done < before + burst {
                    let Some(buffer) = work.free.pop() else {
                        return done;
                    };
                    if !work.send(driver, buffer) {
                        work.free.push(buffer);
                        return done;
                    }
                    done += 1;
                }
            }
            Mode::Fwd => {
                while done < before + burst {
                    let Some((buffer, _)) = work.take(driver) else {
                        return done;
                    };
                    if !work.send(driver, buffer) {
                        work.free.push(buffer);
                        return done;
                    }
                    done += 1;
                }
                work.reap(driver);
                for _ in 0..burst {
                    work.post(driver);
                }
            }
        }
    }
    done
}
