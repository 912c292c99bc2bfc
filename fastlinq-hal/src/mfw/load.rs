//! Loading and unloading: the management firmware arbitrates between the drivers of a card.

use core::fmt;

use fastlinq_pac::mfw::constants::load as word;
use fastlinq_pac::mfw::constants::param;
use fastlinq_pac::mfw::constants::response_param::LOAD_DONE_DID_EFUSE_ERROR;
use fastlinq_pac::mfw::{
    DriverCommand, FirmwareResponse, LoadReq, LoadRsp, McpMac, load_req, load_rsp,
};
use fastlinq_pac::versions::FirmwareVersion;
use zerocopy::{FromZeros, IntoBytes};

use super::{Answer, MailboxError, Reply, response_name};
use crate::adapter::{DriverRole, ForcePolicy};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::{info, warning};

/// Version of the interface of which the load request is a part; 1 for an old management firmware.
const INTERFACE: u8 = word::LOAD_REQ_HSI_VERSION as u8;
const OLD_INTERFACE: u8 = 1;

/// Bit of the driver's configuration: an L2 driver.
const L2_DRIVER: u32 = 1;

/// Which init phases this function has to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LoadPhase {
    /// Those of the function: another function of the port is loaded.
    Function,
    /// Those of the port too: first on the port.
    Port,
    /// Those of the engine too: first on the engine.
    Engine,
}

/// What the driver says of itself when it asks to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadRequest {
    /// Role of the driver.
    pub role: DriverRole,
    /// Whether a loaded driver may be pushed out.
    pub force: ForcePolicy,
    /// Version of the storm firmware that it will load.
    pub firmware: FirmwareVersion,
}

/// The driver that the management firmware believes to be on the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ExistingDriver {
    /// Its role: 0 none, 1 pre-boot, 2 operating system, 3 crash kernel.
    pub role: u8,
    /// Version of its load interface.
    pub interface: u8,
    /// Its own version words.
    pub version: [u32; 2],
    /// Version of its storm firmware.
    pub firmware: u32,
}

impl ExistingDriver {
    fn decode(response: &LoadRsp) -> Self {
        let misc = response.misc0.get();
        Self {
            role: load_rsp::LOAD_RSP_ROLE.read(misc) as u8,
            interface: load_rsp::LOAD_RSP_HSI.read(misc) as u8,
            version: [response.drv_ver_0.get(), response.drv_ver_1.get()],
            firmware: response.fw_ver.get(),
        }
    }
}

/// A granted load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Loaded {
    /// Which init phases to run.
    pub phase: LoadPhase,
    /// Whether another driver was pushed out.
    pub forced: bool,
    /// Whether the management firmware speaks the old interface.
    pub old_interface: bool,
}

/// Why the load was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// A command has no answer.
    Mailbox(MailboxError),
    /// The management firmware refused.
    Refused {
        /// The response code.
        code: FirmwareResponse,
        /// The response parameter.
        param: u32,
    },
    /// Another driver holds the function, and the policy does not let this one push it out. The request was
    /// cancelled.
    ForceNeeded {
        /// The other driver.
        existing: ExistingDriver,
        /// The response parameter; the code was DRV_LOAD_REFUSED_REQUIRES_FORCE.
        param: u32,
    },
    /// The load would be granted, but the management firmware says that a driver is already on the function.
    AlreadyLoaded {
        /// The other driver.
        existing: ExistingDriver,
        /// The response code, which grants.
        code: FirmwareResponse,
        /// The response parameter.
        param: u32,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mailbox(error) => error.fmt(f),
            Self::Refused { code, param } => write!(
                f,
                "the management firmware refused the load: {} {:#06x}, parameter {param:#x}",
                response_name(DriverCommand::LOAD_REQ, *code),
                code.0
            ),
            Self::ForceNeeded { existing, .. } => write!(
                f,
                "another driver (role {}, storm firmware {:#010x}) holds the function and was not pushed out",
                existing.role, existing.firmware
            ),
            Self::AlreadyLoaded { existing, .. } => write!(
                f,
                "the management firmware says that a driver (role {}, storm firmware {:#010x}) is already loaded",
                existing.role, existing.firmware
            ),
        }
    }
}

