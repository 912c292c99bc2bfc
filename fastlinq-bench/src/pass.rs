//! The passes that are measured: only what happens in [`measured_pass`] is inside the clock.

use std::fmt;

use fastlinq_net::{
    Checksum, Checksums, Offload, PreparedQueue, QueueConfig, QueuePair, RxPacket, Storage,
    TxPacket,
};

use crate::clock;
use crate::null::{Memory, NullDevice, Port};

/// Frames of a bracket.
pub(crate) const BATCH: usize = 256;
/// VLAN tag that frames to send ask for.
const TAG: u16 = 7;
/// Bytes of a frame.
pub(crate) const FRAME_BYTES: u16 = 64;

/// What is done with the frames of a bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Receive records and keep them.
    Rx,
    /// Send frames; freeing those before is inside.
    Tx,
    /// Receive, and send the same buffers.
    Fwd,
    /// Receive and release.
    Rxf,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
            Self::Fwd => "fwd",
            Self::Rxf => "rx+free",
        })
    }
}

/// A case: what, how, and on rings of which size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) mode: Mode,
    /// Frames a call.
    pub(crate) burst: usize,
    /// Descriptors of both rings.
    pub(crate) ring: u16,
    /// Whether hash, checksum verdict and VLAN tag of every frame are read, and every frame sent asks for checksum and tag.
    pub(crate) offloads: bool,
}

/// A driver with its device, of which passes are measured.
pub(crate) trait Measured {
    /// One bracket; gives the clock's counts, empty bracket included.
    fn bracket(&mut self) -> u64;
    /// Checks that all was done that was to be done.
    fn finish(self: Box<Self>);
}

pub(crate) type Queue = QueuePair<'static, Port>;

/// A queue pair, its device, and the records of a bracket.
pub(crate) struct Bench {
    case: Case,
    queue: Queue,
    device: NullDevice,
    records: Vec<RxPacket>,
    frames: Vec<TxPacket>,
}

impl Bench {
    pub(crate) fn new(case: Case) -> anyhow::Result<Self> {
        let config = QueueConfig {
            receive_ring: case.ring,
            transmit_ring: case.ring,
            buffers: 4 * u32::from(case.ring) + 4096,
            ..QueueConfig::default()
        };
        let prepared = PreparedQueue::new(&mut Memory { huge: true }, &config, storage(&config))?;
        let (start, bytes) = prepared.buffer_memory();
        let buffers = (start.value(), start.value() + bytes as u64);
        let (device, port) = NullDevice::new(prepared.request(), FRAME_BYTES, buffers);
        let mut device = device;
        if case.offloads && case.mode == Mode::Tx {
            // START, VLAN_INSERTION, IP_CSUM, L4_CSUM, and the tag.
            device.sent = u64::from(TAG) | 0x1d << 24;
        }
        Ok(Self {
            case,
            queue: prepared.start(port),
            device,
            records: vec![RxPacket::EMPTY; BATCH],
            frames: Vec::with_capacity(BATCH),
        })
    }
}

impl Measured for Bench {
    fn bracket(&mut self) -> u64 {
        if self.case.mode == Mode::Tx {
            self.frames.clear();
            while self.frames.len() < BATCH {
                let buffer = self.queue.take_buffer().expect("a buffer");
                let frame = TxPacket::new(buffer, 64, FRAME_BYTES);
                self.frames.push(if self.case.offloads {
                    frame.with(Offload::checksums(Checksums::IpAndTransport).with_vlan(TAG))
                } else {
                    frame
                });
            }
        }
        self.device.transmit();
        if self.case.mode != Mode::Tx {
            self.device.receive(BATCH);
        }
        let start = clock::before();
        let done = measured_pass(&mut self.queue, self.case, &mut self.records, &self.frames);
        let counts = clock::after() - start;
        assert_eq!(done, BATCH, "{:?} stopped", self.case);
        if self.case.mode == Mode::Rx {
            for packet in &self.records {
                let right =
                    packet.len() == FRAME_BYTES.into() && packet.checksum() == Checksum::Good;
                assert!(right, "{packet:?}");
                assert!(self.queue.release(packet));
            }
        }
        counts
    }

    fn finish(mut self: Box<Self>) {
        self.device.transmit();
        assert_eq!(self.device.wrong, 0, "descriptors that are wrong");
        let _ = self.queue.reap();
        assert_eq!(self.queue.usage().missing(), 0);
        self.queue
            .close_with(|_| Ok::<(), (_, ())>(()))
            .expect("nothing to refuse");
    }
}

/// Bookkeeping for a queue pair, leaked.
pub(crate) fn storage(config: &QueueConfig) -> Storage<'static> {
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

/// What is inside the clock, and what callgrind counts.
#[inline(never)]
pub(crate) fn measured_pass(
    queue: &mut Queue,
    case: Case,
    records: &mut [RxPacket],
    frames: &[TxPacket],
) -> usize {
    let mut done = 0;
    let mut seen = 0_u64;
    match case.mode {
        Mode::Rx => {
            while done < BATCH {
                let end = BATCH.min(done + case.burst);
                let burst = &mut records[done..end];
                let Ok(count @ 1..) = queue.receive(burst) else {
                    break;
                };
                if case.offloads {
                    seen += read_all(&burst[..count]);
                }
                done += count;
            }
        }
        Mode::Tx => {
            while done < BATCH {
                let end = BATCH.min(done + case.burst);
                let Ok(count @ 1..) = queue.transmit(&frames[done..end]) else {
                    break;
                };
                done += count;
            }
        }
        Mode::Fwd => {
            let records = &mut records[..case.burst];
            while done < BATCH {
                let Ok(count @ 1..) = queue.receive(records) else {
                    break;
                };
                if case.offloads {
                    seen += read_all(&records[..count]);
                }
                match queue.transmit(&records[..count]) {
                    Ok(sent) if sent == count => done += count,
                    _ => break,
                }
            }
        }
        Mode::Rxf => {
            let records = &mut records[..case.burst];
            while done < BATCH {
                let Ok(count @ 1..) = queue.receive(records) else {
                    break;
                };
                if case.offloads {
                    seen += read_all(&records[..count]);
                }
                for packet in &records[..count] {
                    queue.release(packet);
                }
                done += count;
            }
        }
    }
    if case.offloads {
        std::hint::black_box(seen);
    }
    done
}

/// Reads everything that the device said about a burst.
#[inline]
fn read_all(burst: &[RxPacket]) -> u64 {
    let mut seen = 0;
    for packet in burst {
        seen += packet.hash().map_or(0, |hash| u64::from(hash.value));
        seen += u64::from(packet.checksum() == Checksum::Good);
        seen += packet.vlan().map_or(0, u64::from);
    }
    seen
}
