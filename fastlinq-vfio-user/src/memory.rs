//! Guest memory: what the peer mapped, reached through the descriptors that it sent.
//!
//! Accesses are positioned reads and writes of the file, not a memory mapping: a peer that truncates
//! its file while the device uses it gives a short read here, where a mapping would give SIGBUS. The
//! page cache is the same one that the peer has mapped, so both see each other's stores. This is why
//! the crate needs no unsafe code.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::SealFlags;
use rustix::io::{Errno, pread, pwrite};

use crate::connection::Connection;

/// Largest number of windows a peer may have mapped at a time.
const MAX_WINDOWS: usize = 65_536;

/// Why the device could not reach guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaError {
    /// No window, or no permitted one, holds all of these addresses.
    NotMapped {
        /// First address of the access.
        address: u64,
        /// Bytes of the access.
        length: usize,
    },
    /// The file behind the window is shorter than the window, or refused the access.
    File {
        /// First address of the access.
        address: u64,
        /// What the operating system said; none for a file that ends too early.
        errno: Option<i32>,
    },
    /// The peer, asked for memory that has no descriptor, refused or is gone.
    Peer {
        /// First address of the access.
        address: u64,
    },
}

impl fmt::Display for DmaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMapped { address, length } => {
                write!(f, "{length} bytes at {address:#x} are not mapped")
            }
            Self::File {
                address,
                errno: None,
            } => {
                write!(f, "the memory file ends before {address:#x}")
            }
            Self::File {
                address,
                errno: Some(errno),
            } => {
                write!(f, "the memory file refused {address:#x} (errno {errno})")
            }
            Self::Peer { address } => write!(f, "the peer refused DMA at {address:#x}"),
        }
    }
}

impl std::error::Error for DmaError {}

#[derive(Debug)]
struct Window {
    size: u64,
    readable: bool,
    writable: bool,
    offset: u64,
    file: Option<Arc<Backing>>,
}

/// A file that backs guest memory.
#[derive(Debug)]
struct Backing {
    file: OwnedFd,
    /// Sealed by its owner: no write can make it longer.
    fixed: bool,
}

impl Backing {
    fn new(file: OwnedFd) -> Self {
        let seals = rustix::fs::fcntl_get_seals(&file);
        Self {
            fixed: seals.is_ok_and(|seals| seals.contains(SealFlags::GROW)),
            file,
        }
    }
}

/// Windows by first address; never overlapping.
#[derive(Debug, Default)]
pub(crate) struct DmaTable {
    windows: BTreeMap<u64, Window>,
}

impl DmaTable {
    pub(crate) fn map(
        &mut self,
        address: u64,
        size: u64,
        offset: u64,
        flags: u32,
        file: Option<OwnedFd>,
    ) -> Result<(), Errno> {
        let end = address.checked_add(size).ok_or(Errno::INVAL)?;
        if size == 0
            || offset
                .checked_add(size)
                .is_none_or(|last| last > i64::MAX as u64)
        {
            return Err(Errno::INVAL);
        }
        if self.windows.len() >= MAX_WINDOWS {
            return Err(Errno::NOSPC);
        }
        let below = self.windows.range(..end).next_back();
        if below.is_some_and(|(&start, window)| start + window.size > address) {
            return Err(Errno::EXIST);
        }
        let window = Window {
            size,
            readable: flags & 1 != 0,
            writable: flags & 2 != 0,
            offset,
            file: file.map(|file| Arc::new(Backing::new(file))),
        };
        self.windows.insert(address, window);
        Ok(())
    }

