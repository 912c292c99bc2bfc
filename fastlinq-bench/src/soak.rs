//! Hours of work in minutes: several queue pairs on threads of their own on the software adapter, whose wire loses, doubles
//! and breaks frames, whose link goes down and up, while queue pairs are resized, or closed and opened with other sizes. At the end
//! every buffer is accounted for, and the counters of rings, adapter and wire add up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow, ensure};
use fastlinq_hal::adapter::{Adapter, AdapterConfig, UpSkipped};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::queue::Coalescing;
use fastlinq_hal::vport::{HashedHeaders, ReceiveMode, RssConfig, VportConfig, VportId};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::firmware_image::synthetic_image;
use fastlinq_model_host::model::wire::{Loopback, Wire};
use fastlinq_net::{AdapterQueue, Counters, QueueConfig, RxPacket, SendError};

use crate::hostile::Random;
use crate::pass::storage;

type Queue = AdapterQueue<'static, ModelHost>;
type Up = UpSkipped<ModelHost>;

/// What the wire did.
#[derive(Debug, Default)]
struct WireTally {
    from_adapter: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
    broken: AtomicU64,
    to_adapter: AtomicU64,
}

impl WireTally {
    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// Gives frames back, most of them as they were.
struct BadWire {
    inner: Loopback,
    random: Random,
    tally: Arc<WireTally>,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Wire for BadWire {
    fn transmit(&mut self, frame: &[u8]) {
        add(&self.tally.from_adapter);
        let dice = self.random.next();
        match dice % 1000 {
            0 => return add(&self.tally.lost),
            1 => {
                add(&self.tally.doubled);
                if self.inner.send(frame).is_err() {
                    add(&self.tally.lost);
                }
            }
            2 => {
                add(&self.tally.broken);
                let mut frame = frame.to_vec();
                let bit = 8 * 42 + (dice >> 32) as usize % (8 * (frame.len() - 42));
                frame[bit / 8] ^= 1 << (bit % 8);
                if self.inner.send(&frame).is_err() {
                    add(&self.tally.lost);
                }
                return;
            }
            _ => {}
        }
        if self.inner.send(frame).is_err() {
            add(&self.tally.lost);
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let frame = self.inner.receive();
        if frame.is_some() {
            add(&self.tally.to_adapter);
        }
        frame
    }
}

/// Headers of a UDP datagram over IPv4; the hash is over the ports, too.
fn frame(random: &mut Random) -> Vec<u8> {
    let dice = random.next();
    let length = 60 + (dice % 400) as usize;
    let mut frame = vec![0_u8; length];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17]);
    frame[16..18].copy_from_slice(&(length as u16 - 14).to_be_bytes());
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    let sum: u32 = frame[14..34]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame[34..38].copy_from_slice(&(dice as u32 >> 8).to_be_bytes());
    frame[38..40].copy_from_slice(&(length as u16 - 34).to_be_bytes());
    let mut state = dice | 1;
    frame[42..50].copy_from_slice(&state.to_le_bytes());
    for byte in &mut frame[50..] {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
        *byte = (state >> 56) as u8;
    }
    frame
}

/// Whether the payload is what its first bytes say.
fn is_whole(frame: &[u8]) -> bool {
    let Some(Ok(start)) = frame.get(42..50).map(<[u8; 8]>::try_from) else {
        return false;
    };
    let mut state = u64::from_le_bytes(start);
    frame[50..].iter().all(|byte| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
        *byte == (state >> 56) as u8
    })
}

fn config(random: &mut Random) -> QueueConfig {
    let ring = |dice: u64| [128, 200, 512, 1021, 2048][(dice % 5) as usize];
    QueueConfig {
        receive_ring: ring(random.next()),
        transmit_ring: ring(random.next()),
        buffers: 2100 + (random.next() % 4000) as u32,
        buffer_bytes: if random.next().is_multiple_of(2) {
            2048
        } else {
            512
        },
        coalescing: Coalescing::IMMEDIATE,
        ..QueueConfig::default()
    }
}

/// What one worker saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    received: u64,
    broken: u64,
    forwarded: u64,
}

/// Sends, receives, and forwards a third of what it receives.
fn work(host: &ModelHost, queue: &mut Queue, random: &mut Random, frames: u64) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut out = [RxPacket::EMPTY; 32];
    let mut bytes = [0; 2048];
    let mut sent = 0;
    let mut idle = 0;
    while sent < frames || idle < 3 {
        for _ in 0..random.next() % 24 {
            if sent == frames {
                break;
            }
            match queue.send(&frame(random)) {
                Ok(()) => sent += 1,
                Err(SendError::Full) => break,
                Err(error) => return Err(anyhow!("{error}")),
            }
        }
        host.poll();
        let taken = queue.receive(&mut out)?;
        idle = if taken == 0 { idle + 1 } else { 0 };
        for packet in &out[..taken] {
            seen.received += 1;
            let length = queue.copy_to(packet, &mut bytes);
            seen.broken += u64::from(!is_whole(&bytes[..length]));
            let forward = random.next().is_multiple_of(3) && sent < frames;
            if forward && queue.transmit(&[*packet])? == 1 {
                seen.forwarded += 1;
                sent += 1;
            } else {
                ensure!(queue.release(packet), "a buffer that is not the program's");
            }
        }
    }
    Ok(seen)
}

