//! Capture files: reading and writing them, playing them into a port, and recording any wire.
//!
//! Classic pcap and pcapng are read, classic pcap is written. A wire has no clock, so recorded frames are one microsecond
//! apart.

use super::{FRAME_LIMIT, FRAME_MINIMUM, Wire, WireCounters, check};
use core::fmt;
use core::time::Duration;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError, TsResolution};
use std::io::{self, Chain, Cursor, ErrorKind, Read, Write};

const PCAP_MAGICS: [[u8; 4]; 4] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0x4d, 0x3c, 0xb2, 0xa1],
];
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// What is wrong with a capture file. Frames are counted from 0, in messages from 1.
#[derive(Debug)]
pub enum CaptureError {
    /// The file cannot be read or written.
    Io(io::Error),
    /// The file starts with none of the known marks.
    NotACapture {
        /// Its first bytes; fewer than 4 when it is shorter.
        start: Vec<u8>,
    },
    /// The file ends inside its header or inside this frame.
    Truncated {
        /// The frame, or `None` for the header.
        frame: Option<u64>,
    },
    /// A header says something that cannot be.
    Malformed {
        /// The frame, or `None` for the file's header.
        frame: Option<u64>,
        /// What the parser found.
        source: PcapError,
    },
    /// The frames are not Ethernet frames.
    NotEthernet {
        /// Link type of the file or interface.
        link_type: u32,
    },
    /// A frame that no wire carries.
    FrameLength {
        /// The frame.
        frame: u64,
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "capture file: {error}"),
            Self::NotACapture { start } => {
                write!(f, "no capture file: it starts with {start:02x?}")
            }
            Self::Truncated { frame: None } => {
                f.write_str("the capture file ends inside its header")
            }
            Self::Truncated { frame: Some(frame) } => {
                write!(f, "the capture file ends inside frame {}", frame + 1)
            }
            Self::Malformed {
                frame: None,
                source,
            } => write!(f, "the header of the capture file is malformed: {source}"),
            Self::Malformed {
                frame: Some(frame),
                source,
            } => {
                write!(
                    f,
                    "frame {} of the capture file is malformed: {source}",
                    frame + 1
                )
            }
            Self::NotEthernet { link_type } => {
                write!(
                    f,
                    "the capture file holds frames of link type {link_type} ({:?}), not Ethernet (1)",
                    DataLink::from(*link_type)
                )
            }
            Self::FrameLength { frame, bytes } => write!(
                f,
                "frame {} of the capture file has {bytes} bytes; a wire carries {FRAME_MINIMUM} to {FRAME_LIMIT}",
                frame + 1
            ),
        }
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Malformed { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl CaptureError {
    fn from_parser(error: PcapError, frame: Option<u64>) -> Self {
        match error {
            PcapError::IncompleteBuffer => Self::Truncated { frame },
            PcapError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Self::Truncated { frame }
            }
            PcapError::IoError(error) => Self::Io(error),
            source => Self::Malformed { frame, source },
        }
    }
}

/// A frame of a capture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// Time stamp as in the file.
    pub time: Duration,
    /// The bytes that were captured.
    pub data: Vec<u8>,
    /// Length on the line; larger than `data` when the capture cut the frame short.
    pub original_bytes: u32,
}

/// The file's own first bytes put back in front of the rest.
type Sniffed<R> = Chain<Cursor<Vec<u8>>, R>;

enum Format<R: Read> {
    Pcap(PcapReader<Sniffed<R>>),
    PcapNg(PcapNgReader<Sniffed<R>>),
}

/// Reads the frames of a capture file, one at a time. After an error there are no more frames, unless it was
/// [`CaptureError::FrameLength`]: that frame is skipped, and the next call gives the one behind it.
///
/// ```
/// use core::time::Duration;
/// use fastlinq_model::wire::capture::{CaptureReader, CaptureWriter};
/// let mut writer = CaptureWriter::new(Vec::new())?;
/// writer.write(Duration::ZERO, &[0x02; 60])?;
/// let file = writer.finish();
/// let frames: Result<Vec<_>, _> = CaptureReader::new(file.as_slice())?.collect();
/// assert_eq!(frames?[0].data, [0x02; 60]);
/// # Ok::<(), fastlinq_model::wire::capture::CaptureError>(())
/// ```
pub struct CaptureReader<R: Read> {
    format: Format<R>,
    frames: u64,
    failed: bool,
}

