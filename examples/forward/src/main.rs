//! Sends what several queues receive back to where it came from, one core each, with live rates.
//!
//! Nothing is copied: the record of a received frame is handed to the transmit ring of the same queue pair. The queues share
//! nothing; receive-side scaling spreads the flows over them.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::Parser;
use example_support::{AdapterArgs, AnyHost, Visitor, bring_up, idle, stop_flag};
use fastlinq_hal::adapter::AdapterConfig;
use fastlinq_hal::vport::{HashedHeaders, RssConfig};
use fastlinq_net::{AdapterQueue, QueueConfig, RxPacket};

/// Microsoft's example key, with which anybody can check the hashes.
const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];
const BURST: usize = 32;
/// Flows of the visitor.
const FLOWS: u16 = 64;

/// Sends what several queues receive back, with swapped MAC addresses.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Queue pairs, each with a thread of its own.
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

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let stop = stop_flag()?;
    let host = args.adapter.open()?;
    let mut visitor = Visitor::join(&args.adapter, &host)?;
    let config = AdapterConfig {
        queue_pairs: args.queues,
        ..AdapterConfig::default()
    };
    let mut running = bring_up(host.clone(), config, &args.adapter.firmware()?)?;
    let mut queues = (0..args.queues)
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
    if let Some(visitor) = &mut visitor {
        visitor.ready()?;
    }
    let mac = running.mac;

    let tallies: Vec<Tally> = queues.iter().map(|_| Tally::default()).collect();
    let visited = thread::scope(|scope| {
        let stop = &*stop;
        let workers: Vec<_> = queues
            .iter_mut()
            .zip(&tallies)
            .map(|(queue, tally)| (scope.spawn(|| work(queue, tally, &host, stop)), tally))
            .collect();
        let visitor = visitor.map(|visitor| scope.spawn(move || visit(visitor, mac, stop)));
        rates(
            &workers.iter().map(|(_, tally)| *tally).collect::<Vec<_>>(),
            args.seconds,
            stop,
        );
        stop.store(true, Ordering::Relaxed);
        for (worker, _) in workers {
            worker.join().map_err(|_| anyhow!("a worker panicked"))??;
        }
        let visited =
            visitor.map(|visitor| visitor.join().map_err(|_| anyhow!("the visitor panicked")));
        visited.transpose()?.transpose()
    })?;

    for (number, queue) in queues.iter_mut().enumerate() {
        let usage = queue.usage();
        println!(
            "queue {number}: {} frames in, {} out, {} buffers missing",
            queue.counters().receive.packets,
            queue.counters().transmit.packets,
            usage.missing()
        );
    }
    running.down(queues)?;
    if let Some((sent, back)) = visited {
        println!("the visitor sent {sent} frames and got {back} back");
    }
    if let Some(rule) = host.violations().first() {
        println!("broken rule: {rule}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The loop of a core.
fn work(
    queue: &mut AdapterQueue<'static, AnyHost>,
    tally: &Tally,
    host: &AnyHost,
    stop: &AtomicBool,
) -> Result<()> {
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

/// Prints the rates once a second.
fn rates(tallies: &[&Tally], seconds: Option<u64>, stop: &AtomicBool) {
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
