//! Who the function is: on PCI, on its engine, and on its chip.

use fastlinq_pac::bar::{self, ConcreteFid};
use fastlinq_pac::registers::{misc, miscs, pglue_b};
use fastlinq_pac::{Chip, VENDOR_ID};
use tock_registers::interfaces::Readable;

use super::{AccessError, Windows};
use crate::host::{Bar, PciIdentity};
use crate::log::{debug, info, warning};

/// Who the function is.
///
/// All zero (and chip K2) before [`Core::identify`](crate::core_state::Core::identify).
///
/// Known by: source reading (Linux 6.12, DPDK).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionIdentity {
    /// Ids from PCI configuration space.
    pub pci: PciIdentity,
    /// The chip, told by the PCI device id.
    pub chip: Chip,
    /// PF id inside the engine.
    pub rel_pf: u8,
    /// PF id inside the chip: the PCI function number.
    pub abs_pf: u8,
    /// Port inside the engine.
    pub port: u8,
    /// Engine (path) of the chip; 0 on K2.
    pub path: u8,
    /// Cookie that goes into ramrod headers and IGU cleanup commands.
    pub opaque_fid: u16,
    /// Concrete function id, 16 bits.
    pub concrete_fid: u16,
    /// Index of the function's elements in the management firmware's sections.
    pub mcp_pf: u8,
    /// Chip number, as the chip says it.
    pub chip_number: u16,
    /// Chip revision; bring-up of BB needs 1.
    pub chip_revision: u8,
    /// Metal revision.
    pub chip_metal: u8,
    /// Bond id.
    pub bond_id: u8,
    /// Whether one PCI function drives both engines (100G on BB). The management firmware of such a function can be
    /// talked to; going up is refused ([`ConfigError::TwoEngines`](crate::config::ConfigError::TwoEngines)).
    pub coupled: bool,
    /// The register that says so: bit n is set when function n drives both engines; 0 on K2.
    pub engine_pairs: u32,
    /// Ports of the engine: 1, 2 or 4.
    pub ports_per_engine: u8,
    /// Functions of the engine that are not hidden.
    pub functions: u8,
    /// Position of this function among them.
    pub function_index: u8,
    /// Bytes of BAR0 as the chip has it.
    pub register_bar_bytes: u64,
    /// Bytes of the doorbell BAR as the chip has it.
    pub doorbell_bar_bytes: u64,
}

impl Default for FunctionIdentity {
    fn default() -> Self {
        Self {
            pci: PciIdentity::default(),
            chip: Chip::K2,
            rel_pf: 0,
            abs_pf: 0,
            port: 0,
            path: 0,
            opaque_fid: 0,
            concrete_fid: 0,
            mcp_pf: 0,
            chip_number: 0,
            chip_revision: 0,
            chip_metal: 0,
            bond_id: 0,
            coupled: false,
            engine_pairs: 0,
            ports_per_engine: 1,
            functions: 1,
            function_index: 0,
            register_bar_bytes: 0,
            doorbell_bar_bytes: 0,
        }
    }
}

/// Bytes of a BAR when an old management firmware does not say.
const OLD_BAR_BYTES: u64 = 512 * 1024;

/// What the identity register reads when the access did not reach the chip.
const NO_ACCESS: u32 = u32::MAX;