impl<R: Read> fmt::Debug for CaptureReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureReader")
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl<R: Read> CaptureReader<R> {
    /// Opens a capture file and checks its header.
    ///
    /// # Errors
    /// Every [`CaptureError`] except [`CaptureError::FrameLength`].
    pub fn new(mut reader: R) -> Result<Self, CaptureError> {
        let mut start = Vec::new();
        reader
            .by_ref()
            .take(4)
            .read_to_end(&mut start)
            .map_err(CaptureError::Io)?;
        let is_pcap = PCAP_MAGICS.iter().any(|magic| start == *magic);
        if !is_pcap && start != PCAPNG_MAGIC {
            return Err(CaptureError::NotACapture { start });
        }
        let whole = Cursor::new(start).chain(reader);
        let header = |error| CaptureError::from_parser(error, None);
        let format = if is_pcap {
            let reader = PcapReader::new(whole).map_err(header)?;
            ethernet(reader.header().datalink)?;
            Format::Pcap(reader)
        } else {
            Format::PcapNg(PcapNgReader::new(whole).map_err(header)?)
        };
        Ok(Self {
            format,
            frames: 0,
            failed: false,
        })
    }

    /// Frames read so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    fn read(&mut self) -> Option<Result<CapturedFrame, CaptureError>> {
        match &mut self.format {
            Format::Pcap(reader) => read_pcap(reader, self.frames),
            Format::PcapNg(reader) => read_pcapng(reader, self.frames),
        }
    }
}

impl<R: Read> Iterator for CaptureReader<R> {
    type Item = Result<CapturedFrame, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let number = self.frames;
        let frame = self.read()?.and_then(|frame| match check(&frame.data) {
            Ok(()) => Ok(frame),
            Err(_) => Err(CaptureError::FrameLength {
                frame: number,
                bytes: frame.data.len(),
            }),
        });
        self.frames += 1;
        self.failed = !matches!(frame, Ok(_) | Err(CaptureError::FrameLength { .. }));
        Some(frame)
    }
}

fn ethernet(link: DataLink) -> Result<(), CaptureError> {
    match link {
        DataLink::ETHERNET => Ok(()),
        other => Err(CaptureError::NotEthernet {
            link_type: other.into(),
        }),
    }
}

/// Reads headers unchecked, because the checked form refuses frames that were cut short when captured.
fn read_pcap<R: Read>(
    reader: &mut PcapReader<R>,
    number: u64,
) -> Option<Result<CapturedFrame, CaptureError>> {
    let nanoseconds = match reader.header().ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    Some(match reader.next_raw_packet()? {
        Ok(packet) => Ok(CapturedFrame {
            time: Duration::from_secs(packet.ts_sec.into())
                + Duration::from_nanos(u64::from(packet.ts_frac) * nanoseconds),
            original_bytes: packet.orig_len,
            data: packet.data.into_owned(),
        }),
        Err(error) => Err(CaptureError::from_parser(error, Some(number))),
    })
}

