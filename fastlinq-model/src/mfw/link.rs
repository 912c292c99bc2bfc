//! The physical link of a port: configuration by INIT_PHY, negotiation with a partner, and the status words.
//!
//! The link is up while at least one function of the port has sent INIT_PHY and not taken it back, a partner is there
//! (or a loopback inside the card replaces it), and both sides agree on speed and error correction.

use super::reply::{UNION_BYTES, word};

/// One row per speed: capability bit, Mb/s, code in link_status, partner bit in link_status.
const SPEEDS: [(u32, u32, u32, u32); 7] = [
    (0x01, 1_000, 2, 1 << 9),
    (0x02, 10_000, 3, 1 << 11),
    (0x04, 20_000, 4, 1 << 12),
    (0x08, 25_000, 8, 1 << 16),
    (0x10, 40_000, 5, 1 << 13),
    (0x20, 50_000, 6, 1 << 14),
    (0x40, 100_000, 7, 1 << 15),
];

/// Capability bits of speeds.
pub mod speed {
    #![allow(missing_docs)]
    pub const G1: u32 = 0x01;
    pub const G10: u32 = 0x02;
    pub const G20: u32 = 0x04;
    pub const G25: u32 = 0x08;
    pub const G40: u32 = 0x10;
    pub const G50: u32 = 0x20;
    pub const G100: u32 = 0x40;
}

const STATUS_UP: u32 = 1 << 0;
const STATUS_AUTONEG_ENABLED: u32 = 1 << 5;
const STATUS_AUTONEG_COMPLETE: u32 = 1 << 6;
const STATUS_TX_FLOW_CONTROL: u32 = 1 << 21;
const STATUS_RX_FLOW_CONTROL: u32 = 1 << 22;
const STATUS_RX_SIGNAL: u32 = 1 << 23;
const STATUS_MAC_LOCAL_FAULT: u32 = 1 << 24;
const STATUS_UNSUPPORTED_SPEED: u32 = 1 << 26;
const STATUS_FEC_SHIFT: u32 = 27;

const PAUSE_AUTONEG: u32 = 1;
const PAUSE_RX: u32 = 2;
const PAUSE_TX: u32 = 4;

const SPEED_AUTONEG: u32 = 0;
const SPEED_SMARTLINQ: u32 = 8;

const EEE_ENABLED: u32 = 1;
const EEE_ACTIVE: u32 = 1;

/// Where a port loops its frames back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LoopbackMode {
    #[default]
    None,
    InternalPhy,
    ExternalPhy,
    /// A plug outside the card.
    External,
    Mac,
    Cnig0123,
    Cnig2301,
    Pcs,
    ReverseMac,
    InternalPhyFea,
}

impl LoopbackMode {
    fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::None,
            1 => Self::InternalPhy,
            2 => Self::ExternalPhy,
            3 => Self::External,
            4 => Self::Mac,
            5 => Self::Cnig0123,
            6 => Self::Cnig2301,
            7 => Self::Pcs,
            8 => Self::ReverseMac,
            9 => Self::InternalPhyFea,
            _ => return None,
        })
    }

    /// True where frames that the card sends come back to it without a partner.
    pub fn returns_frames(self) -> bool {
        !matches!(self, Self::None | Self::External | Self::ReverseMac)
    }
}

/// Forward error correction on the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fec {
    #[default]
    None = 0,
    FireCode = 1,
    Rs = 2,
}

/// What the other end of the cable can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partner {
    /// Capability bits of its speeds.
    pub speeds: u32,
    /// Pause: bit 0 symmetric, bit 1 asymmetric.
    pub pause: u32,
    /// Error corrections it accepts: bit n for [`Fec`] n.
    pub fec: u32,
    /// Energy-efficient Ethernet: bit 1 at 1G, bit 2 at 10G.
    pub eee: u32,
}

impl Default for Partner {
    fn default() -> Self {
        Self {
            speeds: 0x7f,
            pause: 1,
            fec: 0b111,
            eee: 0b110,
        }
    }
}

