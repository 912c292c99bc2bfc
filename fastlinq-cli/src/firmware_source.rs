//! Where the storm firmware comes from.

use std::path::{Path, PathBuf};

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, anyhow, ensure};
use fastlinq_hal::firmware::{FirmwareError, FirmwareImage, Inflater};
use fastlinq_host::AdapterName;
use fastlinq_model::firmware_image::{synthetic_image, synthetic_image_of, unzipped_image_of};
use fastlinq_pac::versions::{self, FirmwareVersion};

/// Largest file that is read; the genuine ones have less than a megabyte.
const MAX_SIZE: u64 = 16 << 20;
const FOLDERS: [&str; 2] = ["/lib/firmware/qed", "/usr/lib/firmware/qed"];
const NAME: &str = "qed_init_values_zipped-8.59.1.0.bin";
const SYNTHETIC: &str = "synthetic";
const UNZIPPED: &str = ",unzipped";

/// Builds the synthetic image of a version.
type ImageOf = fn(FirmwareVersion) -> Option<Vec<u8>>;

/// Bytes of a storm-firmware file, and where they are from.
#[derive(Debug)]
pub(crate) struct FirmwareSource {
    pub(crate) bytes: Vec<u8>,
    pub(crate) origin: Origin,
}

impl FirmwareSource {
    /// The file as an image that the driver can run, which is known before any adapter is touched.
    pub(crate) fn runnable(&self) -> Result<FirmwareImage<'_>> {
        let check = || -> Result<FirmwareImage<'_>, FirmwareError> {
            let image = FirmwareImage::parse(&self.bytes)?;
            image.layout()?;
            image.verify(&mut Box::new(Inflater::new()))?;
            Ok(image)
        };
        check().map_err(|error| anyhow!("storm firmware file {}: {error}", self.origin))
    }
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
        return match path.to_str().and_then(|name| name.strip_prefix(SYNTHETIC)) {
            Some("") => Ok(synthetic(synthetic_image())),
            Some(version) if version.starts_with(':') => synthetic_of(&version[1..]),
            _ => read(path),
        };
    }
    let own = std::env::var_os("FASTLINQ_FIRMWARE_DIR").map(PathBuf::from);
    let installed = own
        .into_iter()
        .chain(FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(NAME))
        .find(|path| path.is_file());
    installed.map_or_else(|| Ok(synthetic(synthetic_image())), |path| read(&path))
}

/// The same for an adapter: a card is not given the synthetic image unless that was asked for by name.
pub(crate) fn find_for(adapter: &AdapterName, named: Option<&Path>) -> Result<FirmwareSource> {
    let source = find(named)?;
    let card = matches!(adapter, AdapterName::Vfio(_));
    ensure!(
        !card || named.is_some() || source.origin != Origin::Synthetic,
        "the storm-firmware file {NAME} is missing; install it (Debian: firmware-qlogic), or name one with --firmware"
    );
    Ok(source)
}

fn synthetic(bytes: Vec<u8>) -> FirmwareSource {
    FirmwareSource {
        bytes,
        origin: Origin::Synthetic,
    }
}

/// The synthetic image of another version, which may be followed by `,unzipped`.
fn synthetic_of(named: &str) -> Result<FirmwareSource> {
    let (version, image_of) = match named.strip_suffix(UNZIPPED) {
        Some(version) => (version, unzipped_image_of as ImageOf),
        None => (named, synthetic_image_of as ImageOf),
    };
    let numbers: Vec<u8> = version.split('.').flat_map(str::parse).collect();
    let image = match numbers[..] {
        [major, minor, revision, engineering] if version.split('.').count() == 4 => {
            image_of(FirmwareVersion::new(major, minor, revision, engineering))
        }
        _ => None,
    };
    let known = || {
        let names = versions::ALL
            .iter()
            .map(|layout| layout.version.to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    image.map(synthetic).with_context(|| {
        format!(
            "there is no synthetic image of {version}, only of {}",
            known()
        )
    })
}

fn read(path: &Path) -> Result<FirmwareSource> {
    let name = || path.display().to_string();
    let mut bytes = Vec::new();
    // A device or a pipe has no size to be asked for.
    let file = File::open(path).with_context(name)?;
    let read = file.take(MAX_SIZE + 1).read_to_end(&mut bytes);
    let size = read.with_context(name)? as u64;
    ensure!(
        size <= MAX_SIZE,
        "{}: more than {MAX_SIZE} bytes are too many for an init-values file",
        name()
    );
    Ok(FirmwareSource {
        bytes,
        origin: Origin::File(path.into()),
    })
}
