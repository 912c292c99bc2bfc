//! The seam between the chip and the storm firmware: what the firmware sees of the chip.

use crate::Chip;
use crate::violation::{DmaCause, ViolationKind};

/// A function of the chip as a requester: a PF, or a VF of that PF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Function {
    /// PF id relative to the engine (0 to 15).
    pub pf: u8,
    /// Absolute VF id, when this is a VF.
    pub vf: Option<u8>,
}

impl Function {
    /// The PF itself.
    pub const fn pf(pf: u8) -> Self {
        Self { pf, vf: None }
    }

    /// A VF of `pf`.
    pub const fn vf(pf: u8, vf: u8) -> Self {
        Self { pf, vf: Some(vf) }
    }

    /// The 16-bit concrete function id on `port`: pf 3:0, port 5:4, VF valid 7, VF 15:8.
    pub const fn concrete(self, port: u8) -> u16 {
        let base = (self.pf & 0xf) as u16 | ((port & 3) as u16) << 4;
        match self.vf {
            Some(vf) => base | 0x80 | (vf as u16) << 8,
            None => base,
        }
    }
}

impl core::fmt::Display for Function {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.vf {
            Some(vf) => write!(f, "VF {vf} of PF {}", self.pf),
            None => write!(f, "PF {}", self.pf),
        }
    }
}

/// One of the six storm processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum StormId {
    T,
    M,
    U,
    X,
    Y,
    P,
}

impl StormId {
    /// All storms, in the order of their windows.
    pub const ALL: [StormId; 6] = [
        StormId::T,
        StormId::M,
        StormId::U,
        StormId::X,
        StormId::Y,
        StormId::P,
    ];

    /// Internal byte address of the storm's RAM as seen through a window.
    pub const fn ram_base(self) -> u32 {
        match self {
            StormId::T => 0x1c8_0000,
            StormId::M => 0x1d0_0000,
            StormId::U => 0x1d8_0000,
            StormId::X => 0x1e0_0000,
            StormId::Y => 0x1e8_0000,
            StormId::P => 0x1f0_0000,
        }
    }

    /// GRC byte address of the storm processor's block.
    pub const fn block_base(self) -> u32 {
        match self {
            StormId::X => 0x140_0000,
            StormId::Y => 0x150_0000,
            StormId::P => 0x160_0000,
            StormId::T => 0x170_0000,
            StormId::M => 0x180_0000,
            StormId::U => 0x190_0000,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// Bytes of one storm RAM.
pub const STORM_RAM_BYTES: usize = 0x4_0000;

/// A DMA that did not happen. It was recorded as a violation already; the caller only has to stop what it was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaError {
    /// The host did not map the range.
    Unmapped,
    /// The function may not master the bus.
    Blocked,
}

/// Why a context cannot be found. It was recorded as a violation already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextError {
    /// The CDU parameters are not programmed.
    NoParameters,
    /// The line is outside the function's range of the ILT.
    OutOfRange {
        /// Absolute ILT line.
        line: u32,
    },
    /// The ILT line is not valid.
    InvalidLine {
        /// Absolute ILT line.
        line: u32,
    },
    /// The host refused the access.
    Dma(DmaError),
}

/// A doorbell that the DORQ block accepted and decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doorbell {
    /// Who rang it.
    pub function: Function,
    /// Connection id, relative to the function.
    pub cid: u32,
    /// Connection type by the function's ranges: 3 CORE, 4 ETH (see A3 6.2 of the hardware reference).
    pub connection_type: u8,
    /// The raw 32-bit store: destination 1:0, aggregation command 3:2, value select 7:6, flags 15:8, value 31:16.
    pub data: u32,
}

/// What the storm firmware sees of the chip.
///
/// The chip implements it; [`Storm`](crate::storm::Storm) methods get it as `&mut dyn Fabric`. Every call is
/// synchronous. Interrupts that a call causes are delivered before it returns; frames that come back by loopback are
/// queued and reach [`Storm::receive`](crate::storm::Storm::receive) after the current storm call returned.
pub trait Fabric {
    /// The chip family.
    fn chip(&self) -> Chip;
    /// Model time in nanoseconds.
    fn now_ns(&self) -> u64;
    /// Number of ports of the engine.
    fn ports(&self) -> u8;
    /// The engine's port that the PF belongs to.
    fn port_of(&self, pf: u8) -> u8;
    /// Number of PFs that exist on the engine; their relative ids are 0 to this, exclusive.
    fn pfs(&self) -> u8;

    /// Reads host memory as `function`.
    ///
    /// # Errors
    ///
    /// [`DmaError`]; the violation is recorded with `cause` and latched in the PGLUE error registers.
    fn host_read(
        &mut self,
        function: Function,
        cause: DmaCause,
        address: u64,
        out: &mut [u8],
    ) -> Result<(), DmaError>;
    /// Writes host memory as `function`.
    ///
    /// # Errors
    ///
    /// As [`host_read`](Fabric::host_read).
    fn host_write(
        &mut self,
        function: Function,
        cause: DmaCause,
        address: u64,
        data: &[u8],
    ) -> Result<(), DmaError>;

    /// The whole RAM of a storm, [`STORM_RAM_BYTES`] long, little-endian as the host sees it.
    fn ram(&self, storm: StormId) -> &[u8];
    /// The whole RAM of a storm for writing. Firmware writes do not come back as `ram_written`.
    fn ram_mut(&mut self, storm: StormId) -> &mut [u8];

