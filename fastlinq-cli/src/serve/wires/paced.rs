//! A capture file played at its own pace.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use fastlinq_model::Wire;
use fastlinq_model::wire::capture::{CaptureReader, CapturedFrame};
use log::{info, warn};

/// Plays a capture into a port, from the first frame on that the port sends: before that nobody listens.
pub(super) struct Paced {
    file: CaptureReader<BufReader<File>>,
    next: Option<CapturedFrame>,
    begun: Option<Instant>,
    offset: Duration,
}

impl Paced {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = CaptureReader::new(BufReader::new(File::open(path)?))?;
        let next = file.next().transpose()?;
        let offset = next.as_ref().map_or(Duration::ZERO, |frame| frame.time);
        Ok(Self {
            file,
            next,
            begun: None,
            offset,
        })
    }
}

impl Wire for Paced {
    fn transmit(&mut self, _: &[u8]) {
        if self.begun.is_none() {
            info!("the capture begins");
            self.begun = Some(Instant::now());
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let due = self.next.as_ref()?.time.saturating_sub(self.offset);
        if self.begun?.elapsed() < due {
            return None;
        }
        let frame = self.next.take()?;
        self.next = match self.file.next() {
            None => None,
            Some(Ok(frame)) => Some(frame),
            Some(Err(error)) => {
                warn!("the capture ends early: {error}");
                None
            }
        };
        Some(frame.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastlinq_model::wire::capture::CaptureWriter;

    #[test]
    fn frames_wait_for_a_listener_and_for_their_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("frames.pcap");
        let mut writer =
            CaptureWriter::new(File::create(&path).expect("a file")).expect("a writer");
        for (seconds, byte) in [(5, 1), (5, 2), (3600, 3)] {
            writer
                .write(Duration::from_secs(seconds), &[byte; 60])
                .expect("written");
        }
        drop(writer.finish());
        let mut wire = Paced::open(&path).expect("a capture");
        assert_eq!(wire.receive(), None);
        wire.transmit(&[0; 60]);
        assert_eq!(wire.receive(), Some(vec![1; 60]));
        assert_eq!(wire.receive(), Some(vec![2; 60]));
        assert_eq!(wire.receive(), None);
    }
}
