//! The management firmware: mailboxes, shared memory, NVM, link, personas.

/// How the management firmware behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persona;

impl Persona {
    /// The persona of this name, such as `modern` or `bist-unsupported`.
    pub fn by_name(name: &str) -> Option<Self> {
        (name == "modern").then_some(Self)
    }
}

/// What the management firmware has to know about the card.
#[derive(Clone, Debug)]
pub struct MfwConfig {
    /// The chip family.
    pub chip: crate::Chip,
    /// How the firmware behaves.
    pub persona: Persona,
    /// Ports of the engine.
    pub ports: u8,
    /// PFs of the engine.
    pub pfs: u8,
    /// MAC address of PF 0; the others follow.
    pub mac_base: [u8; 6],
    /// Seed of everything that looks random.
    pub seed: u64,
}

/// Link state, in Mb/s (0 = down).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MfwEffect {
    /// Raise the general attention of this function; it stays raised until the driver writes 0 to its register.
    GeneralAttention {
        /// Absolute PF id.
        function: u8,
    },
}

/// A list of effects in the order in which they happened.
#[derive(Debug, Default)]
pub struct MfwEffects(Vec<MfwEffect>);

impl MfwEffects {
    /// Takes the effects out, oldest first, and leaves the list empty.
    pub fn drain(&mut self) -> impl Iterator<Item = MfwEffect> + '_ {
        self.0.drain(..)
    }
}

/// The management firmware.
#[derive(Debug)]
pub struct Mfw {
    config: MfwConfig,
}

impl Mfw {
    /// A freshly powered-up management firmware.
    pub fn new(config: MfwConfig) -> Self {
        Self { config }
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &MfwConfig {
        &self.config
    }

    /// True for registers and memories that the management firmware answers: its block (0xe00000 to 0xe7ffff) and the
    /// scattered registers that it fills (0x8c20, 0x8c80, 0x96d4).
    pub fn owns(&self, address: u32) -> bool {
        matches!(address, 0xe0_0000..=0xe7_ffff | 0x8c20 | 0x8c80 | 0x96d4)
    }

    /// Reads a dword.
    pub fn read32(&mut self, requester_pf: u8, address: u32) -> u32 {
        let _ = (requester_pf, address);
        0
    }

    /// Writes a dword.
    pub fn write32(
        &mut self,
        requester_pf: u8,
        address: u32,
        value: u32,
        effects: &mut MfwEffects,
    ) {
        let _ = (requester_pf, address, value, effects);
    }

    /// Lets time pass.
    pub fn advance(&mut self, now_ns: u64, effects: &mut MfwEffects) {
        let _ = (now_ns, effects);
    }
}
