//! Names of adapters, as a command line has them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use fastlinq_linux::readonly::{ReadOnlyError, ReadOnlyHost};
use fastlinq_linux::vfio::{VfioError, VfioHost};
use fastlinq_linux::vfio_user::{VfioUserError, VfioUserHost};
use fastlinq_linux::{PageSize, PciAddress};
use fastlinq_model_host::ModelHost;

use crate::AnyHost;

/// Which adapter a program is to use.
///
/// # Examples
///
/// ```
/// use fastlinq_host::AdapterName;
///
/// let name: AdapterName = "vfio-user:/tmp/adapter".parse()?;
/// assert_eq!(name, AdapterName::VfioUser("/tmp/adapter".into()));
/// assert_eq!(name.to_string(), "vfio-user:/tmp/adapter");
/// assert!("vfio-user:".parse::<AdapterName>().is_err());
/// # Ok::<(), fastlinq_host::BadAdapterName>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdapterName {
    /// `model`: the software adapter, in this process.
    #[default]
    Model,
    /// `vfio:0000:3b:00.0`: a function of this machine that `vfio-pci` has.
    Vfio(PciAddress),
    /// `sysfs:0000:3b:00.0`: a function of this machine that no driver has; it is looked at, and can do nothing.
    Sysfs(PciAddress),
    /// `vfio-user:PATH`: an adapter that another process serves at this socket.
    VfioUser(PathBuf),
}

/// A text that names no adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAdapterName {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadAdapterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for BadAdapterName {}

impl FromStr for AdapterName {
    type Err = BadAdapterName;

    fn from_str(text: &str) -> Result<Self, BadAdapterName> {
        let bad = |reason: String| BadAdapterName {
            text: text.into(),
            reason,
        };
        match text.split_once(':') {
            None if text == "model" => Ok(Self::Model),
            Some(("vfio", address)) => address
                .parse()
                .map(Self::Vfio)
                .map_err(|error| bad(error.to_string())),
            Some(("sysfs", address)) => address
                .parse()
                .map(Self::Sysfs)
                .map_err(|error| bad(error.to_string())),
            Some(("vfio-user", "")) => Err(bad("vfio-user: lacks the path of a socket".into())),
            Some(("vfio-user", path)) => Ok(Self::VfioUser(path.into())),
            _ => Err(bad(
                "adapters are model, vfio:0000:3b:00.0, sysfs:0000:3b:00.0 and vfio-user:PATH"
                    .into(),
            )),
        }
    }
}

impl fmt::Display for AdapterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("model"),
            Self::Vfio(address) => write!(f, "vfio:{address}"),
            Self::Sysfs(address) => write!(f, "sysfs:{address}"),
            Self::VfioUser(path) => write!(f, "vfio-user:{}", path.display()),
        }
    }
}

/// Why an adapter cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// VFIO.
    Vfio(VfioError),
    /// The kernel's files.
    Sysfs(ReadOnlyError),
    /// The served adapter.
    VfioUser(VfioUserError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vfio(error) => error.fmt(f),
            Self::Sysfs(error) => error.fmt(f),
            Self::VfioUser(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// The adapter is only looked at, so nothing that drives it can be done.
///
/// Its [`Display`](fmt::Display) says what can, and what to do for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnlyLookedAt(pub PciAddress);

impl fmt::Display for OnlyLookedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.0;
        write!(
            f,
            "sysfs:{address} is only looked at, as `fastlinq diagnose --adapter sysfs:{address}` does; to drive it, give it to VFIO with `fastlinq bind {address}`, and name it vfio:{address}"
        )
    }
}

impl std::error::Error for OnlyLookedAt {}

/// How an adapter is to be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    vectors: u16,
    largest_pages: PageSize,
}

impl OpenOptions {
    /// MSI-X vectors to set up, as many as the adapter has at most; 0, for a driver that polls, when not given.
    #[must_use]
    pub fn vectors(mut self, vectors: u16) -> Self {
        self.vectors = vectors;
        self
    }

    /// Largest pages that DMA memory is made of, through VFIO; 2 MiB when not given. Where there are none left, smaller ones
    /// are taken, with a warning in the log.
    #[must_use]
    pub fn largest_pages(mut self, size: PageSize) -> Self {
        self.largest_pages = size;
        self
    }

    /// Opens the adapter.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(self, name: &AdapterName) -> Result<AnyHost, OpenError> {
        match name {
            AdapterName::Model => {
                let host = ModelHost::builder().interrupt_vectors(self.vectors).build();
                Ok(AnyHost::Model(host))
            }
            AdapterName::Vfio(address) => VfioHost::options(*address)
                .vectors(self.vectors)
                .largest_pages(self.largest_pages)
                .open()
                .map(AnyHost::Vfio)
                .map_err(OpenError::Vfio),
            AdapterName::Sysfs(address) => ReadOnlyHost::open(*address)
                .map(AnyHost::Sysfs)
                .map_err(OpenError::Sysfs),
            AdapterName::VfioUser(path) => VfioUserHost::options(path)
                .vectors(self.vectors)
                .open()
                .map(AnyHost::VfioUser)
                .map_err(OpenError::VfioUser),
        }
    }
}

impl AdapterName {
    /// Whether an adapter of this kind of name can be driven, with DMA and doorbells.
    ///
    /// # Errors
    ///
    /// [`OnlyLookedAt`] for `sysfs:`.
    pub fn can_be_driven(&self) -> Result<(), OnlyLookedAt> {
        match self {
            Self::Sysfs(address) => Err(OnlyLookedAt(*address)),
            _ => Ok(()),
        }
    }

    /// Opens the adapter, for a driver that polls. Interrupts: [`OpenOptions`].
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(&self) -> Result<AnyHost, OpenError> {
        OpenOptions::default().open(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in [
            "model",
            "vfio:0000:3b:00.0",
            "sysfs:10001:01:00.7",
            "vfio-user:/a:b",
        ] {
            let parsed: AdapterName = name.parse().expect(name);
            assert_eq!(parsed.to_string(), name);
        }
        for name in [
            "",
            "Model",
            "model:",
            "vfio",
            "vfio:",
            "vfio:3b",
            "vfio-user:",
            "tap:0",
        ] {
            assert!(name.parse::<AdapterName>().is_err(), "{name}");
        }
    }
}
