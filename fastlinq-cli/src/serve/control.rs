//! The control socket: pulls cables, injects frames, tells what the adapter counted.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use fastlinq_model::mfw::Module;
use log::debug;

use super::adapter::{Adapter, Running};

/// Longest command; a client that sends more without a line end is disconnected.
const LONGEST_COMMAND: usize = 64 << 10;
/// Frames that one command may inject.
const MOST_FRAMES: u32 = 10_000;
const INTERVAL: Duration = Duration::from_millis(50);

/// A command.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Link {
        port: u8,
        up: bool,
    },
    Inject {
        port: u8,
        count: u32,
        frame: Vec<u8>,
    },
    Unplug,
    Plug,
    Silent,
    Module {
        port: u8,
        module: Module,
    },
    Counters,
    Violations,
    Timing,
}

impl Command {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["link", port, state] => Some(Self::Link {
                port: port.parse().ok()?,
                up: match state {
                    "up" => true,
                    "down" => false,
                    _ => return None,
                },
            }),
            ["inject", port, count, frame] => Some(Self::Inject {
                port: port.parse().ok()?,
                count: count.parse().ok().filter(|count| *count <= MOST_FRAMES)?,
                frame: bytes(frame)?,
            }),
            ["unplug"] => Some(Self::Unplug),
            ["plug"] => Some(Self::Plug),
            ["silent"] => Some(Self::Silent),
            ["module", port, module] => Some(Self::Module {
                port: port.parse().ok()?,
                module: match module {
                    "sfp28" => Module::Sfp28Optical,
                    "sfp28-copper" => Module::Sfp28Copper,
                    "qsfp28" => Module::Qsfp28Optical,
                    "none" => Module::Absent,
                    _ => return None,
                },
            }),
            ["counters"] => Some(Self::Counters),
            ["violations"] => Some(Self::Violations),
            ["timing"] => Some(Self::Timing),
            _ => None,
        }
    }

    fn execute(self, running: &mut Running) -> String {
        if !running.is_unplugged() {
            running.catch_up();
        }
        match self {
            Self::Link { port, .. } | Self::Inject { port, .. } | Self::Module { port, .. }
                if port >= running.card.config().port_count() =>
            {
                return format!("error: there is no port {port}");
            }
            Self::Link { port, up } => running.card.set_link(port, up),
            Self::Inject { port, count, frame } => {
                for _ in 0..count {
                    running.card.inject(port, &frame);
                }
            }
            Self::Unplug => running.unplug(),
            Self::Plug => running.plug(),
            Self::Silent => running.card.with_mfw(|mfw, _| mfw.fall_silent()),
            Self::Module { port, module } => {
                running
                    .card
                    .with_mfw(|mfw, effects| mfw.set_module(port, module, effects));
            }
            Self::Counters => return format!("ok {:?}", running.card.counters()),
            Self::Violations => return violations(running),
            Self::Timing => {
                return format!("ok {}", running.timing.summary().unwrap_or_default());
            }
        }
        "ok".into()
    }
}

fn violations(running: &Running) -> String {
    let count = running.card.counters().violations;
    match running.card.violations().first() {
        Some(first) => format!("error: {count} broken rules, the first: {first}"),
        None => format!("ok {count} broken rules"),
    }
}

/// Bytes from an even number of hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

/// A listening control socket; one client at a time.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    pub(super) fn bind(path: &Path) -> Result<Self> {
        if UnixStream::connect(path)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path).with_context(|| format!("{}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path: path.into(),
        })
    }

    pub(super) fn serve(&self, adapter: &Adapter, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Err(error) = converse(stream, adapter, stop) {
                        debug!("control connection: {error}");
                    }
                }
                Err(_) => std::thread::sleep(INTERVAL),
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn converse(mut stream: UnixStream, adapter: &Adapter, stop: &AtomicBool) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(INTERVAL))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut pending = Vec::new();
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) && pending.len() <= LONGEST_COMMAND {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => pending.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let answer = match Command::parse(&line) {
                Some(command) => command.execute(&mut adapter.lock()),
                None => "error: commands are link PORT up|down, module PORT sfp28|sfp28-copper|qsfp28|none, inject PORT COUNT HEX, unplug, plug, silent, counters, violations, timing".into(),
            };
            stream.write_all(answer.as_bytes())?;
            stream.write_all(b"\n")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_apart_and_nonsense_is_refused() {
        assert_eq!(
            Command::parse("link 1 down\r"),
            Some(Command::Link { port: 1, up: false })
        );
        assert_eq!(
            Command::parse("inject 0 3 0aFF"),
            Some(Command::Inject {
                port: 0,
                count: 3,
                frame: vec![10, 255]
            })
        );
        assert_eq!(Command::parse("unplug"), Some(Command::Unplug));
        assert_eq!(Command::parse("silent"), Some(Command::Silent));
        assert_eq!(
            Command::parse("module 0 qsfp28"),
            Some(Command::Module {
                port: 0,
                module: Module::Qsfp28Optical
            })
        );
        for wrong in [
            "",
            "module 0 floppy",
            "unplug 0",
            "link",
            "link 1",
            "link 300 up",
            "inject 0 3 abc",
            "inject 0 99999999 00",
            "inject 0 1 é0",
        ] {
            assert_eq!(Command::parse(wrong), None, "{wrong}");
        }
    }
}