/// The payload of INIT_PHY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhyConfig {
    /// Speed in Mb/s; 0 negotiates, 8 lets the firmware search.
    pub speed: u32,
    /// Bit 0 negotiate, bit 1 receive, bit 2 transmit.
    pub pause: u32,
    /// Capability bits of the speeds to offer.
    pub advertised: u32,
    /// Loopback code.
    pub loopback: u32,
    /// Energy-efficient Ethernet: bit 0 on, bit 1 low-power idle, bits 2 and 3 offer 1G and 10G, bits 31:4 timer in us.
    pub eee: u32,
    /// Bits 7:0 error correction: 0 none, 1 FireCode, 2 RS, 7 automatic; 31:8 those that may be used, for each speed.
    pub fec: u32,
    /// Bits 15:0 forced, 31:16 offered speeds in the extended encoding; 0 when unused.
    pub extended_speed: u32,
}

impl PhyConfig {
    /// Reads the structure that both driver generations send (a short one ends before the error correction).
    pub(crate) fn parse(payload: &[u8; UNION_BYTES]) -> Self {
        Self {
            speed: word(payload, 0),
            pause: word(payload, 1),
            advertised: word(payload, 2),
            loopback: word(payload, 3),
            eee: word(payload, 4),
            fec: word(payload, 6),
            extended_speed: word(payload, 7),
        }
    }
}

/// Why INIT_PHY was answered with "invalid arguments".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidPhyConfig;

/// Capability bits of the extended encoding's forced and offered speeds.
fn extended_capability(bits: u32) -> u32 {
    [
        (0x02, speed::G1),
        (0x04, speed::G10),
        (0x08, speed::G25),
        (0x10, speed::G40),
        (0x60, speed::G50),
        (0x380, speed::G100),
    ]
    .into_iter()
    .filter(|(extended, _)| bits & extended != 0)
    .fold(0, |sum, (_, capability)| sum | capability)
}

/// Error corrections that the extended encoding allows at a speed, the strongest first.
fn extended_fec(speed_bit: u32, bits: u32) -> [Option<Fec>; 3] {
    let (rs, fire_code, none) = match speed_bit {
        speed::G10 => (0, 0x200, 0x100),
        speed::G25 => (0x1000, 0x800, 0x400),
        speed::G40 => (0, 0x4000, 0x2000),
        speed::G50 => (0x6_0000, 0x1_0000, 0x8000),
        speed::G100 => (0x60_0000, 0x10_0000, 0x8_0000),
        _ => (0, 0, 0),
    };
    let allowed = |mask: u32, fec| (bits & mask != 0).then_some(fec);
    [
        allowed(rs, Fec::Rs),
        allowed(fire_code, Fec::FireCode),
        allowed(none, Fec::None),
    ]
}

/// Which optional parts of the PHY configuration the firmware honours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkFeatures {
    pub(crate) eee: bool,
    pub(crate) fec: bool,
    pub(crate) extended: bool,
}

/// State of one port's link.
pub(crate) struct PortLink {
    capability: u32,
    features: LinkFeatures,
    config: PhyConfig,
    /// Bit per mailbox index of the functions that want the link.
    wanted_by: u16,
    partner: Option<Partner>,
    resolved: Resolved,
    /// Until then the link stays down.
    training_until_ns: u64,
}

/// Result of a negotiation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) status: u32,
    pub(crate) eee_status: u32,
    pub(crate) speed_mbps: u32,
    pub(crate) loopback: LoopbackMode,
}

impl Resolved {
    pub(crate) fn is_up(&self) -> bool {
        self.status & STATUS_UP != 0
    }
}

impl PortLink {
    pub(crate) fn new(capability: u32, features: LinkFeatures, partner: Option<Partner>) -> Self {
        let mut link = Self {
            capability,
            features,
            config: PhyConfig::default(),
            wanted_by: 0,
            partner,
            resolved: Resolved::default(),
            training_until_ns: 0,
        };
        link.resolved = link.negotiate(0);
        link
    }

