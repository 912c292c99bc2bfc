//! What the loader tells: command line, firmware file, memory, and where the tables of ACPI begin.

use core::arch::global_asm;

use heapless::Vec;
use multiboot2::{BootInformation, BootInformationHeader, MemoryAreaType};

use crate::failure::Failure;
use crate::physical;

global_asm!(include_str!("boot.s"), options(att_syntax));

const PVH: u32 = 1;
const MULTIBOOT2: u32 = 2;
const PVH_MAGIC: u32 = 0x336e_c578;
/// Ranges of the memory map that are kept; what comes on top is not used.
const RANGES: usize = 64;
/// Longest command line.
const LINE: usize = 512;

/// A range of physical memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Free for use, as opposed to memory that the tables of ACPI are in.
    pub(crate) usable: bool,
}

/// What the loader tells.
pub(crate) struct BootInfo {
    pub(crate) loader: &'static str,
    pub(crate) command_line: &'static str,
    /// The first module: the storm firmware.
    pub(crate) module: Option<&'static [u8]>,
    /// Memory, without what is reserved.
    pub(crate) memory: Vec<Range, RANGES>,
    /// Address of the RSDP, if the loader knows it.
    pub(crate) rsdp: Option<u64>,
    /// Where the loader's own data are; nothing may be put there before they were used.
    pub(crate) occupied: Vec<(u64, u64), 8>,
}

impl BootInfo {
    /// Reads what the loader left at `address`.
    pub(crate) fn read(loader: u32, address: u64) -> Result<Self, Failure> {
        match loader {
            PVH => pvh(address),
            MULTIBOOT2 => multiboot(address),
            _ => Err(Failure::Platform(
                "started by a loader that is neither PVH nor multiboot2",
            )),
        }
    }

    fn new(loader: &'static str) -> Self {
        Self {
            loader,
            command_line: "",
            module: None,
            memory: Vec::new(),
            rsdp: None,
            occupied: Vec::new(),
        }
    }

    fn add_memory(&mut self, start: u64, length: u64, usable: bool) {
        let end = start.saturating_add(length);
        // A range too many is memory that is not used.
        let _ = self.memory.push(Range { start, end, usable });
    }

    fn occupy(&mut self, start: u64, length: u64) -> Result<(), Failure> {
        let range = (start, start.saturating_add(length));
        let full = Failure::Platform("the loader's data lie in too many places");
        self.occupied.push(range).map_err(|_| full)
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let word = bytes
        .get(offset..offset + 4)
        .and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}

/// A text that ends with a zero byte.
fn text(address: u64) -> &'static str {
    let bytes = match physical::bytes(address, LINE) {
        Some(bytes) if address != 0 => bytes,
        _ => return "",
    };
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
    core::str::from_utf8(&bytes[..end]).unwrap_or("")
}

/// The start-of-day structure of the PVH protocol: 32-bit words up to byte 16, then addresses.
fn pvh(address: u64) -> Result<BootInfo, Failure> {
    const START: Failure = Failure::Platform("the PVH start structure is not one");
    let start = physical::bytes(address, 56).ok_or(START)?;
    if u32_at(start, 0) != PVH_MAGIC {
        return Err(START);
    }
    let version = u32_at(start, 4);
    let mut info = BootInfo::new("PVH");
    info.command_line = text(u64_at(start, 24));
    info.rsdp = Some(u64_at(start, 32)).filter(|rsdp| *rsdp != 0);
    info.occupy(u64_at(start, 24), LINE as u64)?;
    if u32_at(start, 12) > 0 {
        let module = physical::bytes(u64_at(start, 16), 16).ok_or(START)?;
        let (at, length) = (u64_at(module, 0), u64_at(module, 8));
        let length = usize::try_from(length).map_err(|_| START)?;
        info.module = physical::bytes(at, length);
        info.occupy(at, length as u64)?;
    }
    if version >= 1 {
        let count = (u32_at(start, 48) as usize).min(RANGES);
        let map = physical::bytes(u64_at(start, 40), count * 24).ok_or(START)?;
        for entry in map.chunks_exact(24) {
            add_e820(
                &mut info,
                u64_at(entry, 0),
                u64_at(entry, 8),
                u32_at(entry, 16),
            );
        }
    }
    Ok(info)
}

/// A range with a type as the BIOS numbers them: 1 is free, 3 has tables of ACPI.
fn add_e820(info: &mut BootInfo, start: u64, length: u64, kind: u32) {
    if kind == 1 || kind == 3 {
        info.add_memory(start, length, kind == 1);
    }
}

fn multiboot(address: u64) -> Result<BootInfo, Failure> {
    const BROKEN: Failure = Failure::Platform("the multiboot2 information is broken");
    let length = u32_at(physical::bytes(address, 8).ok_or(BROKEN)?, 0) as usize;
    let bytes = physical::bytes(address, length).ok_or(BROKEN)?;
    // SAFETY: all of it is mapped, and nobody writes to it while `occupied` holds it.
    let loaded = unsafe { BootInformation::load(bytes.as_ptr().cast::<BootInformationHeader>()) };
    let tags = loaded.map_err(|_| BROKEN)?;
    let mut info = BootInfo::new("multiboot2");
    info.occupy(address, length as u64)?;
    if let Some(tag) = tags.command_line_tag() {
        // The tag lies in the bytes above, which stay.
        let line = tag.cmdline().unwrap_or("");
        info.command_line = text(line.as_ptr() as u64);
    }
    if let Some(module) = tags.module_tags().next() {
        let (start, end) = (module.start_address(), module.end_address());
        let length = end.checked_sub(start).ok_or(BROKEN)?;
        info.module = physical::bytes(start.into(), length as usize);
        info.occupy(start.into(), length.into())?;
    }
    let areas = tags
        .memory_map_tag()
        .map_or(&[][..], |map| map.memory_areas());
    for area in areas {
        let kind = match MemoryAreaType::from(area.typ()) {
            MemoryAreaType::Available => 1,
            MemoryAreaType::AcpiAvailable => 3,
            _ => 2,
        };
        add_e820(&mut info, area.start_address(), area.size(), kind);
    }
    // The tag holds a copy of the RSDP.
    let copy = tags
        .rsdp_v2_tag()
        .map(|tag| core::ptr::from_ref(tag).cast::<u8>() as u64);
    let copy = copy.or(tags
        .rsdp_v1_tag()
        .map(|tag| core::ptr::from_ref(tag).cast::<u8>() as u64));
    info.rsdp = copy.map(|tag| tag + 8);
    Ok(info)
}
