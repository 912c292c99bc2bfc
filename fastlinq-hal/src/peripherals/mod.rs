//! What hangs on the management firmware, as embedded-hal has it: the module in the port, pins, the port's light.
//!
//! | part | trait of embedded-hal 1.0 | mailbox commands |
//! |---|---|---|
//! | [`Module`] | `i2c::I2c` | TRANSCEIVER_READ, TRANSCEIVER_WRITE |
//! | [`Pin`], [`OutputPin`] | `digital::InputPin`, `OutputPin`, `StatefulOutputPin` | GPIO_READ, GPIO_WRITE, GPIO_INFO |
//! | [`Light`] | `digital::OutputPin` | SET_LED_MODE |
//!
//! So any driver or decoder crate for modules works on an adapter. The parts share the mailbox and can be used side by side;
//! a call waits for the answer of the management firmware, about a millisecond in the usual case.
//!
//! Known by: source reading and the model.
//!
//! # Examples
//!
//! ```
//! use embedded_hal::i2c::I2c;
//! use fastlinq_hal::adapter::{Adapter, AdapterConfig};
//! use fastlinq_model_host::ModelHost;
//!
//! let host = ModelHost::builder().build();
//! let mut adapter = Adapter::new(host, AdapterConfig::default()).connect().map_err(|failed| failed.cause)?;
//! let peripherals = adapter.peripherals();
//!
//! // The vendor's name, bytes 20 to 35 of the first memory of an SFP.
//! let mut name = [0; 16];
//! peripherals.module().write_read(0x50, &[20], &mut name)?;
//! assert_eq!(&name, b"FASTLINQ MODEL  ");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod light;
mod module;
mod pins;

use core::cell::RefCell;
use core::fmt;

use fastlinq_pac::mfw::{DriverCommand, FirmwareResponse};

use crate::adapter::{Adapter, Managed};
use crate::core_state::Core;
use crate::host::Host;
use crate::mfw::response_name;

pub use light::{Light, LightError};
pub use module::{ALL_WRITES, Module, ModuleError, PAGE_SELECT, WritePermission};
pub use pins::{OutputPin, Pin, PinError, PinInfo};

/// The parts that hang on the management firmware; see the [module page](self).
pub struct Peripherals<'a, H: Host> {
    // Borrowed for the time of one exchange only, which never calls back.
    core: RefCell<&'a mut Core<H>>,
}

impl<'a, H: Host> Peripherals<'a, H> {
    pub(crate) fn new(core: &'a mut Core<H>) -> Self {
        Self {
            core: RefCell::new(core),
        }
    }

    /// The module in the port, for reading.
    pub fn module(&self) -> Module<'_, 'a, H> {
        Module::new(self, WritePermission::NONE)
    }

    /// The module in the port, with permission to write to it: [`PAGE_SELECT`] or [`ALL_WRITES`].
    pub fn module_with(&self, permission: WritePermission) -> Module<'_, 'a, H> {
        Module::new(self, permission)
    }

    /// A pin of the board, for reading.
    pub fn pin(&self, number: u16) -> Pin<'_, 'a, H> {
        Pin::new(self, number)
    }

    /// The port's light.
    pub fn light(&self) -> Light<'_, 'a, H> {
        Light::new(self)
    }

    fn with<T>(&self, exchange: impl FnOnce(&mut Core<H>) -> T) -> T {
        exchange(&mut self.core.borrow_mut())
    }
}

impl<H: Host> fmt::Debug for Peripherals<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peripherals").finish_non_exhaustive()
    }
}

impl<S: Managed, H: Host> Adapter<S, H> {
    /// The module in the port, pins and the port's light, as embedded-hal has them.
    pub fn peripherals(&mut self) -> Peripherals<'_, H> {
        Peripherals::new(self.core_mut())
    }
}

fn refused(
    f: &mut fmt::Formatter<'_>,
    command: DriverCommand,
    code: FirmwareResponse,
    param: u32,
) -> fmt::Result {
    write!(
        f,
        "the management firmware refuses {}: {} {:#06x}, parameter {param:#x}",
        command.name().unwrap_or("a command"),
        response_name(command, code),
        code.0
    )
}

fn unknown(f: &mut fmt::Formatter<'_>, command: DriverCommand, param: u32) -> fmt::Result {
    write!(
        f,
        "the management firmware does not know {} (response 0x0000, parameter {param:#x})",
        command.name().unwrap_or("a command"),
    )
}

#[cfg(test)]
mod tests;
