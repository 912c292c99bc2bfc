//! Writes storm-firmware images in the container format of the genuine init-values files.

use super::format::{self, Op, WriteSource};

/// A boolean expression over the mode bits of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModeExpression {
    /// True when the numbered mode bit is set.
    Bit(u8),
    /// True when the operand is false.
    Not(Box<ModeExpression>),
    /// True when either operand is true.
    Or(Box<ModeExpression>, Box<ModeExpression>),
    /// True when both operands are true.
    And(Box<ModeExpression>, Box<ModeExpression>),
}

impl ModeExpression {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Not(operand) => {
                out.push(format::MODE_NOT);
                operand.encode(out);
            }
            Self::Or(left, right) => {
                out.push(format::MODE_OR);
                left.encode(out);
                right.encode(out);
            }
            Self::And(left, right) => {
                out.push(format::MODE_AND);
                left.encode(out);
                right.encode(out);
            }
            Self::Bit(bit) => out.push(format::MODE_FIRST_BIT + bit),
        }
    }
}

/// How a poll compares what it reads with what it expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Read once and ignore the value.
    None,
    /// Until the value equals the expectation.
    Equal,
    /// Until any bit of the value or of the expectation is set.
    Or,
    /// Until every expected bit is set.
    And,
}

/// One record of the table of firmware variables (internal RAM offsets).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IroRecord {
    /// Offset of the first element in bytes.
    pub base: u32,
    /// Byte distances of the three indexes.
    pub strides: [u16; 3],
    /// Size of one element in bytes.
    pub size: u16,
}

/// Assembles an image section by section.
///
/// Addresses are byte addresses in the chip's internal space. Conditions nest through closures, so
/// that skip counts are always right.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    version: [u8; 4],
    timestamp: u32,
    ops: Vec<[u32; 2]>,
    values: Vec<u32>,
    modes: Vec<u8>,
    iro: Vec<IroRecord>,
    overlays: Vec<(u8, Vec<u32>)>,
}

impl ImageBuilder {
    /// Starts an empty image that carries `version` (major, minor, revision, engineering).
    #[must_use]
    pub fn new(version: [u8; 4], timestamp: u32) -> Self {
        Self {
            version,
            timestamp,
            ops: Vec::new(),
            values: Vec::new(),
            modes: Vec::new(),
            iro: Vec::new(),
            overlays: Vec::new(),
        }
    }

    /// Adds operations that run only in `phase`, and only for `id` when one is given.
    pub fn phase(&mut self, phase: u8, id: Option<u16>, body: impl FnOnce(&mut Self)) -> &mut Self {
        let id = id.unwrap_or(format::ANY_PHASE_ID);
        self.conditional(Op::IfPhase, u32::from(phase) | u32::from(id) << 16, body)
    }

    /// Adds operations that run only when `expression` holds.
    pub fn mode(&mut self, expression: &ModeExpression, body: impl FnOnce(&mut Self)) -> &mut Self {
        let mut encoded = Vec::new();
        expression.encode(&mut encoded);
        let position = self
            .modes
            .windows(encoded.len())
            .position(|window| window == encoded)
            .unwrap_or_else(|| {
                self.modes.extend_from_slice(&encoded);
                self.modes.len() - encoded.len()
            });
        self.conditional(Op::IfMode, (position as u32) << 16, body)
    }

    fn conditional(&mut self, op: Op, parameter: u32, body: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.ops.len();
        self.ops.push([op as u32, parameter]);
        body(self);
        let skip = (self.ops.len() - at - 1) as u32;
        self.ops[at][0] |= skip << 16;
        self
    }

    fn write_op(
        &mut self,
        address: u32,
        source: WriteSource,
        wide: bool,
        parameter: u32,
    ) -> &mut Self {
        let head =
            Op::Write as u32 | (source as u32) << 4 | u32::from(wide) << 8 | (address / 4) << 9;
        self.ops.push([head, parameter]);
        self
    }

    /// Writes one dword.
    pub fn write(&mut self, address: u32, value: u32) -> &mut Self {
        self.write_op(address, WriteSource::Inline, false, value)
    }

    /// Writes `dwords` zeros from `address` on.
    pub fn zeros(&mut self, address: u32, dwords: u32, wide: bool) -> &mut Self {
        self.write_op(address, WriteSource::Zeros, wide, dwords)
    }

    /// Writes an array that is stored as it is.
    pub fn array(&mut self, address: u32, data: &[u32], wide: bool) -> &mut Self {
        let index = self.values.len() as u32;
        self.values
            .push((data.len() as u32) << 4 | format::ARRAY_STANDARD);
        self.values.extend_from_slice(data);
        self.write_op(address, WriteSource::Array, wide, index)
    }