impl FunctionIdentity {
    /// Reads the identity of the function behind `windows`.
    ///
    /// Touches the identity registers of the admin page (opaque and concrete function id), ends pretends that
    /// an earlier driver may have left in the windows, and reads, through the main window, the chip's number, revision, metal and bond, port mode, hidden functions and BAR sizes.
    ///
    /// # Errors
    ///
    /// [`AccessError::NotThisFamily`] for other PCI ids, [`AccessError::DeviceGone`] when the PCI revision or
    /// the identity register is all ones, [`AccessError::RegisterBarTooSmall`],
    /// [`AccessError::ImpossibleFunction`] for a function or path that the chip does not have, or a VF.
    pub fn read<B: Bar>(windows: &Windows<B>, pci: PciIdentity) -> Result<Self, AccessError> {
        let chip = match Chip::from_device_id(pci.device) {
            Some(chip) if pci.vendor == VENDOR_ID => chip,
            _ if pci.vendor == u16::MAX => return Err(AccessError::DeviceGone),
            _ => {
                return Err(AccessError::NotThisFamily {
                    vendor: pci.vendor,
                    device: pci.device,
                });
            }
        };
        if pci.revision == u8::MAX {
            return Err(AccessError::DeviceGone);
        }
        windows.check()?;
        let opaque = windows.admin_read(bar::ME_OPAQUE.value());
        let word = windows.admin_read(bar::ME_CONCRETE.value());
        if opaque == NO_ACCESS || word == NO_ACCESS {
            return Err(AccessError::DeviceGone);
        }
        let concrete = ConcreteFid(word);
        let limits = chip.limits();
        let possible = concrete.relative_pf() < limits.pfs_per_engine
            && concrete.path() < limits.engines
            && concrete.vf_id().is_none();
        if !possible {
            return Err(AccessError::ImpossibleFunction { concrete: word });
        }
        let rel_pf = concrete.relative_pf();
        let abs_pf = concrete.absolute_pf();
        windows.set_function(rel_pf);
        windows.end_pretends();

        let engine_pairs = match chip {
            Chip::Bb => miscs::CMT_ENABLED_FOR_PAIR.on(windows).get(),
            Chip::K2 => 0,
        };
        let coupled = engine_pairs >> rel_pf & 1 == 1;
        let port_mode = misc::PORT_MODE.on(windows).get();
        let ports_per_engine = match port_mode {
            _ if coupled => 1,
            0 => 1,
            1 => 2,
            2 => 4,
            other => {
                warning!("port mode {:#x} is unknown, one port is assumed", other);
                1
            }
        };
        let hidden = miscs::FUNCTION_HIDE.on(windows).get();
        let (functions, function_index) =
            visible_functions(chip, coupled, concrete.path(), rel_pf, abs_pf, hidden);
        let identity = Self {
            pci,
            chip,
            rel_pf,
            abs_pf,
            port: concrete.port(),
            path: concrete.path(),
            opaque_fid: opaque as u16,
            concrete_fid: word as u16,
            mcp_pf: match chip {
                Chip::Bb => rel_pf | (abs_pf & 1) << 3,
                Chip::K2 => rel_pf,
            },
            chip_number: miscs::CHIP_NUM.on(windows).read(miscs::chip_num::NUMBER) as u16,
            chip_revision: miscs::CHIP_REV.on(windows).read(miscs::chip_rev::REVISION) as u8,
            chip_metal: miscs::CHIP_METAL.on(windows).read(miscs::chip_metal::METAL) as u8,
            bond_id: miscs::CHIP_TEST_REG
                .on(windows)
                .read(miscs::chip_test_reg::BOND_ID) as u8,
            coupled,
            engine_pairs,
            ports_per_engine,
            functions,
            function_index,
            register_bar_bytes: bar_bytes(pglue_b::PF_BAR0_SIZE.on(windows).get()),
            doorbell_bar_bytes: bar_bytes(pglue_b::PF_BAR1_SIZE.on(windows).get()),
        };
        windows.check()?;
        info!(
            "PF {} of the chip, {} of engine {}, port {}; chip number {:#x} revision {}",
            abs_pf,
            rel_pf,
            identity.path,
            identity.port,
            identity.chip_number,
            identity.chip_revision
        );
        debug!(
            "ports of the engine: {}; functions: {}, of which this is number {}",
            ports_per_engine, functions, function_index
        );
        if coupled {
            warning!(
                "the function drives both engines of the chip; it can be looked at, and not go up"
            );
        }
        Ok(identity)
    }
}

fn bar_bytes(register: u32) -> u64 {
    bar::size_from_register(register).unwrap_or(OLD_BAR_BYTES)
}

/// Functions of the engine and this one's position among them, from the word of hidden functions.
fn visible_functions(
    chip: Chip,
    coupled: bool,
    path: u8,
    rel_pf: u8,
    abs_pf: u8,
    hidden: u32,
) -> (u8, u8) {
    let most = chip.limits().pfs_per_engine;
    if hidden & 1 == 0 {
        return (most, rel_pf);
    }
    let (start, mask) = match chip {
        Chip::Bb if path == 1 && !coupled => (0, 0xaaaa),
        Chip::Bb => (1, 0x5554),
        Chip::K2 => (1, 0xfffe),
    };
    let functions = start + (!hidden & mask).count_ones() as u8;
    let below = (1u32 << abs_pf) - 1;
    let hidden_below = (hidden & mask & below).count_ones() as u8;
    (
        functions.clamp(1, most),
        rel_pf.saturating_sub(hidden_below),
    )
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
