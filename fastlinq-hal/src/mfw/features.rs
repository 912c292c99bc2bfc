//! What the management firmware can do, and telling it what the driver can do.
//!
//! All of these questions are newer than the oldest firmware in the field: every one may come back
//! [`Answer::Unsupported`], which means "no".

use fastlinq_pac::Chip;
use fastlinq_pac::mfw::constants::param as request;
use fastlinq_pac::mfw::constants::response_param as bit;
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

use super::{Answer, MailboxError};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{debug, info};

/// Features of the management firmware, as bits; unknown ones are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Features(pub u32);

impl Features {
    /// Energy-efficient Ethernet can be configured.
    #[must_use]
    pub const fn energy_efficient_ethernet(self) -> bool {
        self.0 & bit::FEATURE_SUPPORT_EEE != 0
    }

    /// LOAD_REQ understands a lock time-out.
    #[must_use]
    pub const fn load_lock_timeout(self) -> bool {
        self.0 & bit::FEATURE_SUPPORT_DRV_LOAD_TO != 0
    }

    /// Forward error correction can be chosen.
    #[must_use]
    pub const fn fec_control(self) -> bool {
        self.0 & bit::FEATURE_SUPPORT_FEC_CONTROL != 0
    }

    /// Speed and FEC can be chosen in the extended form.
    #[must_use]
    pub const fn extended_speed(self) -> bool {
        self.0 & bit::FEATURE_SUPPORT_EXT_SPEED_FEC_CONTROL != 0
    }

    /// A function-level reset cleans the function's IGU entries.
    #[must_use]
    pub const fn igu_cleanup(self) -> bool {
        self.0 & bit::FEATURE_SUPPORT_IGU_CLEANUP != 0
    }

    /// The function has a virtual link of its own.
    #[must_use]
    pub const fn virtual_link(self) -> bool {
        self.0 & bit::FEATURE_SUPPORT_VLINK != 0
    }

    /// The system can be locked down against changes of the flash.
    #[must_use]
    pub const fn enhanced_lockdown(self) -> bool {
        self.0 & bit::FEATURE_SUPPORT_ENHANCED_SYS_LCK != 0
    }
}

/// RDMA protocols that a function may run beside Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RdmaProtocol {
    /// None.
    None,
    /// RoCE.
    Roce,
    /// iWARP.
    Iwarp,
    /// RoCE and iWARP.
    Both,
    /// A value that no source documents.
    Unknown(u32),
}

/// Physical-port function ids of the function: the classification units of the port that are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PpfidBitmap {
    /// Bit n: ppfid n belongs to the function.
    pub bitmap: u8,
    /// The ppfid that belongs to it by position.
    pub native: u8,
}

/// Asks for the features of the management firmware (GET_MFW_FEATURE_SUPPORT) and keeps them in
/// [`MfwInfo::features`](super::MfwInfo::features); none when it does not answer with success.
///
/// # Errors
///
/// [`MailboxError`].
pub fn query<H: Host>(core: &mut Core<H>) -> Result<Answer<Features>, MailboxError> {
    let reply = core.command(DriverCommand::GET_MFW_FEATURE_SUPPORT, 0, &[])?;
    let answer = reply.judge_ok(|reply| Features(reply.param));
    core.mfw.features = answer.done_or(Features::default());
    info!(
        "features of the management firmware: {:#x}",
        core.mfw.features.0
    );
    Ok(answer)
}

/// Tells the management firmware what the driver understands (FEATURE_SUPPORT): energy-efficient Ethernet,
/// FEC control, virtual link, and the extended form of speed and FEC where the firmware announces it. Belongs right behind
/// LOAD_REQ.
///
/// # Errors
///
/// [`MailboxError`].
pub fn declare<H: Host>(core: &mut Core<H>) -> Result<Answer<()>, MailboxError> {
    let mut param = request::FEATURE_SUPPORT_PORT_EEE
        | request::FEATURE_SUPPORT_PORT_FEC_CONTROL
        | request::FEATURE_SUPPORT_FUNC_VLINK;
    if core.mfw.features.extended_speed() {
        param |= request::FEATURE_SUPPORT_PORT_EXT_SPEED_FEC_CONTROL;
    }
    let reply = core.command(DriverCommand::FEATURE_SUPPORT, param, &[])?;
    Ok(reply.judge_ok(|_| ()))
}

/// Asks whether the operating system may use wake-on-LAN (OS_WOL). Done means yes, everything else no.
///
/// # Errors
///
/// [`MailboxError`].
pub fn wake_on_lan<H: Host>(core: &mut Core<H>) -> Result<Answer<()>, MailboxError> {
    let reply = core.command(DriverCommand::OS_WOL, 0, &[])?;
    Ok(reply.judge(&[FirmwareResponse::OS_WOL_SUPPORTED], |_| ()))
}