    pub(crate) fn resolved(&self) -> Resolved {
        self.resolved
    }

    pub(crate) fn config(&self) -> PhyConfig {
        self.config
    }

    pub(crate) fn set_partner(&mut self, partner: Option<Partner>) {
        self.partner = partner;
    }

    pub(crate) fn partner(&self) -> Option<Partner> {
        self.partner
    }

    /// Keeps the link down until this time; [`Self::update`] has to run again then.
    pub(crate) fn set_training(&mut self, until_ns: u64) {
        self.training_until_ns = until_ns;
    }

    /// When training ends; in the past when there is none.
    pub(crate) fn training_until_ns(&self) -> u64 {
        self.training_until_ns
    }

    /// INIT_PHY.
    pub(crate) fn configure(
        &mut self,
        function: u8,
        config: PhyConfig,
    ) -> Result<(), InvalidPhyConfig> {
        let known_speed = matches!(config.speed, SPEED_AUTONEG | SPEED_SMARTLINQ)
            || SPEEDS.iter().any(|&(_, mbps, _, _)| mbps == config.speed);
        if !known_speed || LoopbackMode::from_code(config.loopback).is_none() {
            return Err(InvalidPhyConfig);
        }
        self.config = config;
        self.wanted_by |= 1 << (function & 0xf);
        Ok(())
    }

    /// LINK_RESET, or the end of the function's driver.
    pub(crate) fn release(&mut self, function: u8) {
        self.wanted_by &= !(1 << (function & 0xf));
        if self.wanted_by == 0 {
            self.config = PhyConfig::default();
        }
    }

    /// Negotiates again; gives the previous state when something changed.
    pub(crate) fn update(&mut self, now_ns: u64) -> Option<Resolved> {
        let next = self.negotiate(now_ns);
        (next != self.resolved).then(|| std::mem::replace(&mut self.resolved, next))
    }

    fn offered(&self) -> (u32, bool) {
        let config = &self.config;
        let extended_forced = config.extended_speed & 0xffff;
        let extended_offered = config.extended_speed >> 16;
        if self.features.extended && extended_forced > 1 {
            return (extended_capability(extended_forced), false);
        }
        match config.speed {
            SPEED_AUTONEG | SPEED_SMARTLINQ => {
                let mut offered = config.advertised;
                if self.features.extended && extended_offered != 0 {
                    offered |= extended_capability(extended_offered << 1);
                }
                (offered, true)
            }
            forced => {
                let bit = SPEEDS
                    .iter()
                    .find(|&&(_, mbps, _, _)| mbps == forced)
                    .map_or(0, |&(bit, ..)| bit);
                (bit, false)
            }
        }
    }

    fn negotiate(&self, now_ns: u64) -> Resolved {
        let mut resolved = Resolved::default();
        if self.features.eee {
            resolved.eee_status |= 0b0110 << 12;
        }
        if let Some(partner) = self.partner {
            resolved.status |= STATUS_RX_SIGNAL;
            resolved.eee_status |= (partner.eee & 0xf) << 8;
        }
        if self.wanted_by == 0 {
            return resolved;
        }
        resolved.loopback = LoopbackMode::from_code(self.config.loopback).unwrap_or_default();
        let (offered, autoneg) = self.offered();
        if autoneg {
            resolved.status |= STATUS_AUTONEG_ENABLED;
        }
        let supported = offered & self.capability;
        if supported == 0 {
            resolved.status |= STATUS_UNSUPPORTED_SPEED;
            return resolved;
        }
        let looped = resolved.loopback.returns_frames();
        let peer = match self.partner {
            _ if looped => Partner {
                speeds: supported,
                ..Partner::default()
            },
            Some(partner) => partner,
            None => return resolved,
        };
        if now_ns < self.training_until_ns {
            return resolved;
        }
        let Some(&(bit, mbps, code, _)) = SPEEDS
            .iter()
            .rev()
            .find(|&&(bit, ..)| bit & supported & peer.speeds != 0)
        else {
            resolved.status |= STATUS_MAC_LOCAL_FAULT;
            return resolved;
        };
        let Some(fec) = self.fec(bit, peer.fec) else {
            resolved.status |= STATUS_MAC_LOCAL_FAULT;
            return resolved;
        };
        resolved.speed_mbps = mbps;
        resolved.status |= STATUS_UP | code << 1 | (fec as u32) << STATUS_FEC_SHIFT;
        if autoneg {
            resolved.status |= STATUS_AUTONEG_COMPLETE | (peer.pause & 3) << 18;
            for (bit, _, _, partner_bit) in SPEEDS {
                if peer.speeds & bit != 0 {
                    resolved.status |= partner_bit;
                }
            }
        }
        resolved.status |= self.flow_control(autoneg, peer.pause);
        resolved.eee_status |= self.eee(bit, peer.eee);
        resolved
    }

