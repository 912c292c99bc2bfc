//! What the management firmware asks the rest of the chip to do.

/// One thing that the chip has to carry out after a mailbox command or a moment in model time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MfwEffect {
    /// Raise the general attention of this function; it stays raised until the driver writes 0 to its register.
    GeneralAttention {
        /// Absolute PF id.
        function: u8,
    },
    /// Reset the private state of this function exactly like a PCIe function level reset.
    PfFlr {
        /// Absolute PF id.
        function: u8,
    },
    /// Reset the state of this virtual function.
    VfFlr {
        /// Engine (path) that owns the VF.
        path: u8,
        /// VF id on that engine.
        vf: u8,
    },
    /// The physical link of this port went up or down, or changed its speed.
    LinkChanged {
        /// Port of the card.
        port: u8,
        /// True when frames can pass.
        up: bool,
        /// Speed in Mb/s, 0 while the link is down.
        speed_mbps: u32,
    },
    /// The loopback mode of this port changed.
    Loopback {
        /// Port of the card.
        port: u8,
        /// The new mode.
        mode: super::link::LoopbackMode,
    },
    /// A driver that may initialise an engine says which storm firmware it brings.
    StormFirmware {
        /// Engine (path) that it is for.
        path: u8,
        /// The version, major in bits 31:24; 0 from drivers that do not say.
        version: u32,
    },
    /// The driver asked for a drain of the port's receive path.
    NigDrain {
        /// Absolute PF id of the requester.
        function: u8,
    },
    /// The number of interrupt vectors of VFs was configured.
    VfVectors {
        /// Absolute PF id of the requester.
        function: u8,
        /// A single VF, or all VFs of the function.
        vf: Option<u8>,
        /// Vectors for each VF.
        vectors: u8,
    },
    /// Parity attentions were masked or unmasked.
    MaskParities {
        /// True when masked.
        masked: bool,
    },
    /// The management processor restarted.
    Restarted,
}

/// A list of effects in the order in which they happened.
#[derive(Debug, Default)]
pub struct MfwEffects(Vec<MfwEffect>);

impl MfwEffects {
    /// Starts with no effect.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, effect: MfwEffect) {
        self.0.push(effect);
    }

    /// Takes the effects out, oldest first, and leaves the list empty.
    pub fn drain(&mut self) -> impl Iterator<Item = MfwEffect> + '_ {
        self.0.drain(..)
    }

    /// The effects that were not drained yet.
    pub fn as_slice(&self) -> &[MfwEffect] {
        &self.0
    }

    /// True when nothing has to be done.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