impl core::error::Error for LoadError {}

impl From<MailboxError> for LoadError {
    fn from(error: MailboxError) -> Self {
        Self::Mailbox(error)
    }
}

/// Asks to load (LOAD_REQ). After a grant the management firmware holds a lock until [`done`].
///
/// | answer | driver |
/// |---|---|
/// | 0x1010, 0x1011, 0x1012 | granted: engine, port, function |
/// | 0x1021 | asks again as version 1 of the interface |
/// | 0x1030 | asks again with force where the policy allows, otherwise CANCEL_LOAD_REQ |
/// | granted, but "already loaded", and the interface is not version 1 | gives up |
/// | anything else | gives up |
///
/// At most three requests are sent: the interface and the force are each changed once.
///
/// # Errors
///
/// [`LoadError`].
pub fn request<H: Host>(core: &mut Core<H>, request: &LoadRequest) -> Result<Loaded, LoadError> {
    let mut interface = INTERFACE;
    let mut forced = false;
    loop {
        let reply = send(core, request, interface, forced)?;
        let response = reply.data().load_rsp();
        match reply.code {
            FirmwareResponse::DRV_LOAD_REFUSED_HSI_1 if interface != OLD_INTERFACE => {
                info!("the management firmware speaks the old load interface");
                interface = OLD_INTERFACE;
            }
            FirmwareResponse::DRV_LOAD_REFUSED_REQUIRES_FORCE => {
                let existing = ExistingDriver::decode(&response);
                if forced || !may_force(request, existing.role) {
                    core.command(DriverCommand::CANCEL_LOAD_REQ, 0, &[])?;
                    return Err(LoadError::ForceNeeded {
                        existing,
                        param: reply.param,
                    });
                }
                warning!("a driver of role {} is pushed out", existing.role);
                forced = true;
            }
            code => {
                let phase = granted(code).ok_or(LoadError::Refused {
                    code,
                    param: reply.param,
                })?;
                let flags = load_rsp::LOAD_RSP_FLAGS0.read(response.misc0.get());
                if interface != OLD_INTERFACE && flags & word::LOAD_RSP_FLAGS0_DRV_EXISTS != 0 {
                    return Err(LoadError::AlreadyLoaded {
                        existing: ExistingDriver::decode(&response),
                        code,
                        param: reply.param,
                    });
                }
                return Ok(Loaded {
                    phase,
                    forced,
                    old_interface: interface == OLD_INTERFACE,
                });
            }
        }
    }
}

fn send<H: Host>(
    core: &mut Core<H>,
    request: &LoadRequest,
    interface: u8,
    forced: bool,
) -> Result<Reply, MailboxError> {
    let FirmwareVersion { major, minor, .. } = request.firmware;
    let compatibility = u32::from(major) | u32::from(minor) << 8;
    let kind = match request.role {
        DriverRole::PreBoot => word::DRV_ID_DRV_TYPE_PREBOOT,
        DriverRole::OperatingSystem | DriverRole::CrashKernel => word::DRV_ID_DRV_TYPE_LINUX,
    };
    let force = if forced {
        word::LOAD_REQ_FORCE_ALL
    } else {
        word::LOAD_REQ_FORCE_NONE
    };
    let mut payload = LoadReq::new_zeroed();
    payload.drv_ver_1.set(L2_DRIVER);
    payload.fw_ver.set(request.firmware.word());
    payload.misc0.set(
        (load_req::LOAD_REQ_ROLE.val(role(request.role))
            + load_req::LOAD_REQ_LOCK_TO.val(word::LOAD_REQ_LOCK_TO_DEFAULT)
            + load_req::LOAD_REQ_FORCE.val(force))
        .value,
    );
    core.command(
        DriverCommand::LOAD_REQ,
        compatibility | u32::from(interface) << 16 | kind,
        payload.as_bytes(),
    )
}

const fn role(role: DriverRole) -> u32 {
    match role {
        DriverRole::PreBoot => word::DRV_ROLE_PREBOOT,
        DriverRole::OperatingSystem => word::DRV_ROLE_OS,
        DriverRole::CrashKernel => word::DRV_ROLE_KDUMP,
    }
}