/// Waits until nothing is on its way any more.
fn settle(host: &ModelHost, queues: &mut [Queue]) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut out = [RxPacket::EMPTY; 64];
    let mut bytes = [0; 2048];
    let mut idle = 0;
    while idle < 5 {
        host.poll();
        host.advance(1_000_000);
        idle += 1;
        for queue in &mut *queues {
            queue.reap()?;
            let taken = queue.receive(&mut out)?;
            for packet in &out[..taken] {
                seen.received += 1;
                let length = queue.copy_to(packet, &mut bytes);
                seen.broken += u64::from(!is_whole(&bytes[..length]));
                ensure!(queue.release(packet));
                idle = 0;
            }
        }
    }
    Ok(seen)
}

/// Adds what a queue pair has counted to a sum, and checks its own books.
/// Checks the books of a queue pair, which was resized when the device had `unused` buffers in all.
fn audit(queue: &mut Queue, unused: u64) -> Result<Counters> {
    let usage = queue.usage();
    let counters = queue.counters();
    ensure!(usage.missing() == 0, "buffers are missing: {usage:?}");
    ensure!(
        usage.owned == 0 && usage.lent == 0,
        "somebody keeps buffers: {usage:?}"
    );
    let (receive, transmit) = (counters.receive, counters.transmit);
    ensure!(
        receive.errors() == 0 && receive.slow_path == 0,
        "{receive:?}"
    );
    // The longest frames take two of the small buffers.
    let returned = receive.packets + receive.scattered;
    ensure!(
        receive.posted == returned + unused + usage.receiving as u64,
        "{receive:?}, {usage:?}"
    );
    ensure!(
        transmit.completed == transmit.descriptors && usage.transmitting == 0,
        "{transmit:?}"
    );
    Ok(counters)
}

fn add_up(sum: &mut Counters, counters: Counters) {
    sum.receive.packets += counters.receive.packets;
    sum.receive.bytes += counters.receive.bytes;
    sum.transmit.packets += counters.transmit.packets;
}

/// What a soak did.
#[derive(Debug)]
#[expect(dead_code, reason = "shown as a whole")]
pub(crate) struct Outcome {
    sent: u64,
    received: u64,
    forwarded: u64,
    broken: u64,
    no_buffer: u64,
    link_flaps: u64,
    restarts: u64,
    resizes: u64,
    wire: Arc<WireTally>,
}

fn bring_up(host: &ModelHost, queue_pairs: u16) -> Result<Up> {
    let image = synthetic_image();
    let image = FirmwareImage::parse(&image).map_err(|error| anyhow!("{error}"))?;
    let mut scratch = Box::new(Scratch::new());
    let config = AdapterConfig {
        queue_pairs,
        ..AdapterConfig::default()
    };
    let adapter = Adapter::new(host.clone(), config);
    let adapter = adapter
        .connect()
        .map_err(|failed| anyhow!("{}", failed.cause))?;
    let adapter = adapter.without_inventory();
    let adapter = adapter.up(&image, &mut scratch);
    adapter.map_err(|failed| anyhow!("{}", failed.cause))
}

fn scale(adapter: &mut Up, vport: VportId, queues: &[Queue]) -> Result<()> {
    let ids: Vec<_> = queues.iter().map(Queue::id).collect();
    let config = RssConfig {
        queues: &ids,
        hashed: HashedHeaders::IPV4 | HashedHeaders::IPV4_UDP,
        key: &std::array::from_fn(|n| (n as u8).wrapping_mul(37) ^ 0x5a),
    };
    Ok(adapter.set_rss(vport, &config)?)
}

