//! BAR0: admin page, movable windows (PTT) with their pretends, global windows (GTT).

use fastlinq_pac::bar;

use super::{Context, Engine, Requester};
use crate::fabric::Function;
use crate::observer::{Event, Path};
use crate::violation::{DmaCause, ViolationKind};

/// Bytes of BAR0: admin page, 12 movable windows, the 19 global windows that drivers use.
pub(crate) const BAR0_BYTES: u64 = 0x2_0000;

const PTT_COUNT: u32 = bar::PTT_COUNT;
const PAGE: u32 = bar::WINDOW_SIZE;
const FIRST_GTT_PAGE: u32 = 1 + PTT_COUNT;
/// Bits of a pretend word.
const USE_PORT: u32 = 1 << 17;
const APPLY_PORT: u32 = 1 << 29;
const APPLY_FUNCTION: u32 = 1 << 30;

/// One movable window.
#[derive(Clone, Copy, Debug, Default)]
struct Ptt {
    /// Target in dwords.
    target: u32,
    pretend: u32,
    function: Option<Function>,
    port: Option<u8>,
}

/// The movable windows of a PF.
#[derive(Clone, Debug, Default)]
pub(crate) struct PfWindows {
    ptt: [Ptt; PTT_COUNT as usize],
    opaque_mask: u32,
    global_pretend: u32,
}

/// Where an offset of BAR0 leads.
enum Target {
    Admin(u32),
    Internal {
        requester: Requester,
        address: u32,
        path: Path,
    },
    Nowhere,
}

/// What the management firmware puts into the global windows at power-up.
pub(crate) fn power_up_gtt() -> Vec<u32> {
    let mut gtt = vec![0; bar::GTT_COUNT as usize];
    for window in bar::GLOBAL_WINDOWS {
        gtt[window.index as usize] = window.entry_word();
    }
    gtt
}

impl Ptt {
    fn set_pretend(&mut self, word: u32) {
        self.pretend = word;
        if word & APPLY_FUNCTION != 0 {
            let pf = (word & 0xf) as u8;
            let vf = (word & 0x80 != 0).then_some((word >> 8) as u8);
            self.function = Some(Function { pf, vf });
        }
        if word & APPLY_PORT != 0 {
            self.port = (word & USE_PORT != 0).then_some((word >> 18 & 3) as u8);
        }
    }
}

impl Engine {
    fn target(&self, pf: u8, offset: u32) -> Target {
        let page = offset / PAGE;
        if page == 0 {
            return Target::Admin(offset);
        }
        if page < FIRST_GTT_PAGE {
            let number = page - 1;
            let Some(windows) = self.windows.get(usize::from(pf)) else {
                return Target::Nowhere;
            };
            let ptt = &windows.ptt[number as usize];
            let mut requester = match ptt.function {
                Some(function) => self.own_function(function),
                None => self.own(pf),
            };
            if let Some(port) = ptt.port {
                requester.port = port;
            }
            let address = (ptt.target << 2).wrapping_add(offset % PAGE);
            return Target::Internal {
                requester,
                address,
                path: Path::Movable(number as u8),
            };
        }
        let number = page - FIRST_GTT_PAGE;
        match self.gtt.get(number as usize) {
            Some(&entry) => {
                let address = (entry << 12) | (offset % PAGE);
                Target::Internal {
                    requester: self.own(pf),
                    address,
                    path: Path::Global(number as u8),
                }
            }
            None => Target::Nowhere,
        }
    }

    fn admin_read(&self, pf: u8, offset: u32) -> u32 {
        let Some(windows) = self.windows.get(usize::from(pf)) else {
            return !0;
        };
        match offset {
            0..0x60 => {
                let ptt = &windows.ptt[(offset / 8) as usize];
                if offset & 4 == 0 {
                    ptt.target
                } else {
                    ptt.pretend
                }
            }
            0xf4 => windows.opaque_mask,
            0x1f0 => windows.global_pretend,
            0x1f8 => u32::from(self.opaque_fid(pf)),
            0x1fc => u32::from(self.opaque_fid(pf)) | u32::from(self.shape.absolute(pf)) << 16,
            0x200..0x5cc => self
                .gtt
                .get(((offset - 0x200) / 4) as usize)
                .copied()
                .unwrap_or(0),
            _ => 0,
        }
    }

