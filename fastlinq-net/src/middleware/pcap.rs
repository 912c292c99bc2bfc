//! Writing a capture.

use core::fmt;

use super::tap::{Direction, Observer};

/// Magic number of a capture with nanoseconds, in the byte order of the writer.
const MAGIC: u32 = 0xa1b2_3c4d;
const VERSION: [u16; 2] = [2, 4];
const ETHERNET: u32 = 1;
/// Longest frame, as the head says; some readers refuse captures of longer ones, cut off or not.
const LONGEST: u32 = 0x4_0000;

/// Why a capture ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PcapError<E> {
    /// What the writer said.
    pub cause: E,
    /// Frames that were written before.
    pub frames: u64,
}

impl<E: fmt::Display> fmt::Display for PcapError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} frames: {}", self.frames, self.cause)
    }
}

impl<E: fmt::Display + fmt::Debug> core::error::Error for PcapError<E> {}

/// Writes the frames that a [`Tap`](super::Tap) shows it as a capture (pcap with nanoseconds), which Wireshark and tcpdump
/// read.
///
/// `write` takes bytes to wherever they go, all of them or none; `now_ns` gives nanoseconds since 1970 (or since any moment,
/// if dates do not matter). The first error of `write` ends the capture and is kept; traffic is not touched by it.
///
/// # Examples
///
/// ```
/// use fastlinq_net::middleware::{Direction, Observer, PcapWriter};
///
/// let mut file = Vec::new();
/// let write = |bytes: &[u8]| std::io::Write::write_all(&mut file, bytes);
/// let mut capture = PcapWriter::new(write, || 1_000_000_007, 65_535);
/// capture.frame(Direction::Sent, 3, &mut [&b"ab"[..], b"c"].into_iter());
/// let frames = capture.finish()?;
/// assert_eq!((frames, file.len()), (1, 24 + 16 + 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PcapWriter<W, C, E> {
    write: W,
    now_ns: C,
    snap_length: u32,
    only: Option<Direction>,
    frames: u64,
    error: Option<E>,
}

impl<W, C, E> PcapWriter<W, C, E>
where
    W: FnMut(&[u8]) -> Result<(), E>,
    C: FnMut() -> u64,
{
    /// Writes the head of a capture that keeps at most `snap_length` bytes of a frame.
    pub fn new(write: W, now_ns: C, snap_length: u32) -> Self {
        let mut writer = Self {
            write,
            now_ns,
            snap_length,
            only: None,
            frames: 0,
            error: None,
        };
        let [major, minor] = VERSION.map(u16::to_ne_bytes);
        let mut head = [0; 24];
        let parts: [&[u8]; 6] = [
            &MAGIC.to_ne_bytes(),
            &major,
            &minor,
            &[0; 8],
            &LONGEST.to_ne_bytes(),
            &ETHERNET.to_ne_bytes(),
        ];
        for (target, source) in head.iter_mut().zip(parts.into_iter().flatten()) {
            *target = *source;
        }
        writer.put(&head);
        writer
    }

    /// Keeps frames of one direction only.
    #[must_use]
    pub fn only(mut self, direction: Direction) -> Self {
        self.only = Some(direction);
        self
    }

    /// Frames written so far.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Ends the capture; gives the number of frames in it.
    ///
    /// # Errors
    ///
    /// [`PcapError`] when the capture ended earlier.
    pub fn finish(self) -> Result<u64, PcapError<E>> {
        match self.error {
            Some(cause) => Err(PcapError {
                cause,
                frames: self.frames,
            }),
            None => Ok(self.frames),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            if let Err(error) = (self.write)(bytes) {
                self.error = Some(error);
            }
        }
    }
}

impl<W, C, E> Observer for PcapWriter<W, C, E>
where
    W: FnMut(&[u8]) -> Result<(), E>,
    C: FnMut() -> u64,
{
    fn frame(
        &mut self,
        direction: Direction,
        length: usize,
        pieces: &mut dyn Iterator<Item = &[u8]>,
    ) {
        if self.error.is_some() || self.only.is_some_and(|only| only != direction) {
            return;
        }
        let now = (self.now_ns)();
        let kept = length.min(self.snap_length as usize);
        let words = [
            (now / 1_000_000_000) as u32,
            (now % 1_000_000_000) as u32,
            kept as u32,
            length as u32,
        ];
        let mut head = [0; 16];
        for (target, word) in head.chunks_exact_mut(4).zip(words) {
            target.copy_from_slice(&word.to_ne_bytes());
        }
        self.put(&head);
        let mut left = kept;
        for piece in pieces {
            let piece = piece.get(..left.min(piece.len())).unwrap_or(&[]);
            self.put(piece);
            left -= piece.len();
        }
        // The record's head has promised so many bytes.
        while left > 0 && self.error.is_none() {
            let zeros = [0; 64];
            let piece = zeros.get(..left.min(zeros.len())).unwrap_or(&zeros);
            self.put(piece);
            left -= piece.len();
        }
        self.frames += u64::from(self.error.is_none());
    }
}

impl<W, C, E: fmt::Debug> fmt::Debug for PcapWriter<W, C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapWriter")
            .field("frames", &self.frames)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