    /// The correction both ends use, or `None` where they cannot agree.
    fn fec(&self, speed_bit: u32, accepted: u32) -> Option<Fec> {
        let chooses = self.features.fec || self.features.extended;
        if !chooses || speed_bit & (speed::G1 | speed::G20) != 0 {
            return Some(Fec::None);
        }
        let accepts = |fec: Fec| accepted >> fec as u32 & 1 != 0;
        let chosen = extended_fec(speed_bit, self.config.fec);
        if self.features.extended && chosen.iter().any(Option::is_some) {
            return chosen.into_iter().flatten().find(|fec| accepts(*fec));
        }
        let allows_rs = speed_bit & (speed::G25 | speed::G50 | speed::G100) != 0;
        let allows_firecode = speed_bit & speed::G100 == 0;
        let basic = if self.features.fec {
            self.config.fec & 0xff
        } else {
            0
        };
        match basic {
            1 if allows_firecode => accepts(Fec::FireCode).then_some(Fec::FireCode),
            2 if allows_rs => accepts(Fec::Rs).then_some(Fec::Rs),
            7 if allows_rs && accepts(Fec::Rs) => Some(Fec::Rs),
            7 if allows_rs && allows_firecode && accepts(Fec::FireCode) => Some(Fec::FireCode),
            _ => accepts(Fec::None).then_some(Fec::None),
        }
    }

    fn flow_control(&self, autoneg: bool, partner: u32) -> u32 {
        let mut receive = self.config.pause & PAUSE_RX != 0;
        let mut transmit = self.config.pause & PAUSE_TX != 0;
        if self.config.pause & PAUSE_AUTONEG != 0 && autoneg {
            // Symmetric and asymmetric bits as IEEE 802.3 annex 28B has them.
            let symmetric = receive;
            let asymmetric = receive != transmit;
            let (partner_symmetric, partner_asymmetric) = (partner & 1 != 0, partner & 2 != 0);
            (receive, transmit) = if symmetric && partner_symmetric {
                (true, true)
            } else {
                (
                    symmetric && asymmetric && partner_asymmetric,
                    !symmetric && asymmetric && partner_symmetric && partner_asymmetric,
                )
            };
        }
        (u32::from(transmit) * STATUS_TX_FLOW_CONTROL)
            | (u32::from(receive) * STATUS_RX_FLOW_CONTROL)
    }

    fn eee(&self, speed_bit: u32, partner: u32) -> u32 {
        if !self.features.eee || self.config.eee & EEE_ENABLED == 0 {
            return 0;
        }
        // Driver bits 2 and 3 become bits 1 and 2 of the status nibbles.
        let advertised = self.config.eee >> 1 & 0b110;
        let used = match speed_bit {
            speed::G1 => 0b010,
            speed::G10 => 0b100,
            _ => 0,
        };
        let active = u32::from(advertised & partner & used != 0) * EEE_ACTIVE;
        advertised << 4 | active
    }
}

#[cfg(test)]
mod tests;