fn read_pcapng<R: Read>(
    reader: &mut PcapNgReader<R>,
    number: u64,
) -> Option<Result<CapturedFrame, CaptureError>> {
    loop {
        let (interface, frame) = match reader.next_block()? {
            Err(error) => return Some(Err(CaptureError::from_parser(error, Some(number)))),
            Ok(Block::EnhancedPacket(packet)) => (
                packet.interface_id as usize,
                CapturedFrame {
                    time: packet.timestamp,
                    original_bytes: packet.original_len,
                    data: packet.data.into_owned(),
                },
            ),
            Ok(Block::SimplePacket(packet)) => {
                // The block does not state what was captured, and pads to 4 bytes.
                let original_bytes = packet.original_len;
                let mut data = packet.data.into_owned();
                data.truncate(original_bytes as usize);
                let limit = reader.interfaces().first().map_or(0, |first| first.snaplen);
                if limit != 0 {
                    data.truncate(limit as usize);
                }
                let frame = CapturedFrame {
                    time: Duration::ZERO,
                    original_bytes,
                    data,
                };
                (0, frame)
            }
            // Obsolete, and still in old captures.
            Ok(Block::Packet(packet)) => (
                packet.interface_id.into(),
                CapturedFrame {
                    time: Duration::from_micros(packet.timestamp),
                    original_bytes: packet.original_len,
                    data: packet.data.into_owned(),
                },
            ),
            Ok(_) => continue,
        };
        return Some(match reader.interfaces().get(interface) {
            Some(interface) => ethernet(interface.linktype).map(|()| frame),
            None => {
                let source = PcapError::InvalidInterfaceId(interface as u32);
                Err(CaptureError::Malformed {
                    frame: Some(number),
                    source,
                })
            }
        });
    }
}

/// Writes a capture file.
#[derive(Debug)]
pub struct CaptureWriter<O: Write> {
    writer: PcapWriter<O>,
}

impl<O: Write> CaptureWriter<O> {
    /// Writes the header of a capture of Ethernet frames.
    ///
    /// # Errors
    /// [`CaptureError::Io`].
    pub fn new(output: O) -> Result<Self, CaptureError> {
        let header = PcapHeader {
            snaplen: 0x4_0000,
            ts_resolution: TsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        let writer = PcapWriter::with_header(output, header)
            .map_err(|error| CaptureError::from_parser(error, None))?;
        Ok(Self { writer })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`CaptureError::Io`]; [`CaptureError::Malformed`] where the time does not fit the format.
    pub fn write(&mut self, time: Duration, frame: &[u8]) -> Result<(), CaptureError> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.writer
            .write_packet(&PcapPacket::new(time, length, frame))
            .map(|_| ())
            .map_err(|error| CaptureError::from_parser(error, None))
    }

    /// Gives the output back.
    pub fn finish(self) -> O {
        self.writer.into_writer()
    }
}

/// A wire recorded to a capture file: every frame in both directions, in the order in which they passed.
///
/// When the file cannot be written any more, the wire goes on and [`Self::error`] tells.
#[derive(Debug)]
pub struct Capture<W, O: Write> {
    wire: W,
    file: CaptureWriter<O>,
    frames: u64,
    error: Option<CaptureError>,
}

impl<W: Wire, O: Write + Send> Capture<W, O> {
    /// Records `wire` to `output`.
    ///
    /// # Errors
    /// [`CaptureError::Io`] when the header cannot be written.
    pub fn new(wire: W, output: O) -> Result<Self, CaptureError> {
        Ok(Self {
            wire,
            file: CaptureWriter::new(output)?,
            frames: 0,
            error: None,
        })
    }

    /// Frames in the file.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Why recording stopped, if it did.
    pub fn error(&self) -> Option<&CaptureError> {
        self.error.as_ref()
    }

    /// Ends the recording and gives wire and output back.
    pub fn finish(self) -> (W, O) {
        (self.wire, self.file.finish())
    }

    fn record(&mut self, frame: &[u8]) {
        if self.error.is_some() || check(frame).is_err() {
            return;
        }
        match self.file.write(Duration::from_micros(self.frames), frame) {
            Ok(()) => self.frames += 1,
            Err(error) => self.error = Some(error),
        }
    }
}

impl<W: Wire, O: Write + Send> Wire for Capture<W, O> {
    fn transmit(&mut self, frame: &[u8]) {
        self.record(frame);
        self.wire.transmit(frame);
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let frame = self.wire.receive()?;
        self.record(&frame);
        Some(frame)
    }

    fn counters(&self) -> WireCounters {
        self.wire.counters()
    }
}

/// A capture file as a wire: its frames arrive at the port, one per call; what the port sends is dropped.
///
/// Put it inside a [`Capture`] to record what the port sends.
#[derive(Debug)]
pub struct CaptureWire<R: Read> {
    file: CaptureReader<R>,
    counters: WireCounters,
    error: Option<CaptureError>,
}

