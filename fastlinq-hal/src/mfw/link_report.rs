//! Why the link is as it is: what was asked for, what each party made of it.

use core::fmt;

use fastlinq_pac::mfw::public_port::{self, offset};
use heapless::Vec;
use tock_registers::LocalRegisterCopy;

use super::SectionError;
use super::link::{self, Fec, LinkSettings, LinkState, Speed, SpeedSet};
use super::section::read_field;
use crate::core_state::Core;
use crate::host::Host;

/// State of the module in the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ModuleState {
    /// There is none.
    Absent,
    /// It is there, and not read yet.
    Present,
    /// It is there and of a known type.
    Valid,
    /// It is being read.
    Updating,
    /// It is being set up.
    InSetup,
    /// A value that no source documents.
    Unknown(u8),
}

/// What sits in the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Module {
    /// Its state.
    pub state: ModuleState,
    /// Its type, a code; 0 none, 255 unknown.
    pub code: u8,
    /// Kind of medium, a code: 1 SFP+, 2 XFP, 3 direct attach, 4 BASE-T, 5 SFP, 6 fiber module, 0xf0 backplane, 0xff none.
    pub medium: u32,
}

impl Module {
    /// The fastest speed of its type; `None` where the type does not say.
    #[must_use]
    pub const fn fastest(self) -> Option<Speed> {
        Some(match self.code {
            0x01..=0x04 | 0x21 => Speed::G1,
            0x05..=0x0a | 0x22 | 0x39 | 0x3a => Speed::G10,
            0x16..=0x1e | 0x37 | 0x38 => Speed::G25,
            0x0b..=0x0e | 0x15 | 0x1f | 0x30..=0x32 => Speed::G40,
            0x0f..=0x14 | 0x20 | 0x33..=0x36 => Speed::G100,
            _ => return None,
        })
    }

    fn decode(data: u32, medium: u32) -> Self {
        let data = LocalRegisterCopy::<u32, public_port::Register>::new(data);
        let state = match data.read(public_port::ETH_TRANSCEIVER_STATE) {
            public_port::ETH_TRANSCEIVER_STATE_UNPLUGGED => ModuleState::Absent,
            public_port::ETH_TRANSCEIVER_STATE_PRESENT => ModuleState::Present,
            public_port::ETH_TRANSCEIVER_STATE_VALID => ModuleState::Valid,
            public_port::ETH_TRANSCEIVER_STATE_UPDATING => ModuleState::Updating,
            public_port::ETH_TRANSCEIVER_STATE_IN_SETUP => ModuleState::InSetup,
            other => ModuleState::Unknown(other as u8),
        };
        Self {
            state,
            code: data.read(public_port::ETH_TRANSCEIVER_TYPE) as u8,
            medium,
        }
    }
}

/// Energy-efficient Ethernet as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EnergyStatus {
    /// It is in effect.
    pub active: bool,
    /// Speeds for which this side advertises it.
    pub advertised: SpeedSet,
    /// Speeds for which the partner advertises it.
    pub partner: SpeedSet,
    /// Speeds for which the port can do it.
    pub supported: SpeedSet,
    /// Microseconds that the partner needs to wake before it transmits.
    pub partner_wake_transmit_us: u16,
    /// Microseconds that it needs to wake before it receives.
    pub partner_wake_receive_us: u16,
}

impl EnergyStatus {
    fn decode(status: u32, remote: u32) -> Self {
        // In each group of four: bit 1 is 1 Gb/s, bit 2 is 10 Gb/s.
        let speeds = |shift: u32| {
            let mut set = SpeedSet::default();
            if status >> shift & 2 != 0 {
                set = set.with(Speed::G1);
            }
            if status >> shift & 4 != 0 {
                set = set.with(Speed::G10);
            }
            set
        };
        Self {
            active: status & 1 != 0,
            advertised: speeds(4),
            partner: speeds(8),
            supported: speeds(12),
            partner_wake_transmit_us: remote as u16,
            partner_wake_receive_us: (remote >> 16) as u16,
        }
    }
}

