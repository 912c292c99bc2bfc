//! Streams to and from the responder's services.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use crate::{Outcome, PATIENCE, patterns};

const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const SOURCE: u16 = 19;
const CHUNK: usize = 64 << 10;

fn connect(address: IpAddr, port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn rate(bytes: u64, started: Instant) -> String {
    let seconds = started.elapsed().as_secs_f64();
    format!(
        "{bytes} bytes in {seconds:.2} s: {:.1} Mbit/s",
        bytes as f64 * 8e-6 / seconds
    )
}

fn write_stream(stream: &mut TcpStream, bytes: u64) -> std::io::Result<()> {
    let mut position = 0;
    let mut buffer = vec![0; CHUNK];
    while position < bytes {
        let chunk = &mut buffer[..CHUNK.min((bytes - position) as usize)];
        patterns::fill(0, position, chunk);
        stream.write_all(chunk)?;
        position += chunk.len() as u64;
    }
    Ok(())
}

/// Sends a stream that is taken and thrown away, until the responder has closed its side too.
pub(crate) fn send(address: IpAddr, bytes: u64) -> Outcome {
    let mut stream = connect(address, DISCARD)?;
    let started = Instant::now();
    write_stream(&mut stream, bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.is_empty() {
        return Err("the sink answered".into());
    }
    Ok(rate(bytes, started))
}

/// Takes a counting stream.
pub(crate) fn receive(address: IpAddr, bytes: u64) -> Outcome {
    let mut stream = connect(address, SOURCE)?;
    let started = Instant::now();
    let mut position = 0;
    let mut buffer = vec![0; CHUNK];
    while position < bytes {
        let received = stream.read(&mut buffer)?;
        if received == 0 {
            return Err(format!("the stream ended after {position} bytes").into());
        }
        for byte in &buffer[..received] {
            if *byte != patterns::counting(position) {
                return Err(format!("byte {position} is {byte:#04x}").into());
            }
            position += 1;
        }
    }
    Ok(rate(position, started))
}

/// Sends a stream and takes it back at the same time.
pub(crate) fn echo(address: IpAddr, bytes: u64) -> Outcome {
    let mut stream = connect(address, ECHO)?;
    let mut writer = stream.try_clone()?;
    let started = Instant::now();
    let sender = std::thread::spawn(move || {
        write_stream(&mut writer, bytes)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut position = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        let received = stream.read(&mut buffer)?;
        if received == 0 {
            break;
        }
        if let Some(at) = patterns::mismatch(0, position, &buffer[..received]) {
            return Err(format!("byte {} differs", position + at as u64).into());
        }
        position += received as u64;
    }
    sender.join().map_err(|_| "the sender panicked")??;
    if position != bytes {
        return Err(format!("{position} of {bytes} bytes came back").into());
    }
    Ok(rate(bytes, started))
}
