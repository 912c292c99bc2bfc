//! A host for an adapter that another process serves over vfio-user, as `fastlinq model serve` does.

use std::fmt;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastlinq_hal::host::{Bar, Caching};
use fastlinq_vfio_user::{Client, ClientError, Region as RemoteRegion};
use log::warn;
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};

use crate::config_space::{self, ConfigSpace};
use crate::glue::{Parts, host_of_parts};
use crate::interrupts::Vector;
use crate::memory::{MapError, MemoryReport, PageSize, Pool, Region, Translation, Window};
use crate::mmio::MappedBar;

const REGISTERS: u32 = 0;
const DOORBELLS: u32 = 2;
const CONFIG: u32 = 7;
const MSIX: u32 = 2;
/// Bus addresses that are used; the server takes any.
const BUS_ADDRESSES: (u64, u64) = (1 << 32, (1 << 47) - 1);
/// Largest BAR that is believed.
const MAX_BAR: u64 = 1 << 30;

/// Why a served adapter cannot be used.
#[derive(Debug)]
pub enum VfioUserError {
    /// The server, or the way to it.
    Client {
        /// Where the server listens.
        path: PathBuf,
        /// What happened.
        error: ClientError,
    },
    /// What is served is no PCI device with BAR0, BAR2 and a configuration space.
    NotAnAdapter {
        /// Where the server listens.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
        /// The value that says so.
        value: u64,
    },
    /// This machine has no eventfds left.
    Interrupts(std::io::Error),
}

impl fmt::Display for VfioUserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NotAnAdapter { path, what, value } => {
                write!(
                    f,
                    "{} serves no adapter: {what} ({value:#x})",
                    path.display()
                )
            }
            Self::Interrupts(error) => write!(f, "no eventfd for an interrupt: {error}"),
        }
    }
}

impl std::error::Error for VfioUserError {}

/// The connection, and the first thing that went wrong on it.
#[derive(Debug)]
struct Link {
    client: Client,
    fault: Option<String>,
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Link>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Link> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the connection; an error is kept, and gives `None`.
    fn with<T>(&self, what: impl FnOnce(&mut Client) -> Result<T, ClientError>) -> Option<T> {
        let mut link = self.lock();
        what(&mut link.client)
            .map_err(|error| link.keep(&error))
            .ok()
    }

    /// The same for what is no longer needed when there is no server any more, which is no error then.
    fn unless_gone(
        &self,
        what: impl FnOnce(&mut Client) -> Result<(), ClientError>,
    ) -> Result<(), MapError> {
        let mut link = self.lock();
        match what(&mut link.client) {
            Err(error) if link.client.is_given_up() => {
                link.keep(&error);
                Ok(())
            }
            result => Ok(result?),
        }
    }
}

impl Link {
    /// Keeps the first error.
    fn keep(&mut self, error: &ClientError) {
        if self.fault.is_none() {
            warn!("the served adapter: {error}");
            self.fault = Some(error.to_string());
        }
    }
}

/// Where nobody is there that could reach memory, any address will do: what the driver gets to know is that the adapter is gone,
/// and not that there is no memory.
impl Translation for Shared {
    fn map(&self, window: Window<'_>, address: u64) -> Result<(), MapError> {
        self.unless_gone(|client| client.map(window.file, 0, address, window.len as u64))
    }

    fn unmap(&self, address: u64, len: u64) -> Result<(), MapError> {
        self.unless_gone(|client| client.unmap(address, len))
    }

    /// The server reaches the file, not our mapping of it.
    fn may_free_after_failed_unmap(&self) -> bool {
        true
    }
}

/// A BAR of a served adapter; clones are handles to the same BAR.
///
/// Accesses are messages, one exchange each, unless the server offers the BAR as a sealed file, which is then mapped.
#[derive(Clone, Debug)]
pub struct VfioUserBar {
    link: Shared,
    region: u32,
    len: usize,
    mapped: Option<MappedBar>,
}

impl VfioUserBar {
    fn new(link: &Shared, region: u32, remote: &RemoteRegion) -> Self {
        Self {
            link: link.clone(),
            region,
            len: remote.size as usize,
            mapped: map(remote),
        }
    }

    fn has(&self, offset: usize, width: usize) -> bool {
        offset % width == 0 && offset.checked_add(width).is_some_and(|end| end <= self.len)
    }

