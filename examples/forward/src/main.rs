//! Sends what several queues receive back to where it came from, or out of a second adapter and the other way round, one core for
//! each queue, with live rates.
//!
//! With one adapter nothing is copied: the record of a received frame is handed to the transmit ring of the same queue pair.
//! Between two adapters frames are, since each reaches its own memory only. The queues share nothing; receive-side scaling
//! spreads the flows over them.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::Parser;
use example_support::{
    AdapterArgs, AdapterName, AnyHost, Running, Visitor, bring_up, idle, open_far_port, stop_flag,
};
use fastlinq_hal::adapter::AdapterConfig;
use fastlinq_hal::vport::{HashedHeaders, RssConfig};
use fastlinq_net::{AdapterQueue, QueueConfig, RxPacket, SendError};

/// Microsoft's example key, with which anybody can check the hashes.
const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];
const BURST: usize = 32;
/// Flows of the visitor.
const FLOWS: u16 = 64;

/// Sends what several queues receive back, with swapped MAC addresses; or with --to, as it is, out of another adapter.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// A second adapter, another port for instance: what one receives the other sends.
    #[arg(long, value_name = "ADAPTER")]
    to: Option<AdapterName>,
    /// Queue pairs of an adapter, each with a thread of its own.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    queues: u16,
    /// Ends after so many seconds; Ctrl-C ends it, too.
    #[arg(long)]
    seconds: Option<u64>,
}

/// What a worker has done; read by the main thread now and then.
#[derive(Default)]
#[repr(align(128))]
struct Tally {
    forwarded: AtomicU64,
    dropped: AtomicU64,
}

type Queue = AdapterQueue<'static, AnyHost>;

/// An adapter that is up, with its queues.
struct Port {
    host: AnyHost,
    running: Running<AnyHost>,
    queues: Vec<Queue>,
}

impl Port {
    fn open(host: AnyHost, queues: u16, firmware: &[u8]) -> Result<Self> {
        let config = AdapterConfig {
            queue_pairs: queues,
            ..AdapterConfig::default()
        };
        let mut running = bring_up(host.clone(), config, firmware)?;
        let queues = (0..queues)
            .map(|_| running.queue(&QueueConfig::default()))
            .collect::<Result<Vec<_>>>()?;
        let ids: Vec<_> = queues.iter().map(AdapterQueue::id).collect();
        let rss = RssConfig {
            queues: &ids,
            hashed: HashedHeaders::IPV4 | HashedHeaders::IPV4_UDP | HashedHeaders::IPV4_TCP,
            key: &KEY,
        };
        running.adapter.set_rss(running.vport, &rss)?;
        running.go(&host)?;
        Ok(Self {
            host,
            running,
            queues,
        })
    }

    /// Tells what the queues have done, and takes the adapter down.
    fn close(mut self, name: &str) -> Result<AnyHost> {
        for (number, queue) in self.queues.iter_mut().enumerate() {
            let usage = queue.usage();
            println!(
                "{name}queue {number}: {} frames in, {} out, {} buffers missing",
                queue.counters().receive.packets,
                queue.counters().transmit.packets,
                usage.missing()
            );
        }
        self.running.down(self.queues)?;
        Ok(self.host)
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let stop = stop_flag()?;
    let host = args.adapter.open()?;
    let firmware = args.adapter.firmware()?;
    let mut visitor = Visitor::join(&args.adapter, &host)?;
    let mut port = Port::open(host, args.queues, &firmware)?;
    let mut other = match &args.to {
        Some(name) => Some(Port::open(open_far_port(name)?, args.queues, &firmware)?),
        None => None,
    };
    let mut to = port.running.mac;
    if let Some(visitor) = &mut visitor {
        visitor.ready()?;
        // What passes two ports comes back to the visitor with the addresses that it had.
        if other.is_some() {
            to = visitor.mac();
        }
    }

    let tallies: Vec<Tally> = port.queues.iter().map(|_| Tally::default()).collect();
    let visited = thread::scope(|scope| {
        let stop = &*stop;
        let host = &port.host;
        let far_host = other.as_ref().map(|other| other.host.clone());
        let mut others = other.as_mut().map(|other| other.queues.iter_mut());
        let mut workers = Vec::new();
        for (queue, tally) in port.queues.iter_mut().zip(&tallies) {
            let other = others
                .as_mut()
                .and_then(Iterator::next)
                .zip(far_host.clone());
            workers.push(scope.spawn(move || match other {
                Some((other, far_host)) => exchange(queue, other, tally, [host, &far_host], stop),
                None => reflect(queue, tally, host, stop),
            }));
        }
        let visitor = visitor.map(|visitor| scope.spawn(move || visit(visitor, to, stop)));
        rates(&tallies, args.seconds, stop);
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().map_err(|_| anyhow!("a worker panicked"))??;
        }
        let visited =
            visitor.map(|visitor| visitor.join().map_err(|_| anyhow!("the visitor panicked")));
        visited.transpose()?.transpose()
    })?;