/// Asks which RDMA protocol the function has (GET_PF_RDMA_PROTOCOL).
///
/// # Errors
///
/// [`MailboxError`].
pub fn rdma_protocol<H: Host>(core: &mut Core<H>) -> Result<Answer<RdmaProtocol>, MailboxError> {
    let reply = core.command(DriverCommand::GET_PF_RDMA_PROTOCOL, 0, &[])?;
    Ok(reply.judge_ok(|reply| match reply.param {
        0 => RdmaProtocol::None,
        1 => RdmaProtocol::Roce,
        2 => RdmaProtocol::Iwarp,
        3 => RdmaProtocol::Both,
        other => RdmaProtocol::Unknown(other),
    }))
}

/// Asks for the function's ppfids (GET_PPFID_BITMAP).
///
/// Where the management firmware does not say, or leaves the function's own out, the function has exactly the
/// one that belongs to it by position: its number in the engine on BB, that divided by the ports on K2.
///
/// # Errors
///
/// [`MailboxError`].
pub fn ppfid_bitmap<H: Host>(core: &mut Core<H>) -> Result<PpfidBitmap, MailboxError> {
    let identity = &core.identity;
    let native = match identity.chip {
        Chip::Bb => identity.rel_pf,
        Chip::K2 => identity.rel_pf / identity.ports_per_engine.max(1),
    };
    let own = 1u8.checked_shl(u32::from(native)).unwrap_or(0);
    let reply = core.command(DriverCommand::GET_PPFID_BITMAP, 0, &[])?;
    let answer = reply.judge_ok(|reply| (reply.param & bit::PPFID_BITMAP_MASK) as u8);
    let bitmap = match answer {
        Answer::Done(bitmap) if bitmap & own != 0 => bitmap,
        _ => own,
    };
    debug!("ppfid bitmap {:#x}, own {}", bitmap, native);
    Ok(PpfidBitmap { bitmap, native })
}

/// Asks whether the flash is locked down (GET_MANAGEMENT_STATUS).
///
/// # Errors
///
/// [`MailboxError`].
pub fn is_locked_down<H: Host>(core: &mut Core<H>) -> Result<Answer<bool>, MailboxError> {
    let reply = core.command(DriverCommand::GET_MANAGEMENT_STATUS, 0, &[])?;
    Ok(reply.judge_ok(|reply| reply.param & bit::MANAGEMENT_STATUS_LOCKDOWN_ENABLED != 0))
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::access::fake::{Act, Request, attached};

    #[test]
    fn features_of_a_firmware_that_does_not_say_are_none() {
        for (code, features) in [(0x16, 0x1_0022), (0, 0), (0x17, 0)] {
            let mut core = attached(move |_| Act::Answer(code, 0x1_0022, vec![]));
            let answer = query(&mut core).expect("answered");
            assert_eq!(answer.done().is_some(), code == 0x16);
            assert_eq!(core.mfw.features, Features(features));
        }
        let features = Features(0x1_0022);
        assert!(features.virtual_link() && features.fec_control());
        assert!(features.energy_efficient_ethernet() && !features.igu_cleanup());
    }

    #[test]
    fn the_driver_declares_itself_as_the_known_one_does() {
        let mut core = attached(|request: &Request| {
            assert_eq!(request.param, 0x1_0006);
            Act::Answer(0x16, 0, vec![])
        });
        assert_eq!(declare(&mut core), Ok(Answer::Done(())));
        let mut core = attached(|request: &Request| {
            assert_eq!(request.param, 0x1_000e);
            Act::Answer(0x16, 0, vec![])
        });
        core.mfw.features = Features(1 << 6);
        assert_eq!(declare(&mut core), Ok(Answer::Done(())));
    }

    #[test]
    fn optional_questions_may_be_unknown() {
        let mut core = attached(|_| Act::Answer(0, 0x77, vec![]));
        assert_eq!(
            wake_on_lan(&mut core),
            Ok(Answer::Unsupported { param: 0x77 })
        );
        assert_eq!(
            rdma_protocol(&mut core),
            Ok(Answer::Unsupported { param: 0x77 })
        );
        assert_eq!(
            is_locked_down(&mut core),
            Ok(Answer::Unsupported { param: 0x77 })
        );
        let mut core = attached(|request: &Request| match request.command {
            DriverCommand::OS_WOL => Act::Answer(0x80, 0, vec![]),
            _ => Act::Answer(0x16, 3, vec![]),
        });
        assert_eq!(wake_on_lan(&mut core), Ok(Answer::Done(())));
        assert_eq!(
            rdma_protocol(&mut core),
            Ok(Answer::Done(RdmaProtocol::Both))
        );
        assert_eq!(is_locked_down(&mut core), Ok(Answer::Done(true)));
    }

    #[test]
    fn the_own_ppfid_is_never_lost() {
        for (code, answer, bitmap) in [(0x16, 0x0c, 0x0c), (0x16, 0x09, 0x04), (0, 0xff, 0x04)] {
            let mut core = attached(move |_| Act::Answer(code, answer, vec![]));
            core.identity.rel_pf = 5;
            assert_eq!(
                ppfid_bitmap(&mut core),
                Ok(PpfidBitmap { bitmap, native: 2 })
            );
        }
    }
}
