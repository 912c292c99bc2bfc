//! The link: what it does, and what it is told to do.

use core::fmt;

use fastlinq_pac::mfw::constants::link as bit;
use fastlinq_pac::mfw::constants::phy;
use fastlinq_pac::mfw::{
    DriverCommand, EthPhyCfg, FirmwareResponse, eth_phy_cfg, public_func, public_port,
};
use zerocopy::{FromZeros, IntoBytes};

use super::extended_link::ExtendedLink;
use super::{Answer, MailboxError, SectionError};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::info;

/// Speed of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Speed {
    /// 1 Gb/s.
    G1,
    /// 10 Gb/s.
    G10,
    /// 20 Gb/s.
    G20,
    /// 25 Gb/s.
    G25,
    /// 40 Gb/s.
    G40,
    /// 50 Gb/s.
    G50,
    /// 100 Gb/s.
    G100,
}

impl Speed {
    /// All speeds, in the order of their bits in a [`SpeedSet`].
    pub const ALL: [Self; 7] = [
        Self::G1,
        Self::G10,
        Self::G20,
        Self::G25,
        Self::G40,
        Self::G50,
        Self::G100,
    ];

    /// The speed in Mb/s.
    #[must_use]
    pub const fn mbps(self) -> u32 {
        match self {
            Self::G1 => 1_000,
            Self::G10 => 10_000,
            Self::G20 => 20_000,
            Self::G25 => 25_000,
            Self::G40 => 40_000,
            Self::G50 => 50_000,
            Self::G100 => 100_000,
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Gb/s", self.mbps() / 1000)
    }
}

/// A set of speeds; bit n is [`Speed::ALL`]`[n]`, as in the NVM configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SpeedSet(pub u32);

impl SpeedSet {
    /// Whether `speed` is in the set.
    #[must_use]
    pub const fn contains(self, speed: Speed) -> bool {
        self.0 & 1 << speed as u32 != 0
    }

    /// The set with `speed`.
    #[must_use]
    pub const fn with(self, speed: Speed) -> Self {
        Self(self.0 | 1 << speed as u32)
    }

    /// The speeds in the set, slowest first.
    pub fn iter(self) -> impl Iterator<Item = Speed> {
        Speed::ALL
            .into_iter()
            .filter(move |speed| self.contains(*speed))
    }
}

/// Forward error correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fec {
    /// None.
    None,
    /// Fire code (clause 74).
    FireCode,
    /// Reed-Solomon (clause 91).
    ReedSolomon,
    /// Negotiated; only as a wish.
    Auto,
    /// A value that no source documents.
    Unknown(u8),
}

impl Fec {
    pub(crate) const fn decode(value: u32) -> Self {
        match value {
            phy::FEC_FORCE_MODE_NONE => Self::None,
            phy::FEC_FORCE_MODE_FIRECODE => Self::FireCode,
            phy::FEC_FORCE_MODE_RS => Self::ReedSolomon,
            phy::FEC_FORCE_MODE_AUTO => Self::Auto,
            other => Self::Unknown(other as u8),
        }
    }

    const fn encode(self) -> u32 {
        match self {
            Self::None => phy::FEC_FORCE_MODE_NONE,
            Self::FireCode => phy::FEC_FORCE_MODE_FIRECODE,
            Self::ReedSolomon => phy::FEC_FORCE_MODE_RS,
            Self::Auto => phy::FEC_FORCE_MODE_AUTO,
            Self::Unknown(value) => value as u32,
        }
    }
}

/// Flow control by pause frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pause {
    /// Negotiate it; only as a wish.
    pub autonegotiate: bool,
    /// Obey received pause frames.
    pub receive: bool,
    /// Send pause frames.
    pub transmit: bool,
}

impl Pause {
    pub(crate) const fn decode(value: u32) -> Self {
        Self {
            autonegotiate: value & phy::ETH_PAUSE_AUTONEG != 0,
            receive: value & phy::ETH_PAUSE_RX != 0,
            transmit: value & phy::ETH_PAUSE_TX != 0,
        }
    }