/// Who is the reason for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Party {
    /// The caller has not asked, or asked for something that contradicts itself.
    Caller,
    /// The configuration in flash.
    Flash,
    /// The management firmware.
    ManagementFirmware,
    /// The module.
    Module,
    /// The cable, or nobody at its other end.
    Cable,
    /// The partner at the other end.
    Partner,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Flash => "flash configuration",
            Self::ManagementFirmware => "management firmware",
            Self::Module => "module",
            Self::Cable => "cable",
            Self::Partner => "link partner",
        })
    }
}

/// One thing in which the link is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LinkFinding {
    /// Nobody has asked for the link.
    NotRequested,
    /// The flash does not list the forced speed for the port.
    SpeedNotInFlash(Speed),
    /// The flash lists none of the advertised speeds.
    NothingInFlash,
    /// The management firmware says that it cannot do the speed.
    SpeedRefused,
    /// There is no module.
    NoModule,
    /// The module is not ready.
    ModuleNotReady(ModuleState),
    /// The module's type is slower than what was forced.
    ModuleTooSlow {
        /// The fastest speed of its type.
        fastest: Speed,
        /// What was forced.
        wanted: Speed,
    },
    /// The module's transmitter is faulty.
    TransmitterFault,
    /// No signal arrives.
    NoSignal,
    /// The MAC sees a fault.
    LocalFault,
    /// The partner sees a fault.
    RemoteFault,
    /// The partner advertises none of the speeds.
    NoCommonSpeed,
    /// Negotiation is not complete.
    Negotiating,
    /// The function's link is off, while the port's is up.
    FunctionOff,
    /// The link is slower than the fastest that was asked for.
    Slower {
        /// What it is.
        speed: Speed,
        /// What was asked for.
        wanted: Speed,
    },
    /// The management firmware does not let FEC be chosen.
    FecNotSent(Fec),
    /// FEC is another one.
    FecDiffers {
        /// What it is.
        active: Fec,
        /// What was asked for.
        wanted: Fec,
    },
    /// Pause does not work in a direction that was asked for.
    NoPause {
        /// Obeying received pause frames was asked for and is off.
        receive: bool,
        /// Sending pause frames was asked for and is off.
        transmit: bool,
    },
    /// The management firmware does not know energy-efficient Ethernet.
    EnergyNotSent,
    /// The partner does not want energy-efficient Ethernet at this speed.
    EnergyNotActive,
}

impl LinkFinding {
    /// Who is the reason.
    #[must_use]
    pub const fn party(self) -> Party {
        match self {
            Self::NotRequested => Party::Caller,
            Self::SpeedNotInFlash(_) | Self::NothingInFlash => Party::Flash,
            Self::SpeedRefused
            | Self::FecNotSent(_)
            | Self::EnergyNotSent
            | Self::FunctionOff
            | Self::LocalFault => Party::ManagementFirmware,
            Self::NoModule
            | Self::ModuleNotReady(_)
            | Self::ModuleTooSlow { .. }
            | Self::TransmitterFault => Party::Module,
            Self::NoSignal => Party::Cable,
            Self::RemoteFault
            | Self::NoCommonSpeed
            | Self::Negotiating
            | Self::Slower { .. }
            | Self::FecDiffers { .. }
            | Self::NoPause { .. }
            | Self::EnergyNotActive => Party::Partner,
        }
    }
}

impl fmt::Display for LinkFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.party())?;
        match self {
            Self::NotRequested => f.write_str("the link was not asked for"),
            Self::SpeedNotInFlash(speed) => write!(f, "{speed} is not among the port's speeds"),
            Self::NothingInFlash => {
                f.write_str("none of the advertised speeds is among the port's")
            }
            Self::SpeedRefused => f.write_str("the speed is not supported"),
            Self::NoModule => f.write_str("there is no module"),
            Self::ModuleNotReady(state) => write!(f, "it is not ready ({state:?})"),
            Self::ModuleTooSlow { fastest, wanted } => {
                write!(f, "its type has {fastest}, {wanted} was forced")
            }
            Self::TransmitterFault => f.write_str("its transmitter is faulty"),
            Self::NoSignal => f.write_str("no signal arrives"),
            Self::LocalFault => f.write_str("the MAC sees a fault"),
            Self::RemoteFault => f.write_str("it reports a fault"),
            Self::NoCommonSpeed => f.write_str("it advertises none of our speeds"),
            Self::Negotiating => f.write_str("negotiation is not complete"),
            Self::FunctionOff => f.write_str("the function's link is off, the port's is up"),
            Self::Slower { speed, wanted } => write!(f, "{speed} instead of {wanted}"),
            Self::FecNotSent(wanted) => write!(f, "{wanted:?} cannot be chosen"),
            Self::FecDiffers { active, wanted } => {
                write!(f, "error correction is {active:?} instead of {wanted:?}")
            }
            Self::NoPause { receive, transmit } => f.write_str(match (receive, transmit) {
                (true, false) => "received pause frames are not obeyed",
                (false, true) => "no pause frames are sent",
                _ => "pause is off both ways",
            }),
            Self::EnergyNotSent => f.write_str("it does not know energy-efficient Ethernet"),
            Self::EnergyNotActive => f.write_str("no energy-efficient Ethernet at this speed"),
        }
    }
}