    fn write(&self, offset: usize, data: &[u8]) {
        if self.has(offset, data.len()) {
            self.link
                .with(|client| client.write(self.region, offset as u64, data));
        }
    }
}

/// Maps the region when its file cannot be shortened: otherwise the server could have us die of a bus error.
fn map(remote: &RemoteRegion) -> Option<MappedBar> {
    let mapping = remote.mapping.as_ref()?;
    let sealed =
        fcntl_get_seals(&mapping.file).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
    let size = fstat(&mapping.file).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0));
    let end = mapping.offset.checked_add(remote.size)?;
    if !sealed || end > size {
        return None;
    }
    let file = mapping.file.as_fd();
    MappedBar::new(
        file,
        mapping.offset,
        remote.size as usize,
        Caching::Uncached,
        true,
    )
    .ok()
}

impl Bar for VfioUserBar {
    fn len(&self) -> usize {
        self.len
    }

    fn read32(&self, offset: usize) -> u32 {
        if let Some(bar) = &self.mapped {
            return bar.read32(offset);
        }
        if !self.has(offset, 4) {
            return u32::MAX;
        }
        let mut data = [0; 4];
        self.link
            .with(|client| client.read(self.region, offset as u64, &mut data))
            .map_or(u32::MAX, |()| u32::from_le_bytes(data))
    }

    fn write32(&self, offset: usize, value: u32) {
        match &self.mapped {
            Some(bar) => bar.write32(offset, value),
            None => self.write(offset, &value.to_le_bytes()),
        }
    }

    fn write16(&self, offset: usize, value: u16) {
        match &self.mapped {
            Some(bar) => bar.write16(offset, value),
            None => self.write(offset, &value.to_le_bytes()),
        }
    }
}

/// How a served adapter is to be used.
#[derive(Clone, Debug)]
pub struct Options {
    path: PathBuf,
    vectors: u16,
    patience: Duration,
}

impl Options {
    /// MSI-X vectors to set up; 0, for a driver that polls, when not given. As many as the adapter has at most.
    #[must_use]
    pub fn vectors(mut self, vectors: u16) -> Self {
        self.vectors = vectors;
        self
    }

    /// How long the server may take for an answer; 5 s when not given.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Connects, resets the adapter, and makes it ready for a driver.
    ///
    /// # Errors
    ///
    /// [`VfioUserError`].
    pub fn open(self) -> Result<VfioUserHost, VfioUserError> {
        let path = &self.path;
        let at = |error| VfioUserError::Client {
            path: path.clone(),
            error,
        };
        let bad = |what, value| VfioUserError::NotAnAdapter {
            path: path.clone(),
            what,
            value,
        };
        let mut client = Client::connect(path, self.patience).map_err(at)?;
        let features = client.features().map_err(at)?;
        if !features.pci || features.regions <= CONFIG {
            return Err(bad("it is no PCI device", features.regions.into()));
        }
        if features.reset {
            client.reset().map_err(at)?;
        }
        let mut bars = Vec::new();
        for index in [REGISTERS, DOORBELLS] {
            let region = client.region(index).map_err(at)?;
            if !region.readable || !region.writable || region.size == 0 || region.size > MAX_BAR {
                return Err(bad("a BAR is missing or absurd", region.size));
            }
            bars.push((index, region));
        }
        let mut space = Remote(&mut client);
        let identity = config_space::identity(&mut space).map_err(at)?;
        config_space::enable(&mut space, true).map_err(at)?;
        let count = client.interrupts(MSIX).map_err(at)?;
        let count = u16::try_from(count).unwrap_or(u16::MAX).min(self.vectors);
        let vectors = Vector::all(count).map_err(VfioUserError::Interrupts)?;
        if count > 0 {
            let fds: Vec<_> = vectors.iter().map(AsFd::as_fd).collect();
            client.set_eventfds(MSIX, 0, &fds).map_err(at)?;
            switch_interrupts_on(&mut client, count).map_err(at)?;
        }
        let link = Shared(Arc::new(Mutex::new(Link {
            client,
            fault: None,
        })));
        let bar = |position: usize| {
            let (index, region): &(u32, RemoteRegion) = &bars[position];
            VfioUserBar::new(&link, *index, region)
        };
        let pool = Pool::new(link.clone(), [BUS_ADDRESSES], PageSize::Kib4);
        Ok(VfioUserHost(Arc::new(Inner {
            parts: Parts::new([bar(0), bar(1)], pool, identity, vectors),
            resettable: features.reset,
            path: self.path,
            link,
        })))
    }
}

