//! What the shared memory says about the function, its port and the card.

use core::fmt;

use fastlinq_pac::mfw::constants::function::FUNC_MF_CFG_OV_STAG_DEFAULT;
use fastlinq_pac::mfw::constants::transceiver;
use fastlinq_pac::mfw::{public_func, public_global, public_path, public_port};

use super::{Element, SectionError, read_field};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::warning;

/// MTU in bytes of a function whose management firmware names none.
const DEFAULT_MTU: u16 = 1500;

/// What the function is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FunctionProtocol {
    /// Ethernet.
    Ethernet,
    /// iSCSI.
    Iscsi,
    /// FCoE.
    Fcoe,
    /// A value that a driver cannot serve.
    Unknown(u8),
}

/// What the management firmware has for the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FunctionConfig {
    /// Permanent MAC address; `None` when there is none (all zeros, or all ones).
    pub mac_address: Option<[u8; 6]>,
    /// MTU in bytes.
    pub mtu: u16,
    /// Whether [`mtu`](Self::mtu) is the management firmware's and not the default.
    pub mtu_given: bool,
    /// What the function is for.
    pub protocol: FunctionProtocol,
    /// The function is hidden.
    pub hidden: bool,
    /// Pause when host rings run empty, instead of dropping.
    pub pause_on_host_ring: bool,
    /// Guaranteed share of the bandwidth in percent, 1 to 100.
    pub min_bandwidth: u8,
    /// Largest share of the bandwidth in percent, 1 to 100.
    pub max_bandwidth: u8,
    /// Outer VLAN tag, where the function has one.
    pub outer_vlan: Option<u16>,
}

/// A module in the port, as the management firmware sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Module {
    /// State.
    pub state: ModuleState,
    /// Type code: `fastlinq_pac::mfw::constants::transceiver::TYPE_*`.
    pub kind: u8,
    /// Medium of the port: `fastlinq_pac::mfw::constants::media`.
    pub media: u32,
}

/// State of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ModuleState {
    /// No module.
    Unplugged,
    /// A module, not yet examined.
    Present,
    /// A module that can be used.
    Valid,
    /// The module is being examined.
    Updating,
    /// The module is being set up.
    InSetup,
    /// A value that no source documents.
    Unknown(u8),
}

/// A MAC address, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Reads what the management firmware has for the function.
///
/// # Errors
///
/// [`SectionError`].
pub fn read<H: Host>(core: &Core<H>) -> Result<FunctionConfig, SectionError> {
    use public_func::offset;
    let function = core.mailbox.function();
    let config = read_field(core, function, offset::CONFIG)?;
    let mtu = read_field(core, function, offset::MTU_SIZE)?;
    let upper = read_field(core, function, offset::MAC_UPPER)?;
    let lower = read_field(core, function, offset::MAC_LOWER)?;
    let tag = or_zero(
        core,
        function,
        offset::OVLAN_STAG,
        FUNC_MF_CFG_OV_STAG_DEFAULT,
    )?;
    let tag = tag & public_func::FUNC_MF_CFG_OV_STAG.mask;
    let mtu_given = u16::try_from(mtu).is_ok_and(|mtu| mtu != 0);
    Ok(FunctionConfig {
        mac_address: super::mac_from_dwords(upper, lower),
        mtu: match u16::try_from(mtu) {
            Ok(mtu) if mtu != 0 => mtu,
            _ => DEFAULT_MTU,
        },
        mtu_given,
        protocol: match public_func::FUNC_MF_CFG_PROTOCOL.read(config) {
            0 => FunctionProtocol::Ethernet,
            1 => FunctionProtocol::Iscsi,
            2 => FunctionProtocol::Fcoe,
            other => FunctionProtocol::Unknown(other as u8),
        },
        hidden: config & public_func::FUNC_MF_CFG_FUNC_HIDE != 0,
        pause_on_host_ring: config & 2 != 0,
        min_bandwidth: percent(public_func::FUNC_MF_CFG_MIN_BW.read(config), 1),
        max_bandwidth: percent(public_func::FUNC_MF_CFG_MAX_BW.read(config), 100),
        outer_vlan: (tag != FUNC_MF_CFG_OV_STAG_DEFAULT).then_some(tag as u16),
    })
}

fn percent(value: u32, otherwise: u8) -> u8 {
    match u8::try_from(value) {
        Ok(percent @ 1..=100) => percent,
        _ => otherwise,
    }
}

/// A field that an old layout may lack.
fn or_zero<H: Host>(
    core: &Core<H>,
    element: Option<Element>,
    offset: u32,
    otherwise: u32,
) -> Result<u32, SectionError> {
    match read_field(core, element, offset) {
        Err(SectionError::NoSuchField { .. }) => Ok(otherwise),
        other => other,
    }
}

/// Reads what is in the port: module and medium.
///
/// # Errors
///
/// [`SectionError`].
pub fn module<H: Host>(core: &Core<H>) -> Result<Module, SectionError> {
    let port = core.mailbox.port();
    let data = read_field(core, port, public_port::offset::TRANSCEIVER_DATA)?;
    let state = public_port::ETH_TRANSCEIVER_STATE.read(data);
    Ok(Module {
        state: match state {
            transceiver::STATE_UNPLUGGED => ModuleState::Unplugged,
            transceiver::STATE_PRESENT => ModuleState::Present,
            transceiver::STATE_VALID => ModuleState::Valid,
            transceiver::STATE_UPDATING => ModuleState::Updating,
            transceiver::STATE_IN_SETUP => ModuleState::InSetup,
            other => ModuleState::Unknown(other as u8),
        },
        kind: public_port::ETH_TRANSCEIVER_TYPE.read(data) as u8,
        media: read_field(core, port, public_port::offset::MEDIA_TYPE)?,
    })
}

