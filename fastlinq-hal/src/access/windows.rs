//! The movable windows (PTT) of BAR0, and pretending to be another function or port.
//!
//! A PF sees the chip's 32 MiB of internal addresses through 12 windows of 4 KiB that it points where it
//! likes. Window 2 is for everything that the driver does as itself; windows 4 to 11 are a pool from which
//! [`Windows::pretend`] takes one, so that a pretend never touches the accesses of anybody else.

use core::cell::Cell;
use core::fmt;

use fastlinq_pac::GrcAddress;
use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::bar::{self, ConcreteFid, Pretend};

use super::AccessError;
use crate::host::Bar;

/// Bytes of BAR0 that the driver needs: the admin page, all movable windows, and the global windows up to 14.
pub const MIN_BAR_BYTES: usize = bar::gtt_window(15).value() as usize;

const POOL: u32 = bar::PTT_COUNT - bar::PTT_POOL_FIRST;
const ALL_TAKEN: u8 = (1u32.wrapping_shl(POOL) - 1) as u8;
const NOWHERE: u32 = u32::MAX;

/// As whom a window is to access the chip.
///
/// Registers that exist once per function or port at one address are told apart by who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PretendAs {
    /// Another function, PF or VF, on its own port.
    Function(ConcreteFid),
    /// The same function on another port of the engine.
    Port(u8),
    /// Another function on a given port.
    FunctionOnPort(ConcreteFid, u8),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Requester {
    function: ConcreteFid,
    port: Option<u8>,
}

impl Requester {
    fn apply(self, change: PretendAs) -> Self {
        match change {
            PretendAs::Function(function) => Self {
                function,
                port: None,
            },
            PretendAs::Port(port) => Self {
                port: Some(port),
                ..self
            },
            PretendAs::FunctionOnPort(function, port) => Self {
                function,
                port: Some(port),
            },
        }
    }

    fn word(self) -> u32 {
        match self.port {
            Some(port) => Pretend::function_on_port(self.function, port).0,
            None => Pretend::function(self.function).0,
        }
    }
}

/// BAR0 of a PF: its movable windows, its global windows, and its admin page.
///
/// Registers are reached as through any [`RegisterBus`]:
///
/// ```
/// use fastlinq_hal::access::Windows;
/// use fastlinq_hal::host::Bar;
/// use fastlinq_pac::registers::misc::PORT_MODE;
/// use tock_registers::interfaces::Readable;
///
/// fn port_mode<B: Bar>(windows: &Windows<B>) -> u32 {
///     PORT_MODE.on(windows).get()
/// }
/// ```
///
/// Where BAR0 is too small for the windows ([`MIN_BAR_BYTES`]), or the function is gone, reads give all
/// ones and writes are lost, as on a real bus; [`check`](Self::check) tells. Addresses are rounded down to
/// the width of the access.
///
/// # Invariants
///
/// Window 2 never pretends. A window of the pool pretends only while a [`Window`] owns it.
pub struct Windows<B: Bar> {
    bar: B,
    usable: bool,
    function: Cell<u8>,
    main: Cell<u32>,
    pool: [Cell<u32>; POOL as usize],
    taken: Cell<u8>,
}

impl<B: Bar> Windows<B> {
    /// Windows of BAR0, none of them pointed anywhere yet; does not touch the device.
    pub fn new(bar: B) -> Self {
        let usable = bar.len() >= MIN_BAR_BYTES;
        Self {
            bar,
            usable,
            function: Cell::new(0),
            main: Cell::new(NOWHERE),
            pool: [const { Cell::new(NOWHERE) }; POOL as usize],
            taken: Cell::new(0),
        }
    }

    /// The BAR itself.
    pub fn bar(&self) -> &B {
        &self.bar
    }

    /// Forgets where the windows point, as after a reset of the function.
    ///
    /// Windows that are lent out stay lent out.
    pub fn forget(&self) {
        self.main.set(NOWHERE);
        for shadow in &self.pool {
            shadow.set(NOWHERE);
        }
    }

    /// Whether the function still answers.
    ///
    /// # Errors
    ///
    /// [`AccessError::RegisterBarTooSmall`]; [`AccessError::DeviceGone`] when the identity register reads
    /// all ones.
    pub fn check(&self) -> Result<(), AccessError> {
        if !self.usable {
            return Err(AccessError::RegisterBarTooSmall {
                bytes: self.bar.len(),
                needed: MIN_BAR_BYTES,
            });
        }
        if self.admin_read(bar::ME_OPAQUE.value()) == u32::MAX {
            return Err(AccessError::DeviceGone);
        }
        Ok(())
    }

    /// Whether the function is gone: looks at the identity register only when `value` is suspicious (all ones).
    pub fn is_gone(&self, value: u32) -> bool {
        value == u32::MAX && self.check().is_err()
    }

    /// Writes 16 bits at an address of the internal space.
    pub fn write16(&self, address: GrcAddress, value: u16) {
        if let Some(offset) = self.reach(bar::PTT_MAIN, &self.main, address.value() & !1) {
            self.bar.write16(offset, value);
        }
    }

