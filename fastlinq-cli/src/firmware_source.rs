//! Where the storm firmware comes from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Largest file that is read; the genuine ones have less than a megabyte.
const MAX_SIZE: u64 = 16 << 20;
const FOLDERS: [&str; 2] = ["/lib/firmware/qed", "/usr/lib/firmware/qed"];
const NAME: &str = "qed_init_values_zipped-8.59.1.0.bin";
const SYNTHETIC: &str = "synthetic";

/// Bytes of a storm-firmware file, and where they are from.
#[derive(Debug)]
pub(crate) struct FirmwareSource {
    pub(crate) bytes: Vec<u8>,
    pub(crate) origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Built by this project: accepted by the software adapter, useless for a card.
    Synthetic,
    File(PathBuf),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Synthetic => write!(f, "synthetic image built by this project"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Takes the named file, or the genuine one where it is installed, or the synthetic image.
pub(crate) fn find(named: Option<&Path>) -> Result<FirmwareSource> {
    if let Some(path) = named {
        return if path == Path::new(SYNTHETIC) {
            Ok(synthetic())
        } else {
            read(path)
        };
    }
    let own = std::env::var_os("FASTLINQ_FIRMWARE_DIR").map(PathBuf::from);
    let installed = own
        .into_iter()
        .chain(FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(NAME))
        .find(|path| path.is_file());
    installed.map_or_else(|| Ok(synthetic()), |path| read(&path))
}

fn synthetic() -> FirmwareSource {
    FirmwareSource {
        bytes: fastlinq_model::firmware_image::synthetic_image(),
        origin: Origin::Synthetic,
    }
}

fn read(path: &Path) -> Result<FirmwareSource> {
    let name = || path.display().to_string();
    let size = std::fs::metadata(path).with_context(name)?.len();
    ensure!(
        size <= MAX_SIZE,
        "{}: {size} bytes are too many for an init-values file",
        name()
    );
    let bytes = std::fs::read(path).with_context(name)?;
    Ok(FirmwareSource {
        bytes,
        origin: Origin::File(path.into()),
    })
}
