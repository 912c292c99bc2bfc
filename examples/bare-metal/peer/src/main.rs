//! The other end of the cable: pings the bare-metal example, has datagrams sent back, and checks every byte.
//!
//! ```text
//! bare-metal-peer check PATH SECONDS   until the first answer at most so long; then everything, then `quit`
//! bare-metal-peer keep PATH SECONDS    pings until the answers end, the cable is pulled, or the time is over
//! bare-metal-peer image FILE           writes the synthetic storm firmware, for machines without the vendor's
//! bare-metal-peer tell SOCKET COMMAND  a command for the control socket of the served adapter
//! ```
//!
//! PATH is that of `fastlinq model serve --wire cable:PATH`. Exit code 0: all answers came and were right.

mod cable;
mod host;

use std::io::{BufRead, BufReader, Error, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cable::Cable;
use host::Host;

/// How long an answer may take once the other end has answered before.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a ping waits while nobody may be there yet.
const IMPATIENCE: Duration = Duration::from_millis(50);
/// Payloads up to the largest that goes into one frame.
const PINGS: [usize; 8] = [0, 1, 17, 56, 511, 1000, 1471, 1472];
const DATAGRAMS: [usize; 8] = [1, 2, 18, 64, 500, 1024, 1471, 1472];
const STREAM: usize = 400;
/// So many pings without an answer, one after the other, are the end.
const MISSES: u32 = 3;

fn main() -> ExitCode {
    let started = Instant::now();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["check", path, seconds] => limit(seconds).and_then(|limit| check(path, started, limit)),
        ["keep", path, seconds] => limit(seconds).and_then(|limit| keep(path, started, limit)),
        ["tell", socket, command] => {
            tell(socket, command).map_err(|error| format!("{socket}: {error}"))
        }
        ["image", file] => std::fs::write(file, fastlinq_model::firmware_image::synthetic_image())
            .map_err(|error| format!("{file}: {error}")),
        _ => Err(
            "usage: check PATH SECONDS, keep PATH SECONDS, tell SOCKET COMMAND, or image FILE"
                .into(),
        ),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Gives the served adapter a command.
fn tell(socket: &str, command: &str) -> Result<(), Error> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{command}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    match answer.trim() {
        "ok" => Ok(()),
        other => Err(Error::other(other.to_owned())),
    }
}

fn limit(seconds: &str) -> Result<Duration, String> {
    let seconds: u64 = seconds
        .parse()
        .map_err(|_| format!("{seconds} is no number"))?;
    Ok(Duration::from_secs(seconds))
}

/// Plugs in, and pings until the other end answers.
fn meet(path: &str, started: Instant, limit: Duration) -> Result<Host, String> {
    let cable = loop {
        match Cable::connect(Path::new(path)) {
            Ok(Some(cable)) => break cable,
            Ok(None) if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => return Err(format!("no adapter at {path}")),
            Err(errno) => return Err(format!("{path}: {errno}")),
        }
    };
    let mut host = Host::new(cable);
    for number in 0.. {
        if host.ping(number, 56, IMPATIENCE)?.is_some() {
            println!(
                "measure: first ping answered after {} ms",
                started.elapsed().as_millis()
            );
            return Ok(host);
        }
        if started.elapsed() >= limit || host.cable.pulled {
            break;
        }
        // A fresh stack asks for the address at once; one that was not answered waits a second.
        host = Host::new(host.cable);
    }
    Err("no ping was answered".into())
}

fn check(path: &str, started: Instant, limit: Duration) -> Result<(), String> {
    let mut host = meet(path, started, limit)?;
    let mut times = Vec::new();
    for (number, length) in (1000..).zip(PINGS.into_iter().cycle().take(40)) {
        let time = host.ping(number, length, PATIENCE)?;
        times.push(time.ok_or(format!("ping {number} of {length} bytes was not answered"))?);
    }
    times.sort();
    println!(
        "measure: {} pings of 0 to 1472 bytes answered, half of them within {} us",
        times.len(),
        times[times.len() / 2].as_micros()
    );
    host.echo(&DATAGRAMS, 1, PATIENCE)?;
    let lengths: Vec<usize> = (0..STREAM).map(|number| 1 + number * 97 % 1472).collect();
    let begun = Instant::now();
    host.echo(&lengths, 4, PATIENCE)?;
    println!(
        "measure: {} datagrams came back, 4 under way at a time, in {} ms",
        lengths.len(),
        begun.elapsed().as_millis()
    );
    host.quit()
}

fn keep(path: &str, started: Instant, limit: Duration) -> Result<(), String> {
    let mut host = meet(path, started, limit)?;
    let (mut answered, mut missed) = (1, 0);
    for number in 1000_u16.. {
        if host.cable.pulled || missed == MISSES || started.elapsed() >= limit {
            break;
        }
        match host.ping(number, 56, Duration::from_millis(500))? {
            Some(_) => (answered, missed) = (answered + 1, 0),
            None => missed += 1,
        }
    }
    println!("measure: {answered} pings answered until the end");
    Ok(())
}
