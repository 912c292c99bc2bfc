//! Names for what a trace has as numbers.

use fastlinq_model::observer::Path;
use fastlinq_pac::Chip;
use fastlinq_pac::hsi::{CommonRamrodCmdId, EthRamrodCmdId, ProtocolId};
use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};
use fastlinq_pac::versions::{IroId, Storm, V8_59_1};

use crate::follow::SCRATCHPAD;

pub(crate) mod registers;
pub(crate) mod structures;

mod generated {
    pub(crate) mod registers;
    pub(crate) mod structures;
}

/// Bytes of a storm's RAM, and of that part of it which the storm's block shows too.
const STORM_RAM: u32 = 0x4_0000;
const INTERNAL_RAM: u32 = 0x1_4000;
const STORMS: [(u32, Storm, &str); 6] = [
    (0x1c8_0000, Storm::T, "TSTORM"),
    (0x1d0_0000, Storm::M, "MSTORM"),
    (0x1d8_0000, Storm::U, "USTORM"),
    (0x1e0_0000, Storm::X, "XSTORM"),
    (0x1e8_0000, Storm::Y, "YSTORM"),
    (0x1f0_0000, Storm::P, "PSTORM"),
];
const IGU_COMMANDS: core::ops::Range<u32> = 0x1c0_0000..0x1c1_0000;

/// A place in the internal address space, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The block, storm RAM or other region.
    pub block: String,
    /// The register, array or firmware variable.
    pub name: String,
    /// Element of an array; bytes within a variable or of a place without name.
    pub index: Option<u32>,
    /// The dword within a wide element.
    pub dword: Option<u32>,
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.block, self.name)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        match self.dword {
            Some(dword) => write!(f, ".{dword}"),
            None => Ok(()),
        }
    }
}

/// The name of an internal address on `chip`; storm RAM by the variables of storm firmware 8.59.1.0.
pub fn place(chip: Chip, address: u32) -> Place {
    let unnamed = |block: &str, offset: u32| Place {
        block: block.to_owned(),
        name: format!("{offset:#x}"),
        index: None,
        dword: None,
    };
    if let Some(&(base, storm, name)) = STORMS
        .iter()
        .find(|(base, ..)| address.wrapping_sub(*base) < STORM_RAM)
    {
        return storm_variable(storm, name, address - base)
            .unwrap_or_else(|| unnamed(&format!("{name} RAM"), address - base));
    }
    if SCRATCHPAD.contains(&address) {
        return unnamed("MFW scratchpad", address - SCRATCHPAD.start);
    }
    if IGU_COMMANDS.contains(&address) {
        return unnamed("IGU commands", address - IGU_COMMANDS.start);
    }
    if let Some(found) = registers::find(chip, address) {
        return found;
    }
    match registers::block_before(address) {
        Some(block) => unnamed(block, address),
        None => unnamed("unnamed", address),
    }
}

/// The address by which a place is known that has two: storm RAM is seen through the storm's block as well.
pub(crate) fn canonical(address: u32) -> u32 {
    STORMS
        .iter()
        .find_map(|(base, storm, _)| {
            let offset = address.wrapping_sub(storm.internal_ram().value());
            (offset < INTERNAL_RAM).then(|| base + offset)
        })
        .unwrap_or(address)
}

fn storm_variable(storm: Storm, ram: &str, offset: u32) -> Option<Place> {
    IroId::all()
        .filter_map(|id| Some((id, V8_59_1.iro(id)?)))
        .filter(|(_, iro)| iro.storm == storm)
        .filter_map(|(id, iro)| {
            let step = u32::from(iro.steps[0]);
            let inside = offset.checked_sub(iro.base)?;
            let size = u32::from(iro.size).max(1);
            let element = inside.checked_div(step).unwrap_or(0);
            let rest = inside - element * step;
            // Elements are per function, queue or status block: none has more.
            (rest < size && element < 512).then(|| {
                let place = Place {
                    block: format!("{ram} RAM"),
                    name: id.name().to_owned(),
                    index: (step != 0).then_some(element),
                    dword: (size > 4).then_some(rest / 4),
                };
                (iro.base, place)
            })
        })
        // Elements of a variable may reach into the next one; the nearest begins last.
        .max_by_key(|(base, _)| *base)
        .map(|(_, place)| place)
}

