//! Which modes of the init program hold for this chip.

use fastlinq_pac::Chip;

use super::ConfigError;
use crate::access::FunctionIdentity;
use crate::firmware::Modes;
use crate::mfw::nvm_config::MultiFunctionMode;

/// The modes that hold for the function: chip, silicon, ports, how functions are told apart, both engines.
///
/// # Errors
///
/// [`ConfigError::ChipRevision`] for a BB that is not of revision 1; [`ConfigError::Ports`].
pub fn modes(
    identity: &FunctionIdentity,
    multi_function: MultiFunctionMode,
) -> Result<Modes, ConfigError> {
    let chip = match identity.chip {
        Chip::Bb if identity.chip_revision != 1 => {
            return Err(ConfigError::ChipRevision {
                revision: identity.chip_revision,
            });
        }
        Chip::Bb => Modes::BB,
        Chip::K2 => Modes::K2,
    };
    let ports = identity.ports_per_engine;
    let ports = match ports {
        _ if ports > identity.chip.limits().ports_per_engine => None,
        1 => Some(Modes::PORTS_1),
        2 => Some(Modes::PORTS_2),
        4 => Some(Modes::PORTS_4),
        _ => None,
    }
    .ok_or(ConfigError::Ports { ports })?;
    let classification = if multi_function.by_outer_vlan() {
        Modes::MF_SD
    } else {
        Modes::MF_SI
    };
    let engines = if identity.coupled {
        Modes::TWO_ENGINES
    } else {
        Modes::empty()
    };
    Ok(chip | Modes::ASIC | classification | ports | engines)
}