/// Reads the chip's inner and outer temperature in degrees Celsius, as the management firmware keeps them.
///
/// # Errors
///
/// [`SectionError`].
pub fn card_temperatures<H: Host>(core: &Core<H>) -> Result<(i32, i32), SectionError> {
    let global = core.mailbox.global();
    let inner = read_field(core, global, public_global::offset::INTERNAL_TEMPERATURE)?;
    let outer = read_field(core, global, public_global::offset::EXTERNAL_TEMPERATURE)?;
    Ok((inner as i32, outer as i32))
}

/// Reads the counter of recoveries that the management firmware has forced on the engine.
///
/// # Errors
///
/// [`SectionError`].
pub fn recoveries<H: Host>(core: &Core<H>) -> Result<u16, SectionError> {
    let kill = read_field(core, core.mailbox.path(), public_path::offset::PROCESS_KILL)?;
    if kill >> 16 != 0 {
        warning!(
            "the management firmware forced a recovery because of AEU bit {}",
            kill >> 16
        );
    }
    Ok(kill as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::fake::{FUNCTION, GLOBAL, PATH, PORT, TABLE, agreeable, attached};
    use std::string::ToString;

    #[test]
    fn the_function_section_is_decoded() {
        let core = attached(agreeable);
        {
            let mut card = core.card();
            card.set(FUNCTION + 0x08, 9000);
            card.set(FUNCTION + 0x28, 0x64_0a_02);
            card.set(FUNCTION + 0x30, 0xabcd_000e);
            card.set(FUNCTION + 0x34, 0x1ed1_2201);
            card.set(FUNCTION + 0x48, 0x0000_0064);
        }
        assert_eq!(
            read(&core),
            Ok(FunctionConfig {
                mac_address: Some([0, 0x0e, 0x1e, 0xd1, 0x22, 1]),
                mtu: 9000,
                mtu_given: true,
                protocol: FunctionProtocol::Ethernet,
                hidden: false,
                pause_on_host_ring: true,
                min_bandwidth: 10,
                max_bandwidth: 100,
                outer_vlan: Some(100),
            })
        );
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let core = attached(agreeable);
        core.card().set(FUNCTION + 0x28, 0xff_ff_f1);
        core.card().set(FUNCTION + 0x48, 0xffff);
        let config = read(&core).expect("read");
        assert_eq!(config.mac_address, None);
        assert_eq!((config.mtu, config.mtu_given), (1500, false));
        assert_eq!(config.protocol, FunctionProtocol::Unknown(15));
        assert!(config.hidden);
        assert_eq!((config.min_bandwidth, config.max_bandwidth), (1, 100));
        assert_eq!(config.outer_vlan, None);
        core.card().gone = true;
        assert_eq!(read(&core), Err(SectionError::DeviceGone));
    }

    #[test]
    fn a_layout_without_the_field_is_told_or_bridged() {
        let mut core = attached(agreeable);
        // A function section that ends behind the MAC address.
        core.card().set(TABLE + 4 + 5 * 4, 0x000e_1800);
        crate::mfw::attach(&mut core).expect("attached");
        core.card().set(FUNCTION + 0x48, 100);
        assert_eq!(read(&core).expect("read").outer_vlan, None);
        // A port section that ends behind the link status.
        core.card().set(TABLE + 4 + 4 * 4, 0x0002_0800);
        crate::mfw::attach(&mut core).expect("attached");
        assert_eq!(
            module(&core),
            Err(SectionError::NoSuchField {
                at: fastlinq_pac::GrcAddress(PORT + 0x598),
                offset: 0x598,
                bytes: 8
            })
        );
    }

    #[test]
    fn module_temperatures_and_recoveries() {
        let core = attached(agreeable);
        {
            let mut card = core.card();
            card.set(PORT + 0x598, 0x1c03);
            card.set(PORT + 0x210, 6);
            card.set(GLOBAL + 0x14, 47);
            card.set(GLOBAL + 0x20, 0xffff_fffd);
            card.set(PATH + 0x24, 5);
        }
        assert_eq!(
            module(&core),
            Ok(Module {
                state: ModuleState::Valid,
                kind: 0x1c,
                media: 6
            })
        );
        assert_eq!(card_temperatures(&core), Ok((47, -3)));
        assert_eq!(recoveries(&core), Ok(5));
    }

    #[test]
    fn percents_out_of_range_become_the_default() {
        assert_eq!(percent(0, 1), 1);
        assert_eq!(percent(101, 100), 100);
        assert_eq!(percent(55, 1), 55);
    }

    #[test]
    fn mac_address_for_people() {
        assert_eq!(
            MacAddress([0, 0x0e, 0x1e, 1, 2, 0xff]).to_string(),
            "00:0e:1e:01:02:ff"
        );
    }
}