    const fn encode(self) -> u32 {
        let mut value = phy::ETH_PAUSE_NONE;
        if self.autonegotiate {
            value |= phy::ETH_PAUSE_AUTONEG;
        }
        if self.receive {
            value |= phy::ETH_PAUSE_RX;
        }
        if self.transmit {
            value |= phy::ETH_PAUSE_TX;
        }
        value
    }
}

/// What the link partner advertises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Partner {
    /// Speeds in full duplex.
    pub speeds: SpeedSet,
    /// 1 Gb/s in half duplex.
    pub half_duplex: bool,
    /// Symmetric pause.
    pub symmetric_pause: bool,
    /// Asymmetric pause.
    pub asymmetric_pause: bool,
}

/// What is wrong with the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkFaults {
    /// The MAC sees a local fault.
    pub local: bool,
    /// The partner reports a fault.
    pub remote: bool,
    /// The module's transmitter is faulty.
    pub module_transmitter: bool,
    /// The speed that was asked for is not supported.
    pub unsupported_speed: bool,
    /// There is no signal.
    pub no_signal: bool,
}

/// The state of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkState {
    /// Whether frames can pass: the function's link is up and the driver asked for it.
    pub up: bool,
    /// Whether the port's own link is up, whatever the function's is.
    pub physical: bool,
    /// Speed; `None` when the link is down or the value is unknown, which counts as down.
    pub speed: Option<Speed>,
    /// Full duplex.
    pub full_duplex: bool,
    /// Autonegotiation is on.
    pub autonegotiation: bool,
    /// Autonegotiation is complete.
    pub autonegotiation_complete: bool,
    /// The speed was found by parallel detection.
    pub parallel_detection: bool,
    /// Priority flow control is on.
    pub priority_flow_control: bool,
    /// Pause as it is in effect.
    pub pause: Pause,
    /// Forward error correction in effect.
    pub fec: Fec,
    /// What the partner advertises.
    pub partner: Partner,
    /// What is wrong.
    pub faults: LinkFaults,
    /// The status word.
    pub raw: u32,
}