    /// Reads a byte of storm RAM; 0 outside.
    fn ram8(&self, storm: StormId, offset: u32) -> u8 {
        self.ram(storm).get(offset as usize).copied().unwrap_or(0)
    }
    /// Reads a little-endian 16-bit word of storm RAM; 0 outside.
    fn ram16(&self, storm: StormId, offset: u32) -> u16 {
        u16::from_le_bytes(ram_bytes(self.ram(storm), offset))
    }
    /// Reads a little-endian 32-bit word of storm RAM; 0 outside.
    fn ram32(&self, storm: StormId, offset: u32) -> u32 {
        u32::from_le_bytes(ram_bytes(self.ram(storm), offset))
    }
    /// Reads a little-endian 64-bit word of storm RAM; 0 outside.
    fn ram64(&self, storm: StormId, offset: u32) -> u64 {
        u64::from_le_bytes(ram_bytes(self.ram(storm), offset))
    }
    /// Writes bytes of storm RAM; those outside are dropped.
    fn set_ram(&mut self, storm: StormId, offset: u32, data: &[u8]) {
        let start = offset as usize;
        if let Some(range) = self
            .ram_mut(storm)
            .get_mut(start..start.saturating_add(data.len()))
        {
            range.copy_from_slice(data);
        }
    }
    /// Writes a 32-bit word of storm RAM.
    fn set_ram32(&mut self, storm: StormId, offset: u32, value: u32) {
        self.set_ram(storm, offset, &value.to_le_bytes());
    }
    /// Writes a 64-bit word of storm RAM.
    fn set_ram64(&mut self, storm: StormId, offset: u32, value: u64) {
        self.set_ram(storm, offset, &value.to_le_bytes());
    }

    /// Value of the register at GRC byte address `address`, in the bank of `function` (and its port) where it is split.
    fn register(&mut self, function: Function, address: u32) -> u32;
    /// Stores a register from the firmware's side: no side effects.
    fn set_register(&mut self, function: Function, address: u32, value: u32);

    /// Sets protocol index `pi` of status block `sb` (IGU id): the CAU then writes the status block, at once or when
    /// its timer expires, and the IGU interrupts.
    fn set_protocol_index(&mut self, sb: u16, pi: u8, value: u16);
    /// The current value of a protocol index.
    fn protocol_index(&self, sb: u16, pi: u8) -> u16;
    /// Sets the coalescing timer value of a protocol index (queue zone with its VALID bit set).
    fn set_protocol_index_timeset(&mut self, sb: u16, pi: u8, timeset: u8);
    /// Writes a protocol index without coalescing and without an interrupt when the value in host memory is the same.
    fn reset_protocol_index(&mut self, sb: u16, pi: u8);

    /// Host address of the context of connection `cid`, by ILT and CDU parameters.
    ///
    /// # Errors
    ///
    /// [`ContextError`], recorded as a violation.
    fn context_address(&mut self, function: Function, cid: u32) -> Result<u64, ContextError>;
    /// Reads from the context of connection `cid`.
    ///
    /// # Errors
    ///
    /// [`ContextError`], recorded as a violation.
    fn context_read(
        &mut self,
        function: Function,
        cid: u32,
        offset: u32,
        out: &mut [u8],
    ) -> Result<(), ContextError> {
        let address = self.context_address(function, cid)?;
        let cause =
            DmaCause::descriptor("context of connection", u64::from(cid), u64::from(offset));
        self.host_read(
            function,
            cause,
            address.wrapping_add(u64::from(offset)),
            out,
        )
        .map_err(ContextError::Dma)
    }
    /// Writes into the context of connection `cid`.
    ///
    /// # Errors
    ///
    /// [`ContextError`], recorded as a violation.
    fn context_write(
        &mut self,
        function: Function,
        cid: u32,
        offset: u32,
        data: &[u8],
    ) -> Result<(), ContextError> {
        let address = self.context_address(function, cid)?;
        let cause =
            DmaCause::descriptor("context of connection", u64::from(cid), u64::from(offset));
        self.host_write(
            function,
            cause,
            address.wrapping_add(u64::from(offset)),
            data,
        )
        .map_err(ContextError::Dma)
    }

    /// The function that an opaque function id (of a ramrod header) stands for, if it exists.
    fn resolve_function(&self, opaque_fid: u16) -> Option<Function>;

    /// True when the port's link is up (or a loopback mode replaces it).
    fn link_up(&self, port: u8) -> bool;
    /// Sends a frame (without FCS, padded to 60 bytes) out of a port; the chip counts port statistics.
    fn transmit(&mut self, port: u8, frame: &[u8]);

    /// Records a broken rule.
    fn violation(&mut self, function: Option<Function>, kind: ViolationKind, cause: DmaCause);
    /// The storm firmware stops with an assertion: recorded, and general attention 32 is raised.
    fn firmware_assert(&mut self, function: Function, why: &'static str, cause: DmaCause);
    /// Tells an observer that a ramrod was executed; cheap when nobody listens.
    fn ramrod_executed(
        &mut self,
        function: Function,
        protocol: u8,
        command: u8,
        cid: u32,
        return_code: u8,
    );
}

fn ram_bytes<const N: usize>(ram: &[u8], offset: u32) -> [u8; N] {
    let start = offset as usize;
    let mut bytes = [0; N];
    if let Some(range) = ram.get(start..start.saturating_add(N)) {
        bytes.copy_from_slice(range);
    }
    bytes
}
