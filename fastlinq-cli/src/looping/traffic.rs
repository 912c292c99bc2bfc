//! The frames' way through the queue pair and back.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use embedded_hal::delay::DelayNs;
use fastlinq_hal::access::Windows;
use fastlinq_hal::adapter::{Adapter, Cause, Inventory, Up};
use fastlinq_hal::host::{Clock, Host};
use fastlinq_hal::vport::{ReceiveMode, VportConfig};
use fastlinq_host::AnyHost;
use fastlinq_model::wire::capture::{CaptureError, CaptureReader, CaptureWriter};
use fastlinq_net::{
    AdapterQueue, MAX_MTU, OpenError, QueueConfig, QueueStorage, RxPacket, SendError,
};

use super::Report;
use super::ledger::{Difference, Fate, Ledger};
use crate::progress::Progress;

const RING: usize = 512;
const BUFFERS: usize = 2048;
/// Microseconds of the adapter's time that a frame may take to come back.
const PATIENCE_US: u64 = 300_000;
/// Looks, a millisecond apart, that a frame gets in any case: this process may have slept through its time.
const MIN_LOOKS: u32 = 20;
const LINK_PATIENCE_MS: u32 = 3_000;

/// Why the frames did not go through.
pub(super) enum Trouble {
    /// The adapter failed.
    Adapter(Cause),
    /// The queue pair or the link failed.
    Queue(String),
    /// The machine did something to the adapter.
    Machine(&'static str),
    /// The file for what came back cannot be written.
    Output(anyhow::Error),
}

impl From<Cause> for Trouble {
    fn from(cause: Cause) -> Self {
        Self::Adapter(cause)
    }
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Adapter { cause, .. } => Self::Adapter(cause),
            other => Self::Queue(other.to_string()),
        }
    }
}

type Result<T> = std::result::Result<T, Trouble>;
type Reader = CaptureReader<BufReader<File>>;

/// What passes the frames.
pub(super) struct Traffic {
    pub(super) host: AnyHost,
    pub(super) burst: usize,
    pub(super) output: Option<CaptureWriter<BufWriter<File>>>,
    pub(super) progress: Progress,
    pub(super) report: Report,
}

impl Traffic {
    /// Opens a vport and a queue pair, passes all frames, and closes both.
    pub(super) fn run<I: Inventory>(
        &mut self,
        adapter: &mut Adapter<Up<I>, AnyHost>,
        reader: Reader,
    ) -> Result<()> {
        self.wait_for_link(adapter)?;
        let vport = adapter.start_vport(VportConfig::default())?;
        let config = QueueConfig {
            receive_ring: RING as u16,
            transmit_ring: RING as u16,
            buffers: BUFFERS as u32,
            mtu: MAX_MTU,
            ..QueueConfig::default()
        };
        let mut storage = Box::new(QueueStorage::<BUFFERS, RING, RING>::new());
        let mut queue = AdapterQueue::open(adapter, vport, &config, &mut *storage)?;
        adapter.set_receive_mode(vport, ReceiveMode::PROMISCUOUS)?;
        adapter.activate_vport(vport)?;

        let started = Instant::now();
        let passed = self.pass(&mut queue, reader);
        self.report.seconds = started.elapsed().as_secs_f64();

        let closed = queue.close(adapter).map_err(|failed| failed.cause);
        passed?;
        closed?;
        adapter.stop_vport(vport)?;
        Ok(())
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
        Err(Trouble::Queue(format!("the link did not come up: {link}")))
    }

    fn pass(&mut self, queue: &mut AdapterQueue<'_, AnyHost>, mut reader: Reader) -> Result<()> {
        let mut ledger = Ledger::default();
        loop {
            while ledger.waiting() < self.burst {
                match reader.next() {
                    None => break,
                    Some(Ok(frame)) => {
                        if frame.original_bytes as usize > frame.data.len() {
                            self.report.cut += 1;
                        }
                        self.send(queue, frame.data, &mut ledger)?;
                    }
                    Some(Err(error @ CaptureError::FrameLength { bytes, .. })) => {
                        self.count(bytes);
                        self.report.refused += 1;
                        self.problem(|| error.to_string());
                    }
                    // There are no more frames behind such an error; those before it count.
                    Some(Err(error)) => self.report.capture_problem = Some(error.to_string()),
                }
            }
            if ledger.waiting() == 0 {
                return Ok(());
            }
            if self.host.release_wanted() {
                return Err(Trouble::Machine("the kernel wants the adapter back"));
            }
            if self.host.bus_error() {
                return Err(Trouble::Machine(
                    "an error on the bus was reported for the adapter (AER); it should be reset",
                ));
            }
            self.receive(queue, &mut ledger)?;
        }
    }