/// Most findings of a report.
const FINDINGS: usize = 16;

/// What was asked for, what is, and why they differ.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkReport {
    /// What was asked for last.
    pub requested: Option<LinkSettings>,
    /// Speeds of the port in flash; `None` when it does not say.
    pub flash_speeds: Option<SpeedSet>,
    /// What sits in the port.
    pub module: Module,
    /// What is.
    pub state: LinkState,
    /// Energy-efficient Ethernet; `None` when the management firmware does not know it.
    pub energy: Option<EnergyStatus>,
    /// In what the link is not what was asked for.
    pub findings: Vec<LinkFinding, FINDINGS>,
}

impl LinkReport {
    fn find(&mut self, finding: LinkFinding) {
        // There are fewer kinds of findings than places.
        let _ = self.findings.push(finding);
    }

    /// What can be said from the settings alone.
    fn judge_request(&mut self, wish: &LinkSettings) {
        if let Some(flash) = self.flash_speeds {
            match wish.speed {
                Some(speed) if !flash.contains(speed) => {
                    self.find(LinkFinding::SpeedNotInFlash(speed));
                }
                None if flash.0 & wish.advertise.0 == 0 => self.find(LinkFinding::NothingInFlash),
                _ => {}
            }
        }
        match (wish.speed, self.module.fastest()) {
            (Some(wanted), Some(fastest)) if wanted > fastest => {
                self.find(LinkFinding::ModuleTooSlow { fastest, wanted });
            }
            _ => {}
        }
    }

    /// What keeps the link down.
    fn judge_down(&mut self, wish: &LinkSettings) {
        const NO_MEDIUM: u32 = 0xff;
        let faults = self.state.faults;
        if self.module.state == ModuleState::Absent && self.module.medium == NO_MEDIUM {
            self.find(LinkFinding::NoModule);
        } else if matches!(
            self.module.state,
            ModuleState::Updating | ModuleState::InSetup
        ) {
            self.find(LinkFinding::ModuleNotReady(self.module.state));
        }
        if faults.no_signal {
            self.find(LinkFinding::NoSignal);
        }
        if self.state.physical {
            self.find(LinkFinding::FunctionOff);
        } else if wish.speed.is_none() {
            let partner = self.state.partner.speeds;
            if partner.0 != 0 && partner.0 & wish.advertise.0 == 0 {
                self.find(LinkFinding::NoCommonSpeed);
            } else if self.state.autonegotiation && !self.state.autonegotiation_complete {
                self.find(LinkFinding::Negotiating);
            }
        }
    }

    /// In what a link that is up is less than was asked for.
    fn judge_up(&mut self, wish: &LinkSettings) {
        let state = self.state;
        let known = self
            .flash_speeds
            .map_or(wish.advertise.0, |flash| wish.advertise.0 & flash.0);
        let wanted = wish.speed.or_else(|| SpeedSet(known).iter().last());
        if let (Some(speed), Some(wanted)) = (state.speed, wanted) {
            if speed < wanted {
                self.find(LinkFinding::Slower { speed, wanted });
            }
        }
        let receive = wish.pause.receive && !state.pause.receive;
        let transmit = wish.pause.transmit && !state.pause.transmit;
        if receive || transmit {
            self.find(LinkFinding::NoPause { receive, transmit });
        }
    }
}

