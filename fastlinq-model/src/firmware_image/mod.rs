//! Storm-firmware images in the real file format, built by this project.
//!
//! A driver needs an init-values file to bring an adapter up. [`synthetic_image`] gives one that the
//! software adapter accepts, [`synthetic_image_of`] the same for an older build, [`unzipped_image_of`] without compressed arrays; [`ImageBuilder`] builds others, for tests of what a driver does with
//! them. Neither contains anything of the vendor's firmware but addresses and indexes.

mod builder;
mod format;
mod iro_records;
mod runtime_runs;
mod synthetic;
mod versions;

pub use builder::{ImageBuilder, IroRecord, ModeExpression, Poll};
pub use synthetic::{synthetic_image, synthetic_image_of, unzipped_image_of};

#[cfg(test)]
mod tests;