    fn send(
        &mut self,
        queue: &mut AdapterQueue<'_, AnyHost>,
        frame: Vec<u8>,
        ledger: &mut Ledger,
    ) -> Result<()> {
        let number = self.count(frame.len());
        loop {
            match queue.send(&frame) {
                Ok(()) => {
                    ledger.sent(number, frame);
                    return Ok(());
                }
                Err(SendError::Full) if ledger.waiting() > 0 => self.receive(queue, ledger)?,
                Err(SendError::Full) => {
                    let text = format!("frame {number} does not fit into an empty ring");
                    return Err(Trouble::Queue(text));
                }
                Err(SendError::Refused(rule)) => {
                    self.report.refused += 1;
                    self.problem(|| format!("frame {number} ({} bytes): {rule}", frame.len()));
                    return Ok(());
                }
                Err(SendError::Fault(fault)) => {
                    let text = format!("the queue failed at frame {number}: {fault}");
                    return Err(Trouble::Queue(text));
                }
            }
        }
    }

    /// Takes what has come back; when nothing comes within the patience, all that is waited for counts as lost.
    fn receive(
        &mut self,
        queue: &mut AdapterQueue<'_, AnyHost>,
        ledger: &mut Ledger,
    ) -> Result<()> {
        let mut packets = [RxPacket::EMPTY; 64];
        let deadline = self.host.now_us() + PATIENCE_US;
        let mut looks = 0;
        while looks < MIN_LOOKS || self.host.now_us() < deadline {
            looks += 1;
            let count = queue
                .receive(&mut packets)
                .map_err(|fault| Trouble::Queue(format!("the queue failed: {fault}")))?;
            if count == 0 {
                self.host.delay_ms(1);
                continue;
            }
            for packet in packets.iter().take(count) {
                let mut frame = vec![0; packet.len()];
                queue.copy_to(packet, &mut frame);
                queue.release(packet);
                self.write(&frame)?;
                let fate = ledger.came(&frame);
                self.count_fate(&fate);
            }
            return Ok(());
        }
        // A queue pair lives in memory, and does not notice by itself that the adapter is gone.
        Windows::new(self.host.registers())
            .check()
            .map_err(Cause::from)?;
        for fate in ledger.give_up() {
            self.count_fate(&fate);
        }
        Ok(())
    }

    fn write(&mut self, received: &[u8]) -> Result<()> {
        let written = self
            .output
            .as_mut()
            .map(|output| output.write(Duration::ZERO, received));
        written
            .transpose()
            .map(drop)
            .map_err(|error| Trouble::Output(anyhow!("{error}")))
    }

    fn count_fate(&mut self, fate: &Fate) {
        let report = &mut self.report;
        let (counter, problem) = match fate {
            Fate::Unchanged => {
                report.unchanged += 1;
                return;
            }
            Fate::Late(number) => (
                &mut report.late,
                format!("frame {number} came back after one that was sent later"),
            ),
            Fate::Doubled => (&mut report.doubled, "a frame came back twice".into()),
            Fate::Changed(number, Difference::From(place)) => (
                &mut report.changed,
                format!("frame {number} differs from byte {place} on"),
            ),
            Fate::Changed(number, Difference::Length(sent, came)) => (
                &mut report.changed,
                format!("frame {number} had {sent} bytes, {came} came back"),
            ),
            Fate::Stranger(bytes) => (
                &mut report.changed,
                format!("a frame of {bytes} bytes came that nobody sent"),
            ),
            Fate::Lost(number) => (
                &mut report.lost,
                format!("frame {number} did not come back"),
            ),
        };
        *counter += 1;
        self.problem(|| problem);
    }

    /// Counts a frame of the capture, and gives its number, the first being 1.
    fn count(&mut self, bytes: usize) -> u64 {
        self.report.frames += 1;
        self.report.bytes += bytes as u64;
        self.progress.advance(bytes as u64 + 16);
        self.report.frames
    }

    fn problem(&mut self, describe: impl FnOnce() -> String) {
        if self.report.first_problem.is_none() {
            self.report.first_problem = Some(describe());
        }
    }
}
