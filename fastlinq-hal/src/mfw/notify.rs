//! What the driver tells the management firmware about itself.
//!
//! Known drivers look at none of the answers; a silence, though, is a silence.

use fastlinq_pac::mfw::constants::driver_command as state;
use fastlinq_pac::mfw::constants::param;
use fastlinq_pac::mfw::{DriverCommand, DrvVersion, FirmwareResponse, LanStats, McpMac};
use fastlinq_pac::versions::FirmwareVersion;
use zerocopy::{FromZeros, IntoBytes};

use super::{Answer, MailboxError, Reply};
use crate::core_state::Core;
use crate::host::Host;

/// How far the driver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DriverState {
    /// Not said.
    Unknown,
    /// Not loaded.
    NotLoaded,
    /// Loading.
    Loading,
    /// Loaded, the interface is down.
    Disabled,
    /// The interface is up.
    Active,
}

/// How frames are switched between functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SwitchMode {
    /// Not at all.
    None,
    /// Inside the chip.
    Veb,
    /// By the switch outside.
    Vepa,
}

/// Tells how far the driver is (OV_UPDATE_DRIVER_STATE).
///
/// # Errors
///
/// [`MailboxError`].
pub fn driver_state<H: Host>(
    core: &mut Core<H>,
    driver: DriverState,
) -> Result<Answer<()>, MailboxError> {
    let value = match driver {
        DriverState::Unknown => state::OV_UPDATE_DRIVER_STATE_UNKNOWN,
        DriverState::NotLoaded => state::OV_UPDATE_DRIVER_STATE_NOT_LOADED,
        DriverState::Loading => state::OV_UPDATE_DRIVER_STATE_LOADING,
        DriverState::Disabled => state::OV_UPDATE_DRIVER_STATE_DISABLED,
        DriverState::Active => state::OV_UPDATE_DRIVER_STATE_ACTIVE,
    };
    tell(core, DriverCommand::OV_UPDATE_DRIVER_STATE, value, &[])
}

/// Tells the MTU in bytes (OV_UPDATE_MTU).
///
/// # Errors
///
/// [`MailboxError`].
pub fn mtu<H: Host>(core: &mut Core<H>, mtu: u16) -> Result<Answer<()>, MailboxError> {
    tell(core, DriverCommand::OV_UPDATE_MTU, u32::from(mtu), &[])
}

/// Tells how frames are switched between functions (OV_UPDATE_ESWITCH_MODE).
///
/// # Errors
///
/// [`MailboxError`].
pub fn switch_mode<H: Host>(
    core: &mut Core<H>,
    mode: SwitchMode,
) -> Result<Answer<()>, MailboxError> {
    let value = match mode {
        SwitchMode::None => param::ESWITCH_MODE_NONE,
        SwitchMode::Veb => param::ESWITCH_MODE_VEB,
        SwitchMode::Vepa => param::ESWITCH_MODE_VEPA,
    };
    tell(core, DriverCommand::OV_UPDATE_ESWITCH_MODE, value, &[])
}

/// Tells the version of the storm firmware (OV_UPDATE_STORM_FW_VER).
///
/// # Errors
///
/// [`MailboxError`].
pub fn storm_firmware<H: Host>(
    core: &mut Core<H>,
    version: FirmwareVersion,
) -> Result<Answer<()>, MailboxError> {
    tell(
        core,
        DriverCommand::OV_UPDATE_STORM_FW_VER,
        version.word(),
        &[],
    )
}

/// Tells version and name of the driver (SET_VERSION); of the name, the first 12 bytes.
///
/// # Errors
///
/// [`MailboxError`].
pub fn driver_version<H: Host>(
    core: &mut Core<H>,
    version: [u8; 4],
    name: &str,
) -> Result<Answer<()>, MailboxError> {
    let mut payload = DrvVersion::new_zeroed();
    payload.version.set(u32::from_be_bytes(version));
    for (to, from) in payload.name.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    // The management processor has the other byte order: strings are turned round by dwords.
    for dword in payload.name.chunks_mut(4) {
        dword.reverse();
    }
    tell(core, DriverCommand::SET_VERSION, 0, payload.as_bytes())
}

