//! `fastlinq model serve` as a process.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Served {
    pub process: Child,
    directory: Option<tempfile::TempDir>,
}

impl Served {
    pub fn start(arguments: &[&str], sockets: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fastlinq"));
        command.args(["model", "serve"]).args(arguments);
        for number in 0..sockets {
            command
                .arg("--socket")
                .arg(directory.path().join(format!("{number}")));
        }
        command
            .arg("--control")
            .arg(directory.path().join("control"));
        let process = command.stderr(Stdio::piped()).spawn().expect("a process");
        let served = Self {
            process,
            directory: Some(directory),
        };
        drop(served.connect("control"));
        served
    }

    pub fn path(&self, name: &str) -> PathBuf {
        let directory = self.directory.as_ref().expect("a directory");
        directory.path().join(name)
    }

    pub fn connect(&self, name: &str) -> UnixStream {
        let begun = Instant::now();
        loop {
            match UnixStream::connect(self.path(name)) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                    return stream;
                }
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{name}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn tell(&self, command: &str) -> String {
        let mut stream = self.connect("control");
        writeln!(stream, "{command}").expect("sent");
        let mut answer = String::new();
        BufReader::new(stream)
            .read_line(&mut answer)
            .expect("an answer");
        answer.trim().to_owned()
    }

    /// SIGTERM; what the process said, and how it ended. The files stay.
    pub fn end(mut self) -> (ExitStatus, String, tempfile::TempDir) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill runs").success());
        let mut said = String::new();
        let mut errors = self.process.stderr.take().expect("a pipe");
        errors.read_to_string(&mut said).expect("text");
        let status = self.process.wait().expect("it ends");
        let directory = self.directory.take().expect("a directory");
        (status, said, directory)
    }
}

/// A test that fails leaves no process behind.
impl Drop for Served {
    fn drop(&mut self) {
        // Both do nothing when the process was waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A version message, to see that the peer is served.
pub fn negotiate(stream: &mut UnixStream) {
    let text = b"{\"capabilities\":{}}\0";
    let mut message = vec![1, 0, 1, 0];
    message.extend_from_slice(&(20 + text.len() as u32).to_le_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0, 0, 1, 0]);
    message.extend_from_slice(text);
    stream.write_all(&message).expect("sent");
    let mut head = [0; 16];
    stream.read_exact(&mut head).expect("an answer");
    assert_eq!(head[8] & 0x2f, 1, "a reply without error");
    let size = u32::from_le_bytes(head[4..8].try_into().expect("four bytes"));
    let mut body = vec![0; size as usize - head.len()];
    stream.read_exact(&mut body).expect("its body");
}