    /// Removes every window inside the range; a range that cuts a window in two is refused.
    pub(crate) fn unmap(&mut self, address: u64, size: u64) -> Result<(), Errno> {
        let end = address.checked_add(size).ok_or(Errno::INVAL)?;
        let inside = |start: u64, window: &Window| start >= address && start + window.size <= end;
        let touched: Vec<u64> = self
            .windows
            .range(..end)
            .rev()
            .take_while(|(start, window)| *start + window.size > address)
            .map(|(&start, window)| inside(start, window).then_some(start))
            .collect::<Option<_>>()
            .ok_or(Errno::INVAL)?;
        if touched.is_empty() {
            return Err(Errno::NOENT);
        }
        for start in touched {
            self.windows.remove(&start);
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.windows.clear();
    }

    /// The longest piece at `address` that lies in one window.
    fn piece(&self, address: u64, length: usize, write: bool) -> Option<Piece> {
        let (&start, window) = self.windows.range(..=address).next_back()?;
        let inside = address - start;
        let left = window.size.checked_sub(inside).filter(|left| *left > 0)?;
        let permitted = if write {
            window.writable
        } else {
            window.readable
        };
        permitted.then(|| Piece {
            file: window.file.clone(),
            offset: window.offset + inside,
            length: left.min(length as u64) as usize,
        })
    }

    fn covers(&self, mut address: u64, mut length: usize, write: bool) -> bool {
        while length > 0 {
            let Some(piece) = self.piece(address, length, write) else {
                return false;
            };
            length -= piece.length;
            match address.checked_add(piece.length as u64) {
                Some(next) => address = next,
                None => return length == 0,
            }
        }
        true
    }
}

struct Piece {
    file: Option<Arc<Backing>>,
    offset: u64,
    length: usize,
}

/// What server and device share about the connected peer.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) table: Mutex<DmaTable>,
    pub(crate) connection: Mutex<Option<Connection>>,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device's view of guest memory; clones are handles to the same peer.
///
/// An access is checked against the windows as a whole before its first byte moves.
#[derive(Clone, Debug, Default)]
pub struct GuestMemory {
    pub(crate) shared: Arc<Shared>,
}

impl GuestMemory {
    /// Fills `out` from bus address `address` on.
    ///
    /// # Errors
    ///
    /// [`DmaError`]; `out` is then unspecified.
    pub fn read(&self, address: u64, out: &mut [u8]) -> Result<(), DmaError> {
        self.check(address, out.len(), false)?;
        let mut done = 0;
        while done < out.len() {
            let at = address + done as u64;
            let rest = &mut out[done..];
            let piece = self.piece(at, rest.len(), false)?;
            let target = &mut rest[..piece.length];
            match &piece.file {
                Some(backing) => read_file(&backing.file, piece.offset, target)
                    .map_err(|errno| DmaError::File { address: at, errno })?,
                None => self.by_message(at, |peer| peer.dma_read(at, target))?,
            }
            done += piece.length;
        }
        Ok(())
    }

    /// Stores `data` from bus address `address` on.
    ///
    /// # Errors
    ///
    /// [`DmaError`]; after [`DmaError::NotMapped`] nothing was stored.
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), DmaError> {
        self.check(address, data.len(), true)?;
        let mut done = 0;
        while done < data.len() {
            let at = address + done as u64;
            let rest = &data[done..];
            let piece = self.piece(at, rest.len(), true)?;
            let source = &rest[..piece.length];
            match &piece.file {
                Some(backing) => write_file(backing, piece.offset, source)
                    .map_err(|errno| DmaError::File { address: at, errno })?,
                None => self.by_message(at, |peer| peer.dma_write(at, source))?,
            }
            done += piece.length;
        }
        Ok(())
    }

    fn check(&self, address: u64, length: usize, write: bool) -> Result<(), DmaError> {
        if locked(&self.shared.table).covers(address, length, write) {
            Ok(())
        } else {
            Err(DmaError::NotMapped { address, length })
        }
    }

    fn piece(&self, address: u64, length: usize, write: bool) -> Result<Piece, DmaError> {
        locked(&self.shared.table)
            .piece(address, length, write)
            .ok_or(DmaError::NotMapped { address, length })
    }

    fn by_message(
        &self,
        address: u64,
        access: impl FnOnce(&mut Connection) -> Result<bool, crate::TransportError>,
    ) -> Result<(), DmaError> {
        match locked(&self.shared.connection).as_mut().map(access) {
            Some(Ok(true)) => Ok(()),
            _ => Err(DmaError::Peer { address }),
        }
    }
}

fn read_file(file: &OwnedFd, mut offset: u64, mut out: &mut [u8]) -> Result<(), Option<i32>> {
    while !out.is_empty() {
        match pread(file, &mut *out, offset) {
            Ok(0) => return Err(None),
            Ok(count) => {
                offset += count as u64;
                out = &mut out[count..];
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Some(errno.raw_os_error())),
        }
    }
    Ok(())
}