impl LinkState {
    /// Decodes the port section's `link_status`.
    ///
    /// `virtual_link` is bit 0 of the function's status where the management firmware has virtual links; it
    /// then decides in place of the port's. `wanted` is whether the driver has asked for the link.
    ///
    /// # Examples
    ///
    /// ```
    /// use fastlinq_hal::mfw::link::{LinkState, Speed};
    ///
    /// let state = LinkState::decode(0x0080_0071, None, true);
    /// assert!(state.up);
    /// assert_eq!(state.speed, Some(Speed::G25));
    /// // A speed that nobody knows is no link.
    /// assert!(!LinkState::decode(0x0000_001f, None, true).up);
    /// ```
    #[must_use]
    pub fn decode(status: u32, virtual_link: Option<bool>, wanted: bool) -> Self {
        let has = |bits: u32| status & bits != 0;
        let speed = match status & bit::SPEED_AND_DUPLEX_MASK {
            bit::SPEED_AND_DUPLEX_1000THD | bit::SPEED_AND_DUPLEX_1000TFD => Some(Speed::G1),
            bit::SPEED_AND_DUPLEX_10G => Some(Speed::G10),
            bit::SPEED_AND_DUPLEX_20G => Some(Speed::G20),
            bit::SPEED_AND_DUPLEX_40G => Some(Speed::G40),
            bit::SPEED_AND_DUPLEX_50G => Some(Speed::G50),
            bit::SPEED_AND_DUPLEX_100G => Some(Speed::G100),
            bit::SPEED_AND_DUPLEX_25G => Some(Speed::G25),
            _ => None,
        };
        let physical = has(bit::LINK_UP) && speed.is_some();
        let up = wanted && speed.is_some() && virtual_link.unwrap_or(physical);
        let partner = [
            (bit::LINK_PARTNER_1000TFD_CAPABLE, Speed::G1),
            (bit::LINK_PARTNER_10G_CAPABLE, Speed::G10),
            (bit::LINK_PARTNER_20G_CAPABLE, Speed::G20),
            (bit::LINK_PARTNER_25G_CAPABLE, Speed::G25),
            (bit::LINK_PARTNER_40G_CAPABLE, Speed::G40),
            (bit::LINK_PARTNER_50G_CAPABLE, Speed::G50),
            (bit::LINK_PARTNER_100G_CAPABLE, Speed::G100),
        ];
        let speeds = partner
            .iter()
            .filter(|(bits, _)| has(*bits))
            .fold(SpeedSet::default(), |set, (_, speed)| set.with(*speed));
        Self {
            up,
            physical,
            speed: if has(bit::LINK_UP) { speed } else { None },
            full_duplex: status & bit::SPEED_AND_DUPLEX_MASK != bit::SPEED_AND_DUPLEX_1000THD,
            autonegotiation: has(bit::AUTO_NEGOTIATE_ENABLED),
            autonegotiation_complete: has(bit::AUTO_NEGOTIATE_COMPLETE),
            parallel_detection: has(bit::PARALLEL_DETECTION_USED),
            priority_flow_control: has(bit::PFC_ENABLED),
            pause: Pause {
                autonegotiate: false,
                receive: has(bit::RX_FLOW_CONTROL_ENABLED),
                transmit: has(bit::TX_FLOW_CONTROL_ENABLED),
            },
            fec: match status & bit::FEC_MODE_MASK {
                bit::FEC_MODE_NONE => Fec::None,
                bit::FEC_MODE_FIRECODE_CL74 => Fec::FireCode,
                bit::FEC_MODE_RS_CL91 => Fec::ReedSolomon,
                other => Fec::Unknown((other >> bit::FEC_MODE_MASK.trailing_zeros()) as u8),
            },
            partner: Partner {
                speeds,
                half_duplex: has(bit::LINK_PARTNER_1000THD_CAPABLE),
                symmetric_pause: has(bit::LINK_PARTNER_SYMMETRIC_PAUSE),
                asymmetric_pause: has(bit::LINK_PARTNER_ASYMMETRIC_PAUSE),
            },
            faults: LinkFaults {
                local: has(bit::MAC_LOCAL_FAULT),
                remote: has(bit::MAC_REMOTE_FAULT),
                module_transmitter: has(bit::SFP_TX_FAULT),
                unsupported_speed: has(bit::UNSUPPORTED_SPD_REQ),
                no_signal: !has(bit::RX_SIGNAL_PRESENT),
            },
            raw: status,
        }
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.up, self.speed) {
            (true, Some(speed)) => {
                let duplex = if self.full_duplex { "full" } else { "half" };
                write!(f, "up, {speed} {duplex} duplex")
            }
            (false, Some(speed)) => write!(f, "down for the function, {speed} on the port"),
            _ => f.write_str("down"),
        }
    }
}

/// Reads the state of the link.
///
/// Touches `link_status` of the port section and, where the management firmware has virtual links, `status` of
/// the function section.
///
/// # Errors
///
/// [`SectionError`].
pub fn read<H: Host>(core: &Core<H>) -> Result<LinkState, SectionError> {
    let status = super::read_field(core, core.mailbox.port(), public_port::offset::LINK_STATUS)?;
    let virtual_link = if core.mfw.features.virtual_link() {
        let function = core.mailbox.function();
        let status = super::read_field(core, function, public_func::offset::STATUS)?;
        Some(status & 1 != 0)
    } else {
        None
    };
    Ok(LinkState::decode(
        status,
        virtual_link,
        core.mfw.link_wanted,
    ))
}

/// Where frames turn back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Loopback {
    /// Nowhere.
    #[default]
    None,
    /// In the internal PHY.
    InternalPhy,
    /// In the external PHY.
    ExternalPhy,
    /// Outside, by a loopback plug.
    External,
    /// In the MAC.
    Mac,
}

/// Energy-efficient Ethernet as a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EnergyEfficiency {
    /// Use it.
    pub enable: bool,
    /// Let the transmitter idle.
    pub transmit_idle: bool,
    /// Advertise it for 1 Gb/s.
    pub advertise_1g: bool,
    /// Advertise it for 10 Gb/s.
    pub advertise_10g: bool,
    /// Microseconds until the transmitter idles, 28 bits.
    pub timer_us: u32,
}