/// The name of a ramrod.
pub fn ramrod(protocol: u8, command: u8) -> String {
    let name = match ProtocolId(protocol) {
        ProtocolId::COMMON => CommonRamrodCmdId(command).name(),
        ProtocolId::ETH => EthRamrodCmdId(command).name(),
        _ => None,
    };
    let protocol_name = ProtocolId(protocol)
        .name()
        .map_or_else(|| format!("protocol {protocol}"), str::to_owned);
    match name {
        Some(name) => format!("{protocol_name} {name}"),
        None => format!("{protocol_name} {command:#x}"),
    }
}

/// The name of the structure that a ramrod's data is.
pub fn ramrod_structure(protocol: u8, command: u8) -> Option<&'static str> {
    Some(match ProtocolId(protocol) {
        ProtocolId::COMMON => match CommonRamrodCmdId(command) {
            CommonRamrodCmdId::PF_START => "PfStartRamrodData",
            CommonRamrodCmdId::PF_UPDATE => "PfUpdateRamrodData",
            _ => return None,
        },
        ProtocolId::ETH => match EthRamrodCmdId(command) {
            EthRamrodCmdId::VPORT_START => "VportStartRamrodData",
            EthRamrodCmdId::VPORT_UPDATE => "VportUpdateRamrodData",
            EthRamrodCmdId::VPORT_STOP => "VportStopRamrodData",
            EthRamrodCmdId::RX_QUEUE_START => "RxQueueStartRamrodData",
            EthRamrodCmdId::RX_QUEUE_STOP => "RxQueueStopRamrodData",
            EthRamrodCmdId::RX_QUEUE_UPDATE => "RxQueueUpdateRamrodData",
            EthRamrodCmdId::TX_QUEUE_START => "TxQueueStartRamrodData",
            EthRamrodCmdId::TX_QUEUE_STOP => "TxQueueStopRamrodData",
            EthRamrodCmdId::TX_QUEUE_UPDATE => "TxQueueUpdateRamrodData",
            EthRamrodCmdId::FILTERS_UPDATE => "VportFilterUpdateRamrodData",
            _ => return None,
        },
        _ => return None,
    })
}

/// The name of a mailbox command.
pub fn command(code: u16) -> String {
    DriverCommand(code)
        .name()
        .map_or_else(|| format!("command {code:#06x}"), str::to_owned)
}

/// The name of an answer of the management firmware.
pub fn response(code: u16) -> String {
    FirmwareResponse(code)
        .name()
        .map_or_else(|| format!("response {code:#06x}"), str::to_owned)
}

/// How an access came in, in a word.
pub fn path(path: Path) -> String {
    match path {
        Path::Movable(number) => format!("ptt{number}"),
        Path::Global(number) => format!("gtt{number}"),
        Path::Dmae(channel) => format!("dmae{channel}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_names_of_the_crate_of_definitions() {
        let name = |address| place(Chip::K2, address).to_string();
        assert_eq!(name(0x18_0800), "IGU.PF_CONFIGURATION");
        assert_eq!(name(0x18_4008), "IGU.MAPPING_MEMORY[2]");
        assert_eq!(name(0x1c_6010), "CAU.SB_VAR_MEMORY[2].0");
        assert_eq!(place(Chip::K2, 0xe2_0010).block, "MFW scratchpad");
        assert_eq!(place(Chip::K2, 0x1c8_0000).block, "TSTORM RAM");
    }

    #[test]
    fn storm_rams_lie_where_the_storms_have_them() {
        for (base, storm, _) in STORMS {
            assert_eq!(base, storm.ram().value());
            let inside = storm.internal_ram().value() + 0x100;
            assert_eq!(canonical(inside), base + 0x100);
            assert_eq!(canonical(base), base);
        }
    }

    #[test]
    fn ramrods_and_commands_have_names() {
        let common = ProtocolId::COMMON.value();
        assert_eq!(ramrod(common, 1), "COMMON PF_START");
        assert_eq!(command(0x1000), "LOAD_REQ");
        assert!(structures::find(ramrod_structure(common, 1).unwrap()).is_some());
        for command in 0..=255 {
            if let Some(name) = ramrod_structure(ProtocolId::ETH.value(), command) {
                assert!(structures::find(name).is_some(), "{name}");
            }
        }
    }
}