    /// Takes a window of the pool, as the function itself.
    ///
    /// # Errors
    ///
    /// [`AccessError::NoFreeWindow`].
    pub fn acquire(&self) -> Result<Window<'_, B>, AccessError> {
        let taken = self.taken.get();
        let slot = (!taken).trailing_zeros();
        if taken == ALL_TAKEN || slot >= POOL {
            return Err(AccessError::NoFreeWindow);
        }
        self.taken.set(taken | 1 << slot);
        Ok(Window {
            windows: self,
            slot,
            requester: self.myself(),
            before: None,
        })
    }

    /// Takes a window of the pool whose accesses are made as somebody else, until it is dropped.
    ///
    /// # Errors
    ///
    /// [`AccessError::NoFreeWindow`].
    pub fn pretend(&self, change: PretendAs) -> Result<Window<'_, B>, AccessError> {
        let mut window = self.acquire()?;
        window.become_requester(self.myself().apply(change));
        Ok(window)
    }

    pub(crate) fn set_function(&self, relative_pf: u8) {
        self.function.set(relative_pf);
    }

    /// Ends the pretends that an earlier driver may have left in the windows that this one uses.
    pub(crate) fn end_pretends(&self) {
        let word = self.myself().word();
        let taken = self.taken.get();
        self.admin_write(bar::ptt_pretend(bar::PTT_MAIN).value(), word);
        for slot in (0..POOL).filter(|slot| taken >> slot & 1 == 0) {
            self.admin_write(bar::ptt_pretend(bar::PTT_POOL_FIRST + slot).value(), word);
        }
    }

    pub(crate) fn admin_read(&self, offset: u32) -> u32 {
        if self.usable {
            self.bar.read32(offset as usize)
        } else {
            u32::MAX
        }
    }

    pub(crate) fn admin_write(&self, offset: u32, value: u32) {
        if self.usable {
            self.bar.write32(offset as usize, value);
        }
    }

    fn myself(&self) -> Requester {
        Requester {
            function: ConcreteFid::pf(self.function.get()),
            port: None,
        }
    }

    /// The BAR offset of `address` through window `index`, moving the window when it is elsewhere.
    fn reach(&self, index: u32, shadow: &Cell<u32>, address: u32) -> Option<usize> {
        if !self.usable {
            return None;
        }
        let base = shadow.get();
        let inside = match address.checked_sub(base) {
            Some(inside) if inside < bar::WINDOW_SIZE => inside,
            _ => {
                let word = bar::ptt_target_word(GrcAddress(address));
                self.bar
                    .write32(bar::ptt_target(index).value() as usize, word);
                shadow.set(address & !3);
                address & 3
            }
        };
        Some(bar::ptt_window(index).value() as usize + inside as usize)
    }
}

impl<B: Bar> RegisterBus for Windows<B> {
    fn read32(&self, address: GrcAddress) -> u32 {
        match self.reach(bar::PTT_MAIN, &self.main, address.value() & !3) {
            Some(offset) => self.bar.read32(offset),
            None => u32::MAX,
        }
    }

    fn write32(&self, address: GrcAddress, value: u32) {
        if let Some(offset) = self.reach(bar::PTT_MAIN, &self.main, address.value() & !3) {
            self.bar.write32(offset, value);
        }
    }
}

impl<B: Bar> fmt::Debug for Windows<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows")
            .field("bytes", &self.bar.len())
            .field("taken", &self.taken.get())
            .finish_non_exhaustive()
    }
}

/// A window of the pool, possibly pretending; dropping it restores what was before.
///
/// A window that is forgotten (`mem::forget`) is lost to the pool and goes on pretending, which nobody else
/// notices.
pub struct Window<'a, B: Bar> {
    windows: &'a Windows<B>,
    slot: u32,
    requester: Requester,
    /// Whom an outer guard of the same window pretends to be; `None` in the outermost, which owns the slot.
    before: Option<Requester>,
}

impl<B: Bar> Window<'_, B> {
    /// Pretends further inside this pretend; dropping the inner window restores the outer one.
    ///
    /// A port alone leaves the function as it is.
    pub fn pretend(&mut self, change: PretendAs) -> Window<'_, B> {
        let mut inner = Window {
            windows: self.windows,
            slot: self.slot,
            requester: self.requester,
            before: Some(self.requester),
        };
        inner.become_requester(self.requester.apply(change));
        inner
    }

    fn become_requester(&mut self, requester: Requester) {
        if self.requester != requester {
            self.windows.admin_write(
                bar::ptt_pretend(bar::PTT_POOL_FIRST + self.slot).value(),
                requester.word(),
            );
            self.requester = requester;
        }
    }

    fn reach(&self, address: GrcAddress) -> Option<usize> {
        let shadow = self.windows.pool.get(self.slot as usize)?;
        self.windows.reach(
            bar::PTT_POOL_FIRST + self.slot,
            shadow,
            address.value() & !3,
        )
    }
}

impl<B: Bar> RegisterBus for Window<'_, B> {
    fn read32(&self, address: GrcAddress) -> u32 {
        match self.reach(address) {
            Some(offset) => self.windows.bar.read32(offset),
            None => u32::MAX,
        }
    }

    fn write32(&self, address: GrcAddress, value: u32) {
        if let Some(offset) = self.reach(address) {
            self.windows.bar.write32(offset, value);
        }
    }
}

impl<B: Bar> Drop for Window<'_, B> {
    fn drop(&mut self) {
        let before = self.before.unwrap_or_else(|| self.windows.myself());
        self.become_requester(before);
        if self.before.is_none() {
            let taken = self.windows.taken.get();
            self.windows.taken.set(taken & !(1 << self.slot));
        }
    }
}

impl<B: Bar> fmt::Debug for Window<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("index", &(bar::PTT_POOL_FIRST + self.slot))
            .field("function", &self.requester.function)
            .field("port", &self.requester.port)
            .finish()
    }
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