    let mut hosts = vec![port.close("")?];
    if let Some(other) = other {
        hosts.push(other.close("other port, ")?);
    }
    if let Some((sent, back)) = visited {
        println!("the visitor sent {sent} frames and got {back} back");
    }
    if let Some(rule) = hosts.iter().flat_map(AnyHost::violations).next() {
        println!("broken rule: {rule}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The loop of a core: sends what comes back.
fn reflect(queue: &mut Queue, tally: &Tally, host: &AnyHost, stop: &AtomicBool) -> Result<()> {
    let mut burst = [RxPacket::EMPTY; BURST];
    while !stop.load(Ordering::Relaxed) {
        let taken = queue.receive(&mut burst)?;
        if taken == 0 {
            idle(host);
            continue;
        }
        for packet in &burst[..taken] {
            if let Some(frame) = queue.bytes_mut(packet) {
                let (to, rest) = frame.split_at_mut(6);
                to.swap_with_slice(&mut rest[..6]);
            }
        }
        let sent = queue.transmit(&burst[..taken])?;
        // No room: the wire is slower than we are.
        for packet in &burst[sent..taken] {
            queue.release(packet);
        }
        tally.forwarded.fetch_add(sent as u64, Ordering::Relaxed);
        tally
            .dropped
            .fetch_add((taken - sent) as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// The loop of a core between two adapters.
fn exchange(
    one: &mut Queue,
    other: &mut Queue,
    tally: &Tally,
    hosts: [&AnyHost; 2],
    stop: &AtomicBool,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        if pass_on(one, other, tally)? + pass_on(other, one, tally)? == 0 {
            hosts.into_iter().for_each(idle);
        }
    }
    Ok(())
}

/// Sends what one has received out of the other; how many frames that were.
fn pass_on(from: &mut Queue, to: &mut Queue, tally: &Tally) -> Result<usize> {
    let mut burst = [RxPacket::EMPTY; BURST];
    let mut copy = Vec::new();
    let taken = from.receive(&mut burst)?;
    for packet in &burst[..taken] {
        copy.resize(packet.len(), 0);
        from.copy_to(packet, &mut copy);
        from.release(packet);
        let counter = match to.send(&copy) {
            Ok(()) => &tally.forwarded,
            // No room: the wire is slower than we are.
            Err(SendError::Full) => &tally.dropped,
            Err(error) => return Err(error.into()),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
    Ok(taken)
}

/// Prints the rates once a second.
fn rates(tallies: &[Tally], seconds: Option<u64>, stop: &AtomicBool) {
    let begin = Instant::now();
    let mut before = vec![0; tallies.len()];
    let mut last = begin;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(50));
        let over = seconds.is_some_and(|seconds| begin.elapsed().as_secs() >= seconds);
        if last.elapsed() < Duration::from_secs(1) && !over {
            continue;
        }
        let time = last.elapsed().as_secs_f64();
        last = Instant::now();
        let mut line = String::new();
        for (tally, before) in tallies.iter().zip(&mut before) {
            let now = tally.forwarded.load(Ordering::Relaxed);
            let dropped = tally.dropped.load(Ordering::Relaxed);
            line += &format!(
                "{:>12.0}/s ({dropped} dropped)",
                (now - *before) as f64 / time
            );
            *before = now;
        }
        println!("{line}");
        if over {
            return;
        }
    }
}

/// The visitor's loop: sends flows and counts what comes back.
fn visit(mut visitor: Visitor, to: [u8; 6], stop: &AtomicBool) -> Result<(u64, u64)> {
    let (mut sent, mut back) = (0_u64, 0_u64);
    let own = visitor.mac();
    // What is on its way when the others stop gets lost.
    while !stop.load(Ordering::Relaxed) {
        if sent - back < 256 {
            sent += u64::from(visitor.send(&flow(own, to, sent as u16 % FLOWS))?);
        }
        visitor.receive(|frame| back += u64::from(frame[..6] == own))?;
    }
    visitor.leave()?;
    Ok((sent, back))
}

/// A UDP datagram of one of the flows.
fn flow(from: [u8; 6], to: [u8; 6], number: u16) -> Vec<u8> {
    let mut frame = [&to[..], &from[..], &[8, 0]].concat();
    frame.extend_from_slice(&[
        0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
    ]);
    let sum: u32 = frame[14..34]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend_from_slice(&(1_000 + number).to_be_bytes());
    frame.extend_from_slice(&[0, 9, 0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}