/// What the link is told to do.
///
/// [`Default`] negotiates speed and pause and leaves the rest alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkSettings {
    /// Speed to force; `None` negotiates.
    pub speed: Option<Speed>,
    /// Speeds to advertise.
    pub advertise: SpeedSet,
    /// Flow control.
    pub pause: Pause,
    /// Where frames turn back.
    pub loopback: Loopback,
    /// Forward error correction; sent only to a management firmware that lets it be chosen.
    pub fec: Option<Fec>,
    /// Energy-efficient Ethernet; sent only to a management firmware that knows it.
    pub energy: Option<EnergyEfficiency>,
    /// Speed and error correction in the extended form, which then count instead; only for a management firmware that
    /// announces it.
    pub extended: Option<ExtendedLink>,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            speed: None,
            advertise: SpeedSet(0x7f),
            pause: Pause {
                autonegotiate: true,
                receive: true,
                transmit: true,
            },
            loopback: Loopback::None,
            fec: None,
            energy: None,
            extended: None,
        }
    }
}

impl LinkSettings {
    fn encode(&self, features: super::features::Features) -> EthPhyCfg {
        let mut wish = EthPhyCfg::new_zeroed();
        wish.speed
            .set(self.speed.map_or(phy::ETH_SPEED_AUTONEG, Speed::mbps));
        wish.pause.set(self.pause.encode());
        wish.adv_speed.set(self.advertise.0);
        wish.loopback_mode.set(match self.loopback {
            Loopback::None => phy::ETH_LOOPBACK_NONE,
            Loopback::InternalPhy => phy::ETH_LOOPBACK_INT_PHY,
            Loopback::ExternalPhy => phy::ETH_LOOPBACK_EXT_PHY,
            Loopback::External => phy::ETH_LOOPBACK_EXT,
            Loopback::Mac => phy::ETH_LOOPBACK_MAC,
        });
        if let (Some(energy), true) = (self.energy, features.energy_efficient_ethernet()) {
            let flag = |on: bool, bit: u32| if on { bit } else { 0 };
            wish.eee_cfg.set(
                flag(energy.enable, phy::EEE_CFG_EEE_ENABLED)
                    | flag(energy.transmit_idle, phy::EEE_CFG_TX_LPI)
                    | flag(energy.advertise_1g, phy::EEE_CFG_ADV_SPEED_1G)
                    | flag(energy.advertise_10g, phy::EEE_CFG_ADV_SPEED_10G)
                    | eth_phy_cfg::EEE_TX_TIMER_USEC.val(energy.timer_us).value,
            );
        }
        if let (Some(fec), true) = (self.fec, features.fec_control()) {
            wish.fec_mode.set(fec.encode());
        }
        if let (Some(extended), true) = (self.extended, features.extended_speed()) {
            wish.extended_speed.set(extended.speed_word());
            // The bits stand in their final places.
            wish.fec_mode.set(wish.fec_mode.get() | extended.fec.bits());
        }
        wish
    }
}

/// Brings the link up as `settings` say (INIT_PHY).
///
/// Negotiation takes its time: read the state afterwards, and again at link-change events. Known drivers look
/// only for whether an answer came, so from then on the link counts as wanted.
///
/// # Errors
///
/// [`MailboxError`].
pub fn bring_up<H: Host>(
    core: &mut Core<H>,
    settings: &LinkSettings,
) -> Result<Answer<()>, MailboxError> {
    let wish = settings.encode(core.mfw.features);
    let reply = core.command(DriverCommand::INIT_PHY, 0, wish.as_bytes())?;
    let answer = reply.judge(
        &[FirmwareResponse::INIT_PHY_DONE, FirmwareResponse::OK],
        |_| (),
    );
    core.mfw.link_wanted = true;
    info!("the link is asked for");
    Ok(answer)
}

/// Takes the link down (LINK_RESET).
///
/// # Errors
///
/// [`MailboxError`].
pub fn take_down<H: Host>(
    core: &mut Core<H>,
    settings: &LinkSettings,
) -> Result<Answer<()>, MailboxError> {
    let wish = settings.encode(core.mfw.features);
    core.mfw.link_wanted = false;
    let reply = core.command(DriverCommand::LINK_RESET, 0, wish.as_bytes())?;
    Ok(reply.judge(
        &[FirmwareResponse::LINK_RESET_DONE, FirmwareResponse::OK],
        |_| (),
    ))
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
