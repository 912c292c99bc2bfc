//! `fastlinq loop`: every frame of a capture through transmit, wire and receive, compared byte for byte.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use embedded_hal::delay::DelayNs;
use fastlinq_hal::adapter::{Adapter, AdapterConfig, Inventory, NvmPopulated, Populated, Up};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::vport::{ReceiveMode, VportConfig};
use fastlinq_host::AnyHost;
use fastlinq_model::wire::Loopback;
use fastlinq_model::wire::capture::{CaptureReader, CaptureWriter};
use fastlinq_net::{AdapterQueue, MAX_MTU, QueueConfig, QueueStorage, RxPacket, SendError};
use serde::Serialize;

use crate::args::LoopArgs;
use crate::progress::Progress;
use crate::{firmware_source, setup};

const RING: usize = 512;
const BUFFERS: usize = 2048;
/// Bytes on the wire below which frames are padded.
const MIN_FRAME: usize = 60;
/// Milliseconds of the adapter's time that a frame may take to come back.
const PATIENCE_MS: u32 = 100;
const LINK_PATIENCE_MS: u32 = 3_000;

#[derive(Debug, Default, Serialize)]
struct Report {
    capture: String,
    frames: u64,
    bytes: u64,
    unchanged: u64,
    changed: u64,
    lost: u64,
    /// Frames that break a rule of the chip, and the rule.
    refused: u64,
    first_problem: Option<String>,
    seconds: f64,
    violations: usize,
}

pub(crate) fn run(args: &LoopArgs) -> Result<ExitCode> {
    let name = args.capture.display().to_string();
    let file = File::open(&args.capture).with_context(|| name.clone())?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let reader =
        CaptureReader::new(BufReader::new(file)).map_err(|error| anyhow!("{name}: {error}"))?;
    let source = firmware_source::find(args.adapter.firmware.as_deref())?;
    let image = source.runnable()?;
    let (host, recording) = setup::host(&args.adapter)?;
    // Other adapters are plugged into whatever they are plugged into.
    if let Some(model) = host.model() {
        model.set_wire(0, Box::new(Loopback::default()));
    }
    let config = AdapterConfig {
        mtu: Some(MAX_MTU),
        ..AdapterConfig::default()
    };
    let mut scratch = Box::new(Scratch::new());
    let output = match &args.write {
        Some(path) => {
            let file = File::create(path).with_context(|| path.display().to_string())?;
            Some(CaptureWriter::new(BufWriter::new(file)).map_err(|error| anyhow!("{error}"))?)
        }
        None => None,
    };
    let run = Run {
        host: host.clone(),
        burst: usize::from(args.burst),
        output,
        progress: Progress::new("bytes of the capture", size),
        report: Report {
            capture: name,
            ..Report::default()
        },
    };
    let adapter = Adapter::new(host.clone(), config);
    let adapter = adapter.connect().map_err(|failed| failed.cause);
    let populated = adapter.and_then(|adapter| adapter.populate().map_err(|failed| failed.cause));
    let mut report = match populated {
        Ok(Populated::Images(adapter)) => run.on(adapter, &image, &mut scratch, reader)?,
        Ok(Populated::Unsupported(adapter)) => run.on(adapter, &image, &mut scratch, reader)?,
        Err(cause) => {
            anstream::eprintln!("fastlinq: {cause}");
            return Ok(ExitCode::FAILURE);
        }
    };
    report.violations = host.violations().len();
    recording.finish()?;
    print(&report, args.json)?;
    let good = report.unchanged == report.frames && report.violations == 0;
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "{}: {} frames, {} bytes: {} unchanged, {} changed, {} lost, {} refused",
        report.capture,
        report.frames,
        report.bytes,
        report.unchanged,
        report.changed,
        report.lost,
        report.refused
    )?;
    if let Some(problem) = &report.first_problem {
        writeln!(out, "first problem: {problem}")?;
    }
    if report.violations > 0 {
        writeln!(
            out,
            "the driver broke {} rule(s) of the adapter",
            report.violations
        )?;
    }
    writeln!(
        out,
        "{:.2} s on the software adapter of this machine; that says nothing about a card",
        report.seconds
    )?;
    Ok(())
}

struct Run {
    host: AnyHost,
    burst: usize,
    output: Option<CaptureWriter<BufWriter<File>>>,
    progress: Progress,
    report: Report,
}

impl Run {
    fn on<I: Inventory>(
        mut self,
        adapter: Adapter<NvmPopulated<I>, AnyHost>,
        image: &FirmwareImage<'_>,
        scratch: &mut Scratch,
        reader: CaptureReader<BufReader<File>>,
    ) -> Result<Report> {
        let mut adapter = adapter
            .up(image, scratch)
            .map_err(|failed| anyhow!("{}", failed.cause))?;
        self.wait_for_link(&mut adapter)?;
        let vport = adapter.start_vport(VportConfig::default())?;
        let config = QueueConfig {
            receive_ring: RING as u16,
            transmit_ring: RING as u16,
            buffers: BUFFERS as u32,
            mtu: MAX_MTU,
            ..QueueConfig::default()
        };
        let mut storage = Box::new(QueueStorage::<BUFFERS, RING, RING>::new());
        let mut queue = AdapterQueue::open(&mut adapter, vport, &config, &mut *storage)?;
        adapter.set_receive_mode(vport, ReceiveMode::PROMISCUOUS)?;
        adapter.activate_vport(vport)?;

        let started = Instant::now();
        self.pass(&mut queue, reader)?;
        self.report.seconds = started.elapsed().as_secs_f64();

        queue
            .close(&mut adapter)
            .map_err(|failed| anyhow!("{}", failed.cause))?;
        adapter.stop_vport(vport)?;
        adapter
            .down()
            .map_err(|failed| anyhow!("{}", failed.cause))?;
        Ok(self.report)
    }