fn may_force(request: &LoadRequest, existing: u8) -> bool {
    match request.force {
        ForcePolicy::Always => true,
        ForcePolicy::Never => false,
        ForcePolicy::ByRole => matches!(
            (role(request.role), u32::from(existing)),
            (word::DRV_ROLE_OS, word::DRV_ROLE_PREBOOT) | (word::DRV_ROLE_KDUMP, word::DRV_ROLE_OS)
        ),
    }
}

const fn granted(code: FirmwareResponse) -> Option<LoadPhase> {
    match code {
        FirmwareResponse::DRV_LOAD_ENGINE => Some(LoadPhase::Engine),
        FirmwareResponse::DRV_LOAD_PORT => Some(LoadPhase::Port),
        FirmwareResponse::DRV_LOAD_FUNCTION => Some(LoadPhase::Function),
        _ => None,
    }
}

/// Ends the load (LOAD_DONE), after success and after failure alike, so that the lock is free.
///
/// The value says whether the management firmware found that the device id and the chip's fuses differ.
///
/// # Errors
///
/// [`MailboxError`].
pub fn done<H: Host>(core: &mut Core<H>) -> Result<Answer<bool>, MailboxError> {
    let reply = core.command(DriverCommand::LOAD_DONE, 0, &[])?;
    let answer = reply.judge(
        &[FirmwareResponse::DRV_LOAD_DONE, FirmwareResponse::OK],
        |reply| reply.param & LOAD_DONE_DID_EFUSE_ERROR != 0,
    );
    if let Answer::Done(true) = answer {
        warning!("the device id does not fit the chip's fuses");
    }
    Ok(answer)
}

/// What is to become of wake-on-LAN when the driver unloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WakeOnLan {
    /// The management firmware decides.
    #[default]
    ManagementFirmware,
    /// Off.
    Disabled,
    /// On, for this MAC address.
    Enabled([u8; 6]),
}

/// Announces the unload (UNLOAD_REQ); the function may still be used until [`unload_done`].
///
/// The value is what of the engine this function was the last of; known drivers do not act on it.
///
/// # Errors
///
/// [`MailboxError`].
pub fn unload_request<H: Host>(
    core: &mut Core<H>,
    wake: WakeOnLan,
) -> Result<Answer<LoadPhase>, MailboxError> {
    let param = match wake {
        WakeOnLan::ManagementFirmware => param::UNLOAD_WOL_MCP,
        WakeOnLan::Disabled => param::UNLOAD_WOL_DISABLED,
        WakeOnLan::Enabled(_) => param::UNLOAD_WOL_ENABLED,
    };
    let reply = core.command(DriverCommand::UNLOAD_REQ, param, &[])?;
    Ok(reply.judge(
        &[
            FirmwareResponse::DRV_UNLOAD_ENGINE,
            FirmwareResponse::DRV_UNLOAD_PORT,
            FirmwareResponse::DRV_UNLOAD_FUNCTION,
        ],
        |reply| match reply.code {
            FirmwareResponse::DRV_UNLOAD_ENGINE => LoadPhase::Engine,
            FirmwareResponse::DRV_UNLOAD_PORT => LoadPhase::Port,
            _ => LoadPhase::Function,
        },
    ))
}

/// Ends the unload (UNLOAD_DONE): for the management firmware no driver is on the function any more.
///
/// # Errors
///
/// [`MailboxError`].
pub fn unload_done<H: Host>(
    core: &mut Core<H>,
    wake: WakeOnLan,
) -> Result<Answer<()>, MailboxError> {
    let mut address = McpMac::new_zeroed();
    if let WakeOnLan::Enabled(mac) = wake {
        let [upper, lower] = super::mac_dwords(mac);
        address.mac_upper.set(upper);
        address.mac_lower.set(lower);
    }
    let reply = core.command(DriverCommand::UNLOAD_DONE, 0, address.as_bytes())?;
    Ok(reply.judge(
        &[FirmwareResponse::DRV_UNLOAD_DONE, FirmwareResponse::OK],
        |_| (),
    ))
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