#[derive(Debug)]
struct Inner {
    parts: Parts<VfioUserBar>,
    path: PathBuf,
    link: Shared,
    resettable: bool,
}

impl Drop for Inner {
    /// Regions that were leaked stay mapped, so the adapter must not write to them any more.
    fn drop(&mut self) {
        let mut link = self.link.lock();
        let client = &mut link.client;
        if client.is_given_up() {
            return;
        }
        let quiet = config_space::enable(&mut Remote(client), false);
        let reset = if self.resettable {
            client.reset()
        } else {
            Ok(())
        };
        if let Err(error) = quiet.and(reset) {
            warn!("the served adapter was not reset: {error}");
        }
    }
}

/// Unmasks vectors in the table of the device, and switches MSI-X on. A kernel does that for its users; here nobody does.
fn switch_interrupts_on(client: &mut Client, vectors: u16) -> Result<(), ClientError> {
    const ENTRY: u64 = 16;
    const VECTOR_CONTROL: u64 = 12;
    if let Some((bar, table)) = config_space::msix_table(&mut Remote(client))? {
        for vector in 0..u64::from(vectors) {
            client.write(bar, table + vector * ENTRY + VECTOR_CONTROL, &[0; 4])?;
        }
    }
    config_space::enable_msix(&mut Remote(client))
}

struct Remote<'a>(&'a mut Client);

impl ConfigSpace for Remote<'_> {
    type Error = ClientError;

    fn read(&mut self, offset: u16, data: &mut [u8]) -> Result<(), ClientError> {
        self.0.read(CONFIG, offset.into(), data)
    }

    fn write(&mut self, offset: u16, data: &[u8]) -> Result<(), ClientError> {
        self.0.write(CONFIG, offset.into(), data)
    }
}

/// An adapter in another process; clones are handles to the same adapter.
///
/// The server is not trusted: every exchange is bounded in time and checked. When the connection breaks, reads give all
/// ones and writes are lost, as if the adapter had been pulled out; [`fault`](Self::fault) tells the difference.
///
/// # Examples
///
/// With `fastlinq model serve --socket /tmp/adapter` in another terminal:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fastlinq_hal::adapter::{Adapter, AdapterConfig};
/// use fastlinq_linux::vfio_user::VfioUserHost;
///
/// let host = VfioUserHost::open("/tmp/adapter")?;
/// let adapter = Adapter::new(host, AdapterConfig::default());
/// let adapter = adapter.connect().map_err(|failed| failed.cause)?;
/// println!("management firmware {}", adapter.info().version);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct VfioUserHost(Arc<Inner>);

impl VfioUserHost {
    /// Connects to the server at a path, without interrupts.
    ///
    /// # Errors
    ///
    /// [`VfioUserError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VfioUserError> {
        Self::options(path).open()
    }

    /// What else can be chosen.
    pub fn options(path: impl AsRef<Path>) -> Options {
        Options {
            path: path.as_ref().into(),
            vectors: 0,
            patience: Client::PATIENCE,
        }
    }

    /// Where the server listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The first thing that went wrong between us and the server; `None` as long as nothing has.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.0.link.lock().fault.clone()
    }

    /// Puts the adapter back to power-up, and lets it master the bus again.
    ///
    /// # Errors
    ///
    /// [`VfioUserError::Client`].
    pub fn reset(&self) -> Result<(), VfioUserError> {
        let mut link = self.0.link.lock();
        let client = &mut link.client;
        let mut reset = || {
            client.reset()?;
            config_space::enable(&mut Remote(client), true)?;
            if self.0.parts.vectors.is_empty() {
                return Ok(());
            }
            switch_interrupts_on(client, self.0.parts.vectors.len() as u16)
        };
        reset().map_err(|error| VfioUserError::Client {
            path: self.0.path.clone(),
            error,
        })
    }
}

host_of_parts!(VfioUserHost, VfioUserBar);