    /// Writes an array that is stored as a zlib stream; at most 8192 dwords.
    pub fn zipped(&mut self, address: u32, data: &[u32], wide: bool) -> &mut Self {
        assert!(
            data.len() <= format::ZIPPED_MAX_DWORDS,
            "a zipped array holds at most 8192 dwords"
        );
        let raw: Vec<u8> = data.iter().flat_map(|dword| dword.to_le_bytes()).collect();
        let stream = miniz_oxide::deflate::compress_to_vec_zlib(&raw, 9);
        let index = self.values.len() as u32;
        self.values
            .push((stream.len() as u32) << 4 | format::ARRAY_ZIPPED);
        for chunk in stream.chunks(4) {
            let mut dword = [0; 4];
            dword[..chunk.len()].copy_from_slice(chunk);
            self.values.push(u32::from_le_bytes(dword));
        }
        self.write_op(address, WriteSource::Array, wide, index)
    }

    /// Writes `pattern` (at most 15 dwords) `repetitions` times over.
    pub fn pattern(
        &mut self,
        address: u32,
        pattern: &[u32],
        repetitions: u32,
        wide: bool,
    ) -> &mut Self {
        assert!(
            (1..=15).contains(&pattern.len()),
            "a pattern holds 1 to 15 dwords"
        );
        let index = self.values.len() as u32;
        self.values
            .push(repetitions << 8 | (pattern.len() as u32) << 4 | format::ARRAY_PATTERN);
        self.values.extend_from_slice(pattern);
        self.write_op(address, WriteSource::Array, wide, index)
    }

    /// Writes what the driver stored in `dwords` entries of its runtime array from `index` on.
    pub fn runtime(&mut self, address: u32, index: u16, dwords: u16, wide: bool) -> &mut Self {
        let parameter = u32::from(dwords) | u32::from(index) << 16;
        self.write_op(address, WriteSource::Runtime, wide, parameter)
    }

    /// Reads `address`, repeatedly when `poll` says so.
    pub fn read(&mut self, address: u32, poll: Poll, expected: u32) -> &mut Self {
        let head = Op::Read as u32 | (poll as u32) << 4 | (address / 4) << 9;
        self.ops.push([head, expected]);
        self
    }

    /// Waits.
    pub fn delay_us(&mut self, microseconds: u32) -> &mut Self {
        self.ops.push([Op::Delay as u32, microseconds]);
        self
    }

    /// Calls the driver back; callback 0 of block 22 says that the DMA engine may be used from here on.
    pub fn callback(&mut self, id: u16, block: u16) -> &mut Self {
        self.ops
            .push([Op::Callback as u32, u32::from(id) | u32::from(block) << 16]);
        self
    }

    /// Replaces the table of firmware variables.
    pub fn iro(&mut self, records: impl IntoIterator<Item = IroRecord>) -> &mut Self {
        self.iro = records.into_iter().collect();
        self
    }

    /// Adds an overlay for a storm processor (0 to 5: T, M, U, X, Y, P).
    pub fn overlay(&mut self, storm: u8, code: &[u32]) -> &mut Self {
        self.overlays.push((storm, code.to_vec()));
        self
    }

    /// Lays the sections out behind one another and returns the file's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut version = Vec::new();
        version.extend_from_slice(&format::TOOLS_VERSION.to_le_bytes());
        version.extend_from_slice(&[0, 0]);
        version.extend_from_slice(&self.version);
        version.extend_from_slice(&self.timestamp.to_le_bytes());
        version.extend_from_slice(&0u32.to_le_bytes());

        let ops = dwords(self.ops.iter().flatten());
        let values = dwords(self.values.iter());
        let mut iro = Vec::new();
        for record in &self.iro {
            iro.extend_from_slice(&record.base.to_le_bytes());
            for stride in record.strides {
                iro.extend_from_slice(&stride.to_le_bytes());
            }
            iro.extend_from_slice(&record.size.to_le_bytes());
        }
        let mut overlays = Vec::new();
        for (storm, code) in &self.overlays {
            let head = u32::from(*storm) | (code.len() as u32) << 8;
            overlays.extend_from_slice(&head.to_le_bytes());
            overlays.extend_from_slice(&dwords(code.iter()));
        }

        let sections = [version, ops, values, self.modes.clone(), iro, overlays];
        let mut table = Vec::new();
        let mut body = Vec::new();
        let first = format::FIRST_SECTION - format::SECTION_BASE;
        for section in &sections {
            let offset = first + body.len();
            table.extend_from_slice(&(offset as u32).to_le_bytes());
            table.extend_from_slice(&(section.len() as u32).to_le_bytes());
            body.extend_from_slice(section);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        table.extend_from_slice(&[0xff; 8]);

        let mut file = Vec::new();
        let end = format::FIRST_SECTION + body.len();
        file.extend_from_slice(&(end as u32).to_le_bytes());
        file.extend_from_slice(&table);
        file.extend_from_slice(&body);
        file
    }
}

fn dwords<'a>(values: impl Iterator<Item = &'a u32>) -> Vec<u8> {
    values.flat_map(|value| value.to_le_bytes()).collect()
}