/// Reads all that is known of the link, and compares it with what was asked for.
///
/// # Errors
///
/// [`SectionError`].
pub fn read<H: Host>(
    core: &Core<H>,
    requested: Option<LinkSettings>,
    flash_speeds: Option<SpeedSet>,
) -> Result<LinkReport, SectionError> {
    let port = |field| read_field(core, core.mailbox.port(), field);
    let features = core.mfw.features;
    let energy = if features.energy_efficient_ethernet() {
        let status = port(offset::EEE_STATUS)?;
        Some(EnergyStatus::decode(status, port(offset::EEE_REMOTE)?))
    } else {
        None
    };
    let mut report = LinkReport {
        requested,
        flash_speeds,
        module: Module::decode(port(offset::TRANSCEIVER_DATA)?, port(offset::MEDIA_TYPE)?),
        state: link::read(core)?,
        energy,
        findings: Vec::new(),
    };
    let Some(wish) = requested else {
        report.find(LinkFinding::NotRequested);
        return Ok(report);
    };
    let wish = wish.in_basic_form();
    report.judge_request(&wish);
    let faults = report.state.faults;
    for (there, finding) in [
        (faults.unsupported_speed, LinkFinding::SpeedRefused),
        (faults.module_transmitter, LinkFinding::TransmitterFault),
        (faults.local, LinkFinding::LocalFault),
        (faults.remote, LinkFinding::RemoteFault),
    ] {
        if there {
            report.find(finding);
        }
    }
    if report.state.up {
        report.judge_up(&wish);
    } else {
        report.judge_down(&wish);
    }
    match wish.fec {
        Some(wanted) if !features.fec_control() => report.find(LinkFinding::FecNotSent(wanted)),
        Some(wanted) if report.state.up && wanted != Fec::Auto && wanted != report.state.fec => {
            let active = report.state.fec;
            report.find(LinkFinding::FecDiffers { active, wanted });
        }
        _ => {}
    }
    if wish.energy.is_some_and(|energy| energy.enable) {
        match energy {
            None => report.find(LinkFinding::EnergyNotSent),
            // At other speeds nobody can have it.
            Some(status) => {
                let speed = report.state.speed.filter(|_| report.state.up);
                if !status.active && speed.is_some_and(|speed| status.supported.contains(speed)) {
                    report.find(LinkFinding::EnergyNotActive);
                }
            }
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_status_is_read_as_the_reference_has_it() {
        let status = EnergyStatus::decode(0x6241, 0x0011_0007);
        assert!(status.active);
        assert_eq!(status.advertised, SpeedSet::default().with(Speed::G10));
        assert_eq!(status.partner, SpeedSet::default().with(Speed::G1));
        let both = SpeedSet::default().with(Speed::G1).with(Speed::G10);
        assert_eq!(status.supported, both);
        let wake = (
            status.partner_wake_transmit_us,
            status.partner_wake_receive_us,
        );
        assert_eq!(wake, (7, 17));
    }

    #[test]
    fn modules_tell_their_speed_where_their_type_does() {
        for (data, state, fastest) in [
            (0x0000, ModuleState::Absent, None),
            (0x0503, ModuleState::Valid, Some(Speed::G10)),
            (0x1c03, ModuleState::Valid, Some(Speed::G25)),
            (0x1008, ModuleState::Updating, Some(Speed::G100)),
            (0xff77, ModuleState::Unknown(0x77), None),
        ] {
            let module = Module::decode(data, 1);
            assert_eq!((module.state, module.fastest()), (state, fastest));
        }
    }

    #[test]
    fn a_partner_without_a_common_speed_is_named() {
        // Down, with a signal; the partner advertises 10 Gb/s.
        let state = LinkState::decode(1 << 23 | 1 << 11 | 1 << 5, None, true);
        let mut report = LinkReport {
            requested: None,
            flash_speeds: Some(SpeedSet(0x7f)),
            module: Module::decode(0x1c01, 6),
            state,
            energy: None,
            findings: Vec::new(),
        };
        let only = LinkSettings {
            advertise: SpeedSet::default().with(Speed::G25),
            ..LinkSettings::default()
        };
        report.judge_down(&only);
        assert_eq!(report.findings, [LinkFinding::NoCommonSpeed]);
        report.findings.clear();
        report.judge_down(&LinkSettings::default());
        assert_eq!(report.findings, [LinkFinding::Negotiating]);
    }
}