/// Tells the MAC address that the function uses (SET_VMAC), and that the operating system set it
/// (OV_UPDATE_CURR_CFG).
///
/// # Errors
///
/// [`MailboxError`].
pub fn mac_address<H: Host>(core: &mut Core<H>, mac: [u8; 6]) -> Result<Answer<()>, MailboxError> {
    let [a, b, c, d, e, f] = mac;
    let mut payload = McpMac::new_zeroed();
    payload.mac_upper.set(u32::from_be_bytes([a, b, c, d]));
    payload.mac_lower.set(u32::from_be_bytes([e, f, 0, 0]));
    let word =
        u32::from(core.identity.abs_pf & 0xf) | state::VMAC_TYPE_MAC << state::VMAC_TYPE_SHIFT;
    let reply = core.command(DriverCommand::SET_VMAC, word, payload.as_bytes())?;
    let answer = reply.judge(
        &[FirmwareResponse::SET_VMAC_SUCCESS, FirmwareResponse::OK],
        |_| (),
    );
    let _ = tell(
        core,
        DriverCommand::OV_UPDATE_CURR_CFG,
        param::OV_CURR_CFG_OS,
        &[],
    )?;
    Ok(answer)
}

/// Readies data-center bridging (SET_DCBX) without telling the partner, as right behind LOAD_DONE.
///
/// # Errors
///
/// [`MailboxError`].
pub fn data_center_bridging<H: Host>(core: &mut Core<H>) -> Result<Answer<()>, MailboxError> {
    tell(
        core,
        DriverCommand::SET_DCBX,
        1 << param::DCBX_NOTIFY_OFFSET,
        &[],
    )
}

/// Asks which settings of the vendor changed (GET_OEM_UPDATES): 1 bandwidth, 2 S-tag, 4 configuration.
///
/// # Errors
///
/// [`MailboxError`].
pub fn vendor_updates<H: Host>(core: &mut Core<H>) -> Result<Answer<u8>, MailboxError> {
    let word = 1 << param::DUMMY_OEM_UPDATES_OFFSET;
    let reply = core.command(DriverCommand::GET_OEM_UPDATES, word, &[])?;
    Ok(reply.judge(
        &[FirmwareResponse::GET_OEM_UPDATES_DONE, FirmwareResponse::OK],
        |reply| reply.param as u8,
    ))
}

/// Acknowledges a change of the function's bandwidth (BW_UPDATE_ACK).
///
/// # Errors
///
/// [`MailboxError`].
pub fn bandwidth_applied<H: Host>(core: &mut Core<H>) -> Result<Answer<()>, MailboxError> {
    tell(core, DriverCommand::BW_UPDATE_ACK, 0, &[])
}

/// Acknowledges a change of the function's outer VLAN tag (S_TAG_UPDATE_ACK).
///
/// # Errors
///
/// [`MailboxError`].
pub fn outer_vlan_applied<H: Host>(core: &mut Core<H>) -> Result<Answer<()>, MailboxError> {
    tell(core, DriverCommand::S_TAG_UPDATE_ACK, 0, &[])
}

/// What the management firmware wants to know when it asks for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LanStatistics {
    /// Unicast frames received.
    pub unicast_received: u64,
    /// Unicast frames transmitted.
    pub unicast_transmitted: u64,
    /// Frames with a wrong checksum.
    pub checksum_errors: u32,
}

/// Sends statistics (GET_STATS), as the answer to [`MfwEvent::StatisticsWanted`](super::events::MfwEvent).
///
/// # Errors
///
/// [`MailboxError`].
pub fn lan_statistics<H: Host>(
    core: &mut Core<H>,
    statistics: &LanStatistics,
) -> Result<Answer<()>, MailboxError> {
    let mut payload = LanStats::new_zeroed();
    payload.ucast_rx_pkts.set(statistics.unicast_received);
    payload.ucast_tx_pkts.set(statistics.unicast_transmitted);
    payload.fcs_err.set(statistics.checksum_errors);
    tell(
        core,
        DriverCommand::GET_STATS,
        state::STATS_TYPE_LAN,
        payload.as_bytes(),
    )
}

fn tell<H: Host>(
    core: &mut Core<H>,
    command: DriverCommand,
    param: u32,
    payload: &[u8],
) -> Result<Answer<()>, MailboxError> {
    Ok(judge(&core.command(command, param, payload)?))
}

/// Notifications are done with OK or with a code that equals the command's.
pub(super) fn judge(reply: &Reply) -> Answer<()> {
    reply.judge(
        &[FirmwareResponse::OK, FirmwareResponse(reply.command.0)],
        |_| (),
    )
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