impl<R: Read + Send> CaptureWire<R> {
    /// Plays a capture file.
    ///
    /// # Errors
    /// Those of [`CaptureReader::new`].
    pub fn new(input: R) -> Result<Self, CaptureError> {
        Ok(Self {
            file: CaptureReader::new(input)?,
            counters: WireCounters::default(),
            error: None,
        })
    }

    /// Why the file ended early, if it did.
    pub fn error(&self) -> Option<&CaptureError> {
        self.error.as_ref()
    }
}

impl<R: Read + Send> Wire for CaptureWire<R> {
    fn transmit(&mut self, frame: &[u8]) {
        self.counters.count(check(frame));
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        match self.file.next()? {
            Ok(frame) => self.counters.count_received(Some(frame.data)),
            Err(error) => {
                // The first one is told; a frame that no wire carries is skipped.
                self.error.get_or_insert(error);
                None
            }
        }
    }

    fn counters(&self) -> WireCounters {
        self.counters
    }
}

#[cfg(test)]
mod tests {
    use super::super::Loopback;
    use super::*;
    use pcap_file::Endianness;
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
    use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;

    fn pcap(frames: &[&[u8]]) -> Vec<u8> {
        let mut writer = CaptureWriter::new(Vec::new()).unwrap();
        for (number, frame) in frames.iter().enumerate() {
            writer
                .write(Duration::from_nanos(number as u64), frame)
                .unwrap();
        }
        writer.finish()
    }

