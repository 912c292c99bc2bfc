//! The storm firmware's init-values file: parsing, validation and walking.
//!
//! The file is a container of sections: a program of initialisation operations, the arrays that it
//! writes, the conditions that it tests, a table of firmware variables and overlays. The program is
//! walked once for each phase; conditions choose by phase and by the modes of the chip.
//!
//! Everything is checked before anything is used: [`FirmwareImage::parse`] refuses a file in which any
//! operation, condition or array reaches outside its section. Parsing and inspecting works for the
//! files 8.10 to 8.59; *running* one needs a layout of that version in `fastlinq_pac::versions`.
//!
//! Known by: source reading; decoding of the genuine files (the tests compare with golden checksums).
//!
//! # Examples
//!
//! ```
//! use fastlinq_hal::firmware::{FirmwareImage, Modes};
//! use fastlinq_pac::init_file::Phase;
//!
//! let bytes = fastlinq_model::firmware_image::synthetic_image();
//! let image = FirmwareImage::parse(&bytes)?;
//! assert_eq!(image.version().to_string(), "8.59.1.0");
//! let modes = Modes::K2 | Modes::ASIC | Modes::MF_SI | Modes::PORTS_2;
//! let operations = image.operations(Phase::ENGINE, None, modes).count();
//! assert!(operations > 100);
//! # Ok::<(), fastlinq_hal::firmware::FirmwareError>(())
//! ```

mod array;
mod error;
mod image;
mod inflate;
mod modes;
mod walk;

pub use array::{Array, Dwords};
pub use error::{Compression, FirmwareError, SectionName};
pub use image::{FirmwareImage, IroRecords, Overlay, Overlays, SectionRange};
pub use inflate::Inflater;
pub use modes::Modes;
pub use walk::{MAX_PROGRAM_DWORDS, Operation, Operations, Source};

#[cfg(test)]
mod tests;