/// Sends `packets` frames over `workers` queue pairs.
pub(crate) fn run(packets: u64, workers: usize, seed: u64) -> Result<Outcome> {
    let host = ModelHost::builder().seed(seed).build();
    let tally = Arc::new(WireTally::default());
    let wire = BadWire {
        inner: Loopback::new(),
        random: Random(seed | 1),
        tally: Arc::clone(&tally),
    };
    host.set_wire(0, Box::new(wire));
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut adapter = bring_up(&host, workers as u16)?;
    let before = host.memory().live_bytes;
    let vport = adapter.start_vport(VportConfig::default())?;
    adapter.set_receive_mode(vport, ReceiveMode::PROMISCUOUS)?;
    let mut queues = Vec::new();
    for _ in 0..workers {
        let config = config(&mut random);
        queues.push(Queue::open(&mut adapter, vport, &config, storage(&config))?);
    }
    adapter.activate_vport(vport)?;
    scale(&mut adapter, vport, &queues)?;
    let settings = adapter.flash_link_settings();
    adapter.set_link(&settings)?;
    host.advance(10_000_000_000);

    let mut outcome = Outcome {
        sent: 0,
        received: 0,
        forwarded: 0,
        broken: 0,
        no_buffer: 0,
        link_flaps: 0,
        restarts: 0,
        resizes: 0,
        wire: Arc::clone(&tally),
    };
    let mut sum = Counters::default();
    let mut unused = vec![0; workers];
    let mut sent = 0;
    while sent < packets {
        let frames = (packets - sent).min(40_000).div_ceil(workers as u64);
        let flap = random.next().is_multiple_of(2);
        let seeds: Vec<u64> = queues.iter().map(|_| random.next()).collect();
        let seen = std::thread::scope(|scope| {
            let workers: Vec<_> = queues
                .iter_mut()
                .zip(seeds)
                .map(|(queue, seed)| {
                    let host = host.clone();
                    scope.spawn(move || work(&host, queue, &mut Random(seed | 1), frames))
                })
                .collect();
            if flap {
                for _ in 0..3 {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    host.set_link(0, false);
                    std::thread::sleep(std::time::Duration::from_micros(300));
                    host.set_link(0, true);
                    host.advance(10_000_000_000);
                }
                outcome.link_flaps += 3;
            }
            let workers = workers.into_iter();
            workers
                .map(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
                .collect::<Result<Vec<_>>>()
        })?;
        host.advance(10_000_000_000);
        for seen in seen.into_iter().chain([settle(&host, &mut queues)?]) {
            outcome.received += seen.received;
            outcome.broken += seen.broken;
            outcome.forwarded += seen.forwarded;
        }
        sent += frames * workers as u64;

        // One queue pair gets other sizes, or makes room for another, while the others stay.
        let index = (random.next() % workers as u64) as usize;
        let mut old = queues.swap_remove(index);
        let given_back = unused.swap_remove(index);
        let counters = audit(&mut old, given_back)?;
        let config = config(&mut random);
        if random.next().is_multiple_of(2) {
            let receiving = old.usage().receiving as u64;
            let resized = old.resize(&mut adapter, &config, storage(&config));
            queues.push(resized.map_err(|failed| anyhow!("{failed}"))?);
            unused.push(given_back + receiving);
            outcome.resizes += 1;
            continue;
        }
        add_up(&mut sum, counters);
        old.close(&mut adapter)
            .map_err(|failed| anyhow!("{}", failed.cause))?;
        unused.push(0);
        queues.push(Queue::open(&mut adapter, vport, &config, storage(&config))?);
        if workers == 1 {
            adapter.activate_vport(vport)?;
        }
        scale(&mut adapter, vport, &queues)?;
        outcome.restarts += 1;
    }
    for (queue, unused) in queues.iter_mut().zip(&unused) {
        add_up(&mut sum, audit(queue, *unused)?);
    }

    let statistics = adapter.vport_statistics(vport)?;
    let received = statistics.received;
    let delivered = received.unicast_frames + received.multicast_frames + received.broadcast_frames;
    let dropped = statistics.dropped_no_buffer + statistics.dropped_inactive;
    outcome.sent = sum.transmit.packets;
    outcome.no_buffer = dropped;
    let get = WireTally::get;
    ensure!(
        delivered == sum.receive.packets && outcome.received == delivered,
        "the adapter delivered {delivered}, the rings received {}, the program {}",
        sum.receive.packets,
        outcome.received
    );
    ensure!(
        get(&tally.to_adapter) >= delivered + dropped,
        "the wire gave {}, {delivered} were delivered and {dropped} dropped",
        get(&tally.to_adapter)
    );
    ensure!(
        get(&tally.from_adapter) + get(&tally.doubled) >= get(&tally.lost) + get(&tally.to_adapter),
        "{tally:?}"
    );
    ensure!(get(&tally.from_adapter) <= outcome.sent, "{tally:?}");
    ensure!(
        outcome.broken <= 2 * get(&tally.broken) + get(&tally.doubled),
        "{outcome:?}"
    );
    for queue in queues {
        queue
            .close(&mut adapter)
            .map_err(|failed| anyhow!("{}", failed.cause))?;
    }
    adapter.stop_vport(vport)?;
    ensure!(
        host.memory().live_bytes == before,
        "memory of queue pairs is left"
    );
    let adapter = adapter
        .down()
        .map_err(|failed| anyhow!("{}", failed.cause))?;
    drop(adapter);
    ensure!(host.memory().live_regions == 0, "memory is left");
    let violations = host.violations();
    ensure!(violations.is_empty(), "{}", violations[0]);
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_thousand_packets_over_four_queues_add_up() {
        let outcome = run(200_000, 4, 11).unwrap();
        assert!(
            outcome.sent >= 200_000 && outcome.received > 100_000,
            "{outcome:?}"
        );
        let changes = outcome.restarts + outcome.resizes;
        assert!(changes >= 5 && outcome.broken > 0, "{outcome:?}");
        assert!(outcome.restarts > 0 && outcome.resizes > 0, "{outcome:?}");
    }
}
