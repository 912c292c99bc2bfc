//! The configuration of the card in flash, as the management firmware shadows it in the scratchpad (nvm_cfg1).

use core::fmt;

use fastlinq_pac::GrcAddress;
use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::mfw::constants::phy;
use fastlinq_pac::nvm::{
    NvmCfg1, NvmCfg1Func, NvmCfg1Port, nvm_cfg, nvm_cfg1, nvm_cfg1_func, nvm_cfg1_glob,
    nvm_cfg1_port,
};
use fastlinq_pac::registers::{mcp, misc};
use tock_registers::interfaces::Readable;

use super::link::{EnergyEfficiency, Fec, LinkSettings, Loopback, Pause, Speed, SpeedSet};
use super::section::Element;
use crate::core_state::Core;
use crate::host::Host;
use crate::log::debug;

/// The management processor's part of the internal space, in which the configuration block must be.
const MCP_FIRST: u32 = 0xe0_0000;
const MCP_END: u32 = 0xe8_0000;

/// How the functions of a port are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MultiFunctionMode {
    /// One function per port.
    Default,
    /// Several functions per port, by MAC address (NPAR 1.0).
    Npar,
    /// By outer VLAN tag.
    OuterVlan,
    /// By outer VLAN tag, with priorities and bandwidth (UFP).
    UnifiedFabric,
    /// By outer VLAN tag of 802.1ad (BD).
    ProviderVlan,
    /// A mode without rules for a driver.
    Other(u8),
}

impl MultiFunctionMode {
    const fn decode(value: u32) -> Self {
        match value {
            nvm_cfg1_glob::MF_MODE_DEFAULT => Self::Default,
            nvm_cfg1_glob::MF_MODE_NPAR1_0 => Self::Npar,
            nvm_cfg1_glob::MF_MODE_MF_ALLOWED => Self::OuterVlan,
            nvm_cfg1_glob::MF_MODE_UFP => Self::UnifiedFabric,
            nvm_cfg1_glob::MF_MODE_BD => Self::ProviderVlan,
            other => Self::Other(other as u8),
        }
    }

    /// Whether functions are told apart by an outer VLAN tag.
    #[must_use]
    pub const fn by_outer_vlan(self) -> bool {
        matches!(
            self,
            Self::OuterVlan | Self::UnifiedFabric | Self::ProviderVlan
        )
    }
}

/// What kind of connector the port has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PortKind {
    /// A module cage.
    Module,
    /// A backplane.
    Backplane,
    /// An external PHY.
    ExternalPhy,
    /// A module that another port manages.
    ModuleSlave,
    /// Not said.
    Undefined(u8),
}

/// The configuration of the card, this port and this function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NvmConfig {
    /// How the functions of a port are told apart.
    pub multi_function: MultiFunctionMode,
    /// Port mode of the card, a code: 3 is 4x10G, 12 is 2x25G, 14 is 4x25G; see `fastlinq_pac::nvm`.
    pub port_mode: u8,
    /// Serial number, 16 bytes.
    pub serial: [u8; 16],
    /// Version of the flash bundle: three parts.
    pub bundle_version: [u8; 3],
    /// Protocols of the card: 1 Ethernet, 2 FCoE, 4 iSCSI, 8 RoCE, 16 iWARP.
    pub capabilities: u32,
    /// Speeds of the port.
    pub speeds: SpeedSet,
    /// How the link is to come up by default.
    pub link: LinkSettings,
    /// What kind of connector the port has.
    pub port_kind: PortKind,
    /// MAC address of the function in flash; the function section's has precedence.
    pub mac_address: Option<[u8; 6]>,
}

/// Why there is no configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NvmConfigError {
    /// The function answers every read with all ones.
    DeviceGone,
    /// The management firmware shadows no configuration.
    Absent,
    /// The configuration block would be outside of the management processor.
    BadAddress {
        /// Address that the register gives.
        address: u32,
    },
    /// The configuration would be outside of the scratchpad.
    BadOffset {
        /// Offset that the block gives.
        offset: u32,
    },
}

impl fmt::Display for NvmConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DeviceGone => f.write_str("the function answers every read with all ones"),
            Self::Absent => f.write_str("the management firmware shadows no flash configuration"),
            Self::BadAddress { address } => write!(
                f,
                "the management firmware places the flash configuration at {address:#x}"
            ),
            Self::BadOffset { offset } => write!(
                f,
                "the flash configuration would begin at byte {offset:#x} of the scratchpad"
            ),
        }
    }
}

impl core::error::Error for NvmConfigError {}

/// Reads the configuration.
///
/// Touches the register of its place (0x8c80), the block that it names, and the global, port and function
/// parts. Some known drivers go on without it.
///
/// # Errors
///
/// [`NvmConfigError`].
pub fn read<H: Host>(core: &Core<H>) -> Result<NvmConfig, NvmConfigError> {
    let found = look(core);
    core.windows
        .check()
        .map_err(|_| NvmConfigError::DeviceGone)?;
    found
}