    fn wait_for_link<I: Inventory>(&mut self, adapter: &mut Adapter<Up<I>, AnyHost>) -> Result<()> {
        let settings = adapter.flash_link_settings();
        let mut link = adapter.set_link(&settings)?;
        for _ in 0..LINK_PATIENCE_MS {
            if link.up {
                return Ok(());
            }
            self.host.delay_ms(1);
            link = adapter.link()?;
        }
        bail!("the link did not come up: {link}")
    }

    fn pass(
        &mut self,
        queue: &mut AdapterQueue<'_, AnyHost>,
        mut reader: CaptureReader<BufReader<File>>,
    ) -> Result<()> {
        let mut waiting = VecDeque::new();
        loop {
            while waiting.len() < self.burst {
                let Some(frame) = reader.next() else { break };
                let frame = frame.map_err(|error| anyhow!("{}: {error}", self.report.capture))?;
                self.send(queue, frame.data, &mut waiting)?;
            }
            if waiting.is_empty() {
                return Ok(());
            }
            self.receive(queue, &mut waiting)?;
        }
    }

    fn send(
        &mut self,
        queue: &mut AdapterQueue<'_, AnyHost>,
        frame: Vec<u8>,
        waiting: &mut VecDeque<(u64, Vec<u8>)>,
    ) -> Result<()> {
        self.report.frames += 1;
        self.report.bytes += frame.len() as u64;
        self.progress.advance(frame.len() as u64 + 16);
        let number = self.report.frames;
        loop {
            match queue.send(&frame) {
                Ok(()) => {
                    waiting.push_back((number, frame));
                    return Ok(());
                }
                Err(SendError::Full) if !waiting.is_empty() => self.receive(queue, waiting)?,
                Err(SendError::Full) => bail!("frame {number} does not fit into an empty ring"),
                Err(SendError::Refused(rule)) => {
                    self.report.refused += 1;
                    self.problem(|| format!("frame {number} ({} bytes): {rule}", frame.len()));
                    return Ok(());
                }
                Err(SendError::Fault(fault)) => {
                    bail!("the queue failed at frame {number}: {fault}")
                }
            }
        }
    }

    /// Takes what has come back; when nothing comes within the patience, all that is waiting counts as lost.
    fn receive(
        &mut self,
        queue: &mut AdapterQueue<'_, AnyHost>,
        waiting: &mut VecDeque<(u64, Vec<u8>)>,
    ) -> Result<()> {
        let mut packets = [RxPacket::EMPTY; 64];
        for _ in 0..=PATIENCE_MS {
            let count = queue
                .receive(&mut packets)
                .map_err(|fault| anyhow!("the queue failed: {fault}"))?;
            if count == 0 {
                self.host.delay_ms(1);
                continue;
            }
            for packet in packets.iter().take(count) {
                let mut frame = vec![0; packet.len()];
                queue.copy_to(packet, &mut frame);
                queue.release(packet);
                self.compare(waiting.pop_front(), &frame)?;
            }
            return Ok(());
        }
        if let Some((number, _)) = waiting.front() {
            let number = *number;
            self.problem(|| format!("frame {number} did not come back"));
        }
        self.report.lost += waiting.len() as u64;
        waiting.clear();
        Ok(())
    }

    fn compare(&mut self, sent: Option<(u64, Vec<u8>)>, received: &[u8]) -> Result<()> {
        if let Some(output) = &mut self.output {
            output
                .write(Duration::ZERO, received)
                .map_err(|error| anyhow!("{error}"))?;
        }
        let Some((number, sent)) = sent else {
            self.report.changed += 1;
            self.problem(|| format!("a frame of {} bytes came that nobody sent", received.len()));
            return Ok(());
        };
        let padding = received.get(sent.len()..).unwrap_or_default();
        let unchanged = received.starts_with(&sent)
            && received.len() == sent.len().max(MIN_FRAME)
            && padding.iter().all(|byte| *byte == 0);
        if unchanged {
            self.report.unchanged += 1;
        } else {
            self.report.changed += 1;
            let place = sent.iter().zip(received).position(|(a, b)| a != b);
            self.problem(|| match place {
                Some(place) => format!("frame {number} differs from byte {place} on"),
                None => format!(
                    "frame {number} had {} bytes, {} came back",
                    sent.len(),
                    received.len()
                ),
            });
        }
        Ok(())
    }

    fn problem(&mut self, describe: impl FnOnce() -> String) {
        if self.report.first_problem.is_none() {
            self.report.first_problem = Some(describe());
        }
    }
}