    fn pcapng(link: DataLink) -> Vec<u8> {
        let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
        writer
            .write_pcapng_block(InterfaceDescriptionBlock::new(link, 0))
            .unwrap();
        let data = [5; 61];
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(77),
            original_len: 61,
            data: data[..].into(),
            options: Vec::new(),
        };
        writer.write_pcapng_block(packet).unwrap();
        writer
            .write_pcapng_block(SimplePacketBlock {
                original_len: 62,
                data: [6; 62][..].into(),
            })
            .unwrap();
        writer.into_inner()
    }

    fn read(file: &[u8]) -> Result<Vec<CapturedFrame>, CaptureError> {
        CaptureReader::new(file)?.collect()
    }

    #[test]
    fn both_formats_are_read() {
        let frames = read(&pcap(&[&[1; 60], &[2; 9000]])).unwrap();
        assert_eq!(
            frames[1],
            CapturedFrame {
                time: Duration::from_nanos(1),
                data: vec![2; 9000],
                original_bytes: 9000
            }
        );
        let frames = read(&pcapng(DataLink::ETHERNET)).unwrap();
        assert_eq!(
            frames[0],
            CapturedFrame {
                time: Duration::from_nanos(77),
                data: vec![5; 61],
                original_bytes: 61
            }
        );
        assert_eq!(frames[1].data, [6; 62]);
    }

    #[test]
    fn frames_that_were_cut_short_say_so() {
        let mut file = pcap(&[&[1; 60]]);
        // The length on the line, behind the header of 24 bytes and three words.
        file[36..40].copy_from_slice(&0x0010_0000u32.to_be_bytes());
        let frames = read(&file).unwrap();
        assert_eq!(
            (frames[0].data.len(), frames[0].original_bytes),
            (60, 0x0010_0000)
        );
    }

    #[test]
    fn what_is_no_capture_is_named() {
        assert!(matches!(read(b""), Err(CaptureError::NotACapture { start }) if start.is_empty()));
        assert!(
            matches!(read(b"\x7fELF and more"), Err(CaptureError::NotACapture { start }) if start == b"\x7fELF")
        );
        let file = pcap(&[&[1; 60]]);
        assert!(matches!(
            read(&file[..20]),
            Err(CaptureError::Truncated { frame: None })
        ));
        assert!(matches!(
            read(&file[..50]),
            Err(CaptureError::Truncated { frame: Some(0) })
        ));
        let mut other = file.clone();
        other[20..24].copy_from_slice(&101u32.to_be_bytes());
        assert!(matches!(
            read(&other),
            Err(CaptureError::NotEthernet { link_type: 101 })
        ));
        assert!(matches!(
            read(&pcapng(DataLink::RAW)),
            Err(CaptureError::NotEthernet { .. })
        ));
        assert!(matches!(
            read(&pcap(&[&[1; 60], &[1; 5]])),
            Err(CaptureError::FrameLength { frame: 1, bytes: 5 })
        ));
        assert!(matches!(
            read(&pcap(&[&[1; 20_000]])),
            Err(CaptureError::FrameLength {
                frame: 0,
                bytes: 20_000
            })
        ));
    }

    #[test]
    fn the_reader_goes_on_behind_a_frame_that_no_wire_carries() {
        let file = pcap(&[&[1; 5], &[1; 60]]);
        let mut reader = CaptureReader::new(file.as_slice()).unwrap();
        assert!(matches!(
            reader.next(),
            Some(Err(CaptureError::FrameLength { frame: 0, bytes: 5 }))
        ));
        assert_eq!(reader.next().unwrap().unwrap().data, [1; 60]);
        assert!(reader.next().is_none());
    }

    #[test]
    fn the_reader_stops_at_damage() {
        let mut file = pcap(&[&[1; 60], &[1; 60], &[1; 60]]);
        // The second frame claims two gigabytes.
        file[24 + 76 + 8..][..4].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
        let mut reader = CaptureReader::new(file.as_slice()).unwrap();
        assert!(reader.next().unwrap().is_ok());
        assert!(matches!(
            reader.next(),
            Some(Err(CaptureError::Truncated { frame: Some(1) }))
        ));
        assert!(reader.next().is_none());
    }

    #[test]
    fn damaged_files_never_panic() {
        let mut state = 1u32;
        for file in [pcap(&[&[1; 60], &[2; 90]]), pcapng(DataLink::ETHERNET)] {
            for length in 0..file.len() {
                let _ = read(&file[..length]);
            }
            for _ in 0..50 {
                let mut damaged = file.clone();
                for _ in 0..4 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let at = (state >> 8) as usize % damaged.len();
                    damaged[at] = state as u8;
                }
                let _ = read(&damaged);
            }
        }
    }

    #[test]
    fn a_recorded_wire_still_works() {
        let mut wire = Capture::new(Loopback::new(), Vec::new()).unwrap();
        wire.transmit(&[1; 60]);
        wire.transmit(&[2; 3]);
        assert_eq!(wire.receive(), Some(vec![1; 60]));
        assert_eq!(wire.receive(), None);
        assert_eq!((wire.frames(), wire.counters().refused_length), (2, 1));
        let (_, file) = wire.finish();
        let frames = read(&file).unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].time, Duration::from_micros(1));
    }

    #[test]
    fn a_full_disk_stops_the_recording_only() {
        struct Disk(usize);
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self
                    .0
                    .checked_sub(bytes.len())
                    .ok_or(ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut wire = Capture::new(Loopback::new(), Disk(24)).unwrap();
        wire.transmit(&[1; 60]);
        assert!(matches!(wire.error(), Some(CaptureError::Io(_))));
        assert_eq!(wire.receive(), Some(vec![1; 60]));
        assert_eq!(wire.frames(), 0);
    }

    #[test]
    fn a_file_plays_into_a_port() {
        let file = pcap(&[&[1; 60], &[2; 70], &[3; 4]]);
        let mut wire = CaptureWire::new(Cursor::new(file)).unwrap();
        wire.transmit(&[9; 60]);
        assert_eq!(wire.receive(), Some(vec![1; 60]));
        assert_eq!(wire.receive(), Some(vec![2; 70]));
        assert!(wire.error().is_none());
        assert_eq!(wire.receive(), None);
        assert!(matches!(
            wire.error(),
            Some(CaptureError::FrameLength { frame: 2, bytes: 4 })
        ));
        assert_eq!(wire.counters().received, 2);
        let boxed: Box<dyn Wire> = Box::new(wire);
        assert_eq!(Box::new(boxed).counters().transmitted, 1);
    }
}