fn look<H: Host>(core: &Core<H>) -> Result<NvmConfig, NvmConfigError> {
    let windows = &core.windows;
    let address = misc::GEN_PURP_CR0.on(windows).get();
    if address == 0 {
        return Err(NvmConfigError::Absent);
    }
    if !(MCP_FIRST..MCP_END - 8).contains(&address) || address % 4 != 0 {
        return Err(NvmConfigError::BadAddress { address });
    }
    let offset = windows.read32(GrcAddress(address).offset(nvm_cfg::offset::SECTIONS_OFFSET));
    let bytes = size_of::<NvmCfg1>() as u32;
    let config =
        Element::in_scratchpad(offset, bytes).ok_or(NvmConfigError::BadOffset { offset })?;
    debug!(
        "flash configuration at byte {:#x} of the scratchpad",
        offset
    );

    let ports = core.mailbox.ports().unwrap_or(1).max(1);
    let port_index = if core.identity.coupled {
        0
    } else {
        u32::from(core.identity.abs_pf % ports)
    };
    let function_index = u32::from(core.identity.mcp_pf);
    let glob = |field: u32| config.read_or_zero(windows, nvm_cfg1::offset::GLOB + field);
    let port = |field: u32| {
        let base = nvm_cfg1::offset::PORT + port_index * size_of::<NvmCfg1Port>() as u32;
        config.read_or_zero(windows, base + field)
    };
    let function = |field: u32| {
        let base = nvm_cfg1::offset::FUNC + function_index * size_of::<NvmCfg1Func>() as u32;
        config.read_or_zero(windows, base + field)
    };

    let mut serial = [0; 16];
    for (index, bytes) in serial.chunks_mut(4).enumerate() {
        let word = glob(nvm_cfg1_glob::offset::SERIAL_NUMBER + 4 * index as u32);
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    let [_, major, minor, patch] = glob(nvm_cfg1_glob::offset::MBI_VERSION).to_be_bytes();
    let speeds = SpeedSet(
        nvm_cfg1_port::DRV_SPEED_CAPABILITY_MASK.read(port(nvm_cfg1_port::offset::SPEED_CAP_MASK)),
    );
    let mac = nvm_cfg1_func::offset::MAC_ADDRESS;
    Ok(NvmConfig {
        multi_function: MultiFunctionMode::decode(
            nvm_cfg1_glob::MF_MODE.read(glob(nvm_cfg1_glob::offset::GENERIC_CONT0)),
        ),
        port_mode: nvm_cfg1_glob::NETWORK_PORT_MODE.read(glob(nvm_cfg1_glob::offset::CORE_CFG))
            as u8,
        serial,
        bundle_version: [major, minor, patch],
        capabilities: glob(nvm_cfg1_glob::offset::DEVICE_CAPABILITIES),
        speeds,
        link: link_settings(
            port(nvm_cfg1_port::offset::LINK_SETTINGS),
            port(nvm_cfg1_port::offset::EXT_PHY),
            speeds,
        ),
        port_kind: match nvm_cfg1_port::PORT_TYPE.read(port(nvm_cfg1_port::offset::BOARD_CFG)) {
            nvm_cfg1_port::PORT_TYPE_MODULE => PortKind::Module,
            nvm_cfg1_port::PORT_TYPE_BACKPLANE => PortKind::Backplane,
            nvm_cfg1_port::PORT_TYPE_EXT_PHY => PortKind::ExternalPhy,
            nvm_cfg1_port::PORT_TYPE_MODULE_SLAVE => PortKind::ModuleSlave,
            other => PortKind::Undefined(other as u8),
        },
        mac_address: super::mac_from_dwords(function(mac), function(mac + 4)),
    })
}

fn link_settings(link: u32, external_phy: u32, speeds: SpeedSet) -> LinkSettings {
    let speed = match nvm_cfg1_port::DRV_LINK_SPEED.read(link) {
        nvm_cfg1_port::DRV_LINK_SPEED_1G => Some(Speed::G1),
        nvm_cfg1_port::DRV_LINK_SPEED_10G => Some(Speed::G10),
        nvm_cfg1_port::DRV_LINK_SPEED_20G => Some(Speed::G20),
        nvm_cfg1_port::DRV_LINK_SPEED_25G => Some(Speed::G25),
        nvm_cfg1_port::DRV_LINK_SPEED_40G => Some(Speed::G40),
        nvm_cfg1_port::DRV_LINK_SPEED_50G => Some(Speed::G50),
        nvm_cfg1_port::DRV_LINK_SPEED_BB_100G => Some(Speed::G100),
        _ => None,
    };
    let timer_us = match nvm_cfg1_port::EEE_POWER_SAVING_MODE.read(external_phy) {
        nvm_cfg1_port::EEE_POWER_SAVING_MODE_BALANCED => Some(phy::EEE_TX_TIMER_USEC_BALANCED_TIME),
        nvm_cfg1_port::EEE_POWER_SAVING_MODE_AGGRESSIVE => {
            Some(phy::EEE_TX_TIMER_USEC_AGGRESSIVE_TIME)
        }
        nvm_cfg1_port::EEE_POWER_SAVING_MODE_LOW_LATENCY => {
            Some(phy::EEE_TX_TIMER_USEC_LATENCY_TIME)
        }
        _ => None,
    };
    LinkSettings {
        speed,
        advertise: speeds,
        pause: Pause::decode(nvm_cfg1_port::DRV_FLOW_CONTROL.read(link)),
        loopback: Loopback::None,
        fec: Some(Fec::decode(nvm_cfg1_port::FEC_FORCE_MODE.read(link))),
        energy: timer_us.map(|timer_us| EnergyEfficiency {
            enable: true,
            transmit_idle: true,
            advertise_1g: true,
            advertise_10g: true,
            timer_us,
        }),
        extended: None,
    }
}

/// Bytes of the flash, as the chip's NVM block is configured: `1 << (v + 17)`.
pub fn flash_bytes<H: Host>(core: &Core<H>) -> u32 {
    let size = mcp::NVM_CFG4
        .on(&core.windows)
        .read(mcp::nvm_cfg4::FLASH_SIZE);
    1 << (size + 17)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::fake::{EVENTS, FakeHost, SCRATCH, agreeable, card};

    const NVM: u32 = SCRATCH + 0x1_0000;

    /// A card whose configuration is at byte 0x11000 of the scratchpad.
    fn configured() -> Core<FakeHost> {
        let mut core = card(agreeable);
        core.card().concrete = 0x0003_0003;
        core.card().set(EVENTS + 3 * 0x3c, 27);
        core.identify().expect("identified");
        crate::mfw::attach(&mut core).expect("attached");
        core.card().set(0x8c80, NVM);
        core.card().set(NVM + 4, 0x1_1000);
        core
    }

    #[test]
    fn every_part_is_that_of_the_function_and_its_port() {
        let core = configured();
        let base = SCRATCH + 0x1_1000;
        // Function 3 on a card of two ports is on port 1.
        let (port, function) = (base + 0x230 + 0x258, base + 0xb90 + 3 * 0x50);
        {
            let mut card = core.card();
            card.set(base, 7 << 4 | 3);
            card.set(base + 0x14, 0x4142_4344);
            card.set(base + 0x2c, 0xff0c);
            card.set(base + 0x7c, 0x0008_2f03);
            card.set(base + 0x88, 1);
            card.set(port + 0x14, 0xffff_000a);
            card.set(port + 0x18, 4);
            card.set(port + 0x48, 1);
            card.set(function, 0x000e);
            card.set(function + 4, 0x1e01_0203);
        }
        let config = read(&core).expect("read");
        assert_eq!(config.multi_function, MultiFunctionMode::UnifiedFabric);
        assert!(config.multi_function.by_outer_vlan());
        assert_eq!(config.port_mode, 12);
        assert_eq!(config.serial[..5], *b"ABCD\0");
        assert_eq!(config.bundle_version, [8, 47, 3]);
        assert_eq!(config.capabilities, 1);
        assert_eq!(config.speeds, SpeedSet(0xa));
        assert_eq!(config.link.speed, Some(Speed::G25));
        assert_eq!(config.link.advertise, SpeedSet(0xa));
        assert_eq!(config.port_kind, PortKind::Module);
        assert_eq!(config.mac_address, Some([0, 0x0e, 0x1e, 1, 2, 3]));
    }

    #[test]
    fn a_place_that_cannot_be_is_refused() {
        let core = configured();
        core.card().set(NVM + 4, 0x2_8000 - 0x1090 + 4);
        assert_eq!(
            read(&core),
            Err(NvmConfigError::BadOffset {
                offset: 0x2_8000 - 0x1090 + 4
            })
        );
        for address in [4, 0xe8_0000, 0xe2_0001, u32::MAX] {
            core.card().set(0x8c80, address);
            assert_eq!(read(&core), Err(NvmConfigError::BadAddress { address }));
        }
        core.card().set(0x8c80, 0);
        assert_eq!(read(&core), Err(NvmConfigError::Absent));
        core.card().gone = true;
        assert_eq!(read(&core), Err(NvmConfigError::DeviceGone));
    }

    #[test]
    fn flash_size_is_a_power_of_two() {
        let core = card(agreeable);
        core.card().set(0xe0_642c, 0xfffd);
        assert_eq!(flash_bytes(&core), 1 << 22);
    }

    #[test]
    fn link_settings_follow_the_fields() {
        // 25G forced, pause both ways without negotiation, Reed-Solomon, EEE balanced.
        let settings = link_settings(0x4 | 6 << 4 | 2 << 17, 1 << 16, SpeedSet(0xa));
        assert_eq!(settings.speed, Some(Speed::G25));
        assert_eq!(
            settings.pause,
            Pause {
                autonegotiate: false,
                receive: true,
                transmit: true
            }
        );
        assert_eq!(settings.fec, Some(Fec::ReedSolomon));
        assert_eq!(settings.energy.map(|energy| energy.timer_us), Some(0xa00));
        assert_eq!(link_settings(0x8, 0, SpeedSet(0)).speed, None);
        assert_eq!(link_settings(0, 0, SpeedSet(0)).energy, None);
    }
}