    fn admin_write(&mut self, pf: u8, offset: u32, value: u32) {
        let Some(windows) = self.windows.get_mut(usize::from(pf)) else {
            return;
        };
        match offset {
            0..0x60 => {
                let ptt = &mut windows.ptt[(offset / 8) as usize];
                if offset & 4 == 0 {
                    ptt.target = value & 0x7f_ffff
                } else {
                    ptt.set_pretend(value)
                }
            }
            0xf4 => windows.opaque_mask = value,
            0x1f0 => windows.global_pretend = value,
            0x200..0x5cc => {
                if let Some(entry) = self.gtt.get_mut(((offset - 0x200) / 4) as usize) {
                    *entry = value & 0x1fff;
                }
            }
            _ => {}
        }
    }

    /// The opaque function id of a PF: here the lower half of its concrete id.
    pub(crate) fn opaque_fid(&self, pf: u8) -> u16 {
        Function::pf(pf).concrete(self.shape.port_of(pf)) | u16::from(self.shape.path) << 6
    }

    /// Reads an aligned dword of BAR0.
    pub(crate) fn bar0_read32(&mut self, cx: &mut Context<'_>, pf: u8, offset: u32) -> u32 {
        match self.target(pf, offset) {
            Target::Admin(offset) => self.admin_read(pf, offset),
            Target::Internal {
                requester,
                address,
                path,
            } => {
                let value = self.read32(cx, requester, address);
                cx.outside.counters.register_reads += 1;
                let function = requester.function;
                cx.outside.observe(|| Event::Register {
                    function,
                    path,
                    address,
                    value,
                    write: false,
                });
                value
            }
            Target::Nowhere => !0,
        }
    }

    /// Writes an aligned dword of BAR0.
    pub(crate) fn bar0_write32(&mut self, cx: &mut Context<'_>, pf: u8, offset: u32, value: u32) {
        match self.target(pf, offset) {
            Target::Admin(offset) => self.admin_write(pf, offset, value),
            Target::Internal {
                requester,
                address,
                path,
            } => {
                cx.outside.counters.register_writes += 1;
                let function = requester.function;
                cx.outside.observe(|| Event::Register {
                    function,
                    path,
                    address,
                    value,
                    write: true,
                });
                self.write32(cx, requester, address, value);
            }
            Target::Nowhere => {}
        }
    }

    /// Writes one or two bytes of BAR0: storm RAM takes them, a register is written as a whole and the access is
    /// reported.
    pub(crate) fn bar0_write_narrow(
        &mut self,
        cx: &mut Context<'_>,
        pf: u8,
        offset: u32,
        data: &[u8],
    ) {
        if let Target::Internal {
            requester,
            address,
            path,
        } = self.target(pf, offset)
        {
            if let Some((storm, start)) = super::registers::storm_ram(address) {
                cx.outside.counters.register_writes += 1;
                let mut bytes = [0; 4];
                bytes[..data.len()].copy_from_slice(data);
                let (function, value) = (requester.function, u32::from_le_bytes(bytes));
                cx.outside.observe(|| Event::Register {
                    function,
                    path,
                    address,
                    value,
                    write: true,
                });
                self.write_ram(requester, storm, start, data);
                return;
            }
        }
        let kind = ViolationKind::BadAccess {
            bar: 0,
            offset: u64::from(offset),
            len: data.len(),
            write: true,
        };
        cx.outside.violation(
            Some(Function::pf(pf)),
            kind,
            DmaCause::register("narrow register write", offset, 0),
        );
        let aligned = offset & !3;
        let mut bytes = self.bar0_read32(cx, pf, aligned).to_le_bytes();
        let start = (offset & 3) as usize;
        if let Some(part) = bytes.get_mut(start..start + data.len()) {
            part.copy_from_slice(data);
        }
        self.bar0_write32(cx, pf, aligned, u32::from_le_bytes(bytes));
    }
}