/// Writes inside the file only: a write past its end would make it grow.
fn write_file(backing: &Backing, mut offset: u64, mut data: &[u8]) -> Result<(), Option<i32>> {
    let Backing { file, fixed } = backing;
    if !fixed {
        let end = offset + data.len() as u64;
        let size = rustix::fs::fstat(file)
            .map_err(|errno| Some(errno.raw_os_error()))?
            .st_size;
        if u64::try_from(size).is_ok_and(|size| size < end) {
            return Err(None);
        }
    }
    while !data.is_empty() {
        match pwrite(file, data, offset) {
            Ok(0) => return Err(None),
            Ok(count) => {
                offset += count as u64;
                data = &data[count..];
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Some(errno.raw_os_error())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory_file(size: u64) -> OwnedFd {
        let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC)
            .expect("a memory file");
        rustix::fs::ftruncate(&file, size).expect("its size");
        file
    }

    fn guest(windows: &[(u64, u64, u32)]) -> GuestMemory {
        let guest = GuestMemory::default();
        for &(address, size, flags) in windows {
            locked(&guest.shared.table)
                .map(address, size, 0, flags, Some(memory_file(size)))
                .expect("a window");
        }
        guest
    }

    #[test]
    fn an_access_may_span_neighbouring_windows() {
        let guest = guest(&[(0x1000, 0x1000, 3), (0x2000, 0x1000, 3)]);
        guest
            .write(0x1ffc, &[1, 2, 3, 4, 5, 6, 7, 8])
            .expect("mapped");
        let mut out = [0; 8];
        guest.read(0x1ffc, &mut out).expect("mapped");
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn an_access_that_leaves_its_windows_moves_nothing() {
        let guest = guest(&[(0x1000, 0x1000, 3)]);
        assert!(matches!(
            guest.write(0x1ffc, &[9; 8]),
            Err(DmaError::NotMapped { .. })
        ));
        let mut out = [7; 4];
        guest.read(0x1ffc, &mut out).expect("mapped");
        assert_eq!(out, [0; 4]);
    }

    #[test]
    fn permissions_hold() {
        let guest = guest(&[(0x1000, 0x1000, 1)]);
        assert!(guest.read(0x1000, &mut [0; 4]).is_ok());
        assert!(matches!(
            guest.write(0x1000, &[0; 4]),
            Err(DmaError::NotMapped { .. })
        ));
    }

    #[test]
    fn overlapping_windows_and_wrapping_ones_are_refused() {
        let mut table = DmaTable::default();
        table.map(0x1000, 0x1000, 0, 3, None).expect("first");
        assert_eq!(table.map(0x1fff, 1, 0, 3, None), Err(Errno::EXIST));
        assert_eq!(table.map(0x0, 0x1001, 0, 3, None), Err(Errno::EXIST));
        assert_eq!(table.map(0x0, 0x10_0000, 0, 3, None), Err(Errno::EXIST));
        assert_eq!(table.map(u64::MAX, 2, 0, 3, None), Err(Errno::INVAL));
        assert_eq!(table.map(0x3000, 0, 0, 3, None), Err(Errno::INVAL));
        assert_eq!(table.unmap(0x1000, 0x800), Err(Errno::INVAL));
        assert_eq!(table.unmap(0x1000, 0x1000), Ok(()));
        assert_eq!(table.unmap(0x1000, 0x1000), Err(Errno::NOENT));
    }

    #[test]
    fn a_file_that_shrinks_gives_an_error_and_does_not_grow_again() {
        let guest = GuestMemory::default();
        let file = memory_file(0x2000);
        let peer = file.try_clone().expect("a second descriptor");
        locked(&guest.shared.table)
            .map(0, 0x2000, 0, 3, Some(file))
            .expect("a window");
        rustix::fs::ftruncate(&peer, 0x1000).expect("shrinks");
        assert!(matches!(
            guest.read(0x1800, &mut [0; 16]),
            Err(DmaError::File { errno: None, .. })
        ));
        assert!(matches!(
            guest.write(0x1800, &[1; 16]),
            Err(DmaError::File { errno: None, .. })
        ));
        assert_eq!(rustix::fs::fstat(&peer).expect("its size").st_size, 0x1000);
    }

    #[test]
    fn a_sealed_file_cannot_be_written_past_its_end() {
        let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::ALLOW_SEALING)
            .expect("a memory file");
        rustix::fs::ftruncate(&file, 0x1000).expect("its size");
        rustix::fs::fcntl_add_seals(&file, SealFlags::GROW).expect("sealed");
        let peer = file.try_clone().expect("a second descriptor");
        let guest = GuestMemory::default();
        locked(&guest.shared.table)
            .map(0, 0x2000, 0, 3, Some(file))
            .expect("a window");
        guest.write(0xff0, &[7; 16]).expect("inside");
        assert!(matches!(
            guest.write(0x1000, &[1; 16]),
            Err(DmaError::File { .. })
        ));
        rustix::fs::ftruncate(&peer, 0x800).expect("shrinks");
        assert!(matches!(
            guest.write(0x900, &[1; 16]),
            Err(DmaError::File { .. })
        ));
        assert_eq!(rustix::fs::fstat(&peer).expect("its size").st_size, 0x800);
    }
}
