//! A cable to an adapter in another process: a UNIX socket that keeps the bounds of frames.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastlinq_model::Wire;
use fastlinq_model::wire::{FRAME_LIMIT, FRAME_MINIMUM};
use log::{debug, info};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, connect, listen, recv, send, socket_with,
};

/// How often an end that is alone looks for the other.
const RETRY: Duration = Duration::from_millis(200);

enum State {
    Alone,
    /// This end came first and made the socket.
    Listening(OwnedFd),
    Connected {
        stream: OwnedFd,
        /// Kept by the end that came first, for when the other comes back.
        listener: Option<OwnedFd>,
    },
}

/// One end of a cable. Whichever process comes first makes the socket; frames sent while the other is away are lost.
pub(super) struct Cable {
    path: PathBuf,
    state: State,
    tried: Option<Instant>,
}

impl Cable {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            state: State::Alone,
            tried: None,
        }
    }

    fn stream(&mut self) -> Option<&OwnedFd> {
        if !matches!(self.state, State::Connected { .. })
            && self.tried.is_none_or(|tried| tried.elapsed() >= RETRY)
        {
            self.tried = Some(Instant::now());
            match self.progress() {
                Ok(()) => {}
                Err(Errno::AGAIN) => {}
                Err(errno) => debug!("cable {}: {errno}", self.path.display()),
            }
        }
        match &self.state {
            State::Connected { stream, .. } => Some(stream),
            _ => None,
        }
    }

    fn progress(&mut self) -> Result<(), Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        if let State::Listening(listener) = &self.state {
            let stream = accept_with(listener, flags)?;
            if let State::Listening(listener) = std::mem::replace(&mut self.state, State::Alone) {
                self.connected(stream, Some(listener));
            }
            return Ok(());
        }
        let address = SocketAddrUnix::new(&self.path)?;
        let stream = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        match connect(&stream, &address) {
            Ok(()) => {
                self.connected(stream, None);
                return Ok(());
            }
            Err(Errno::CONNREFUSED) => rustix::fs::unlink(&self.path)?,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        bind(&stream, &address)?;
        listen(&stream, 1)?;
        self.state = State::Listening(stream);
        Ok(())
    }

    fn connected(&mut self, stream: OwnedFd, listener: Option<OwnedFd>) {
        info!("cable {}: the other end is there", self.path.display());
        self.state = State::Connected { stream, listener };
    }

    fn pulled(&mut self) {
        info!("cable {}: the other end is gone", self.path.display());
        self.state = match std::mem::replace(&mut self.state, State::Alone) {
            State::Connected {
                listener: Some(listener),
                ..
            } => State::Listening(listener),
            _ => State::Alone,
        };
    }
}

impl Wire for Cable {
    fn transmit(&mut self, frame: &[u8]) {
        let Some(stream) = self.stream() else { return };
        match send(stream, frame, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::MSGSIZE | Errno::NOBUFS) => {}
            Err(_) => self.pulled(),
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let stream = self.stream()?;
        let mut frame = vec![0; FRAME_LIMIT];
        match recv(
            stream,
            frame.as_mut_slice(),
            RecvFlags::DONTWAIT | RecvFlags::TRUNC,
        ) {
            Ok((_, length)) if (FRAME_MINIMUM..=FRAME_LIMIT).contains(&length) => {
                frame.truncate(length);
                Some(frame)
            }
            Ok((_, 0)) => {
                self.pulled();
                None
            }
            Ok(_) => {
                debug!("cable {}: no frame", self.path.display());
                None
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                self.pulled();
                None
            }
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let made = matches!(
            self.state,
            State::Listening(_)
                | State::Connected {
                    listener: Some(_),
                    ..
                }
        );
        if made {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(near: &mut Cable, far: &mut Cable) {
        for _ in 0..50 {
            near.transmit(&[1; 60]);
            far.transmit(&[2; 60]);
            if near.receive().is_some() {
                while far.receive().is_some() || near.receive().is_some() {}
                return;
            }
            std::thread::sleep(RETRY / 10);
        }
        panic!("the ends do not meet");
    }

    #[test]
    fn frames_cross_and_an_end_may_come_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cable");
        let (mut near, mut far) = (Cable::new(&path), Cable::new(&path));
        meet(&mut near, &mut far);
        near.transmit(&[3; 9000]);
        near.transmit(&[4; 14]);
        assert_eq!(far.receive(), Some(vec![3; 9000]));
        assert_eq!(far.receive(), Some(vec![4; 14]));
        assert_eq!(far.receive(), None);
        drop(far);
        assert_eq!(near.receive(), None);
        let mut far = Cable::new(&path);
        meet(&mut near, &mut far);
        drop(near);
        let mut near = Cable::new(&path);
        meet(&mut near, &mut far);
    }
}
