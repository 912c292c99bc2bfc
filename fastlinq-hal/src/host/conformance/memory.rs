//! DMA memory as the CPU sees it.

use core::ops::Range;

use zerocopy::little_endian::U32;

use super::expect;
use super::report::{Check, Failure, Report};
use crate::dma::{DmaBuffer, DmaRegion};
use crate::host::{AllocationError, Host};

/// Sizes and alignments in bytes as the driver asks for them, and some beyond.
const SHAPES: [(usize, usize); 7] = [
    (64, 64),
    (4, 4),
    (4096, 4096),
    (100, 8),
    (0x1_0000, 0x1_0000),
    (0x8000, 4096),
    (0x10_0000, 4096),
];

type Regions<H> = [Option<DmaBuffer<<H as crate::host::DmaAllocator>::Region>>; SHAPES.len()];

/// Whether the memory is good enough for the device's checks.
pub(super) fn check<H: Host>(host: &mut H, report: &mut Report) -> bool {
    let mut good = true;
    match allocate(host) {
        Ok(mut regions) => {
            report.set(Check::Allocation, Ok(()));
            good &= report.set(Check::Alignment, aligned::<H>(&regions));
            good &= report.set(Check::Zeroed, all_zero::<H>(&regions));
            good &= report.set(Check::Disjoint, disjoint::<H>(&regions));
            good &= report.set(Check::CpuMemory, cpu_memory::<H>(&mut regions));
            drop(regions);
            let again = allocate(host).and_then(|mut regions| {
                all_zero::<H>(&regions)?;
                cpu_memory::<H>(&mut regions)
            });
            report.set(Check::Reuse, again);
        }
        Err(failure) => {
            good = false;
            report.set(Check::Allocation, Err(failure));
        }
    }
    let refusal = match host.allocate(usize::MAX / 2, 4096) {
        Err(AllocationError { .. }) => Ok(()),
        Ok(region) => Err(Failure::Impossible {
            bytes: region.len(),
        }),
    };
    report.set(Check::Refusal, refusal);
    good
}

fn allocate<H: Host>(host: &mut H) -> Result<Regions<H>, Failure> {
    let mut regions: Regions<H> = [const { None }; SHAPES.len()];
    for (slot, (asked, align)) in regions.iter_mut().zip(SHAPES) {
        let region = host.allocate(asked, align)?;
        let given = region.len();
        if given < asked {
            return Err(Failure::Short { asked, given });
        }
        *slot = Some(DmaBuffer::new(region));
    }
    Ok(regions)
}

fn aligned<H: Host>(regions: &Regions<H>) -> Result<(), Failure> {
    for (region, (_, align)) in regions.iter().flatten().zip(SHAPES) {
        for address in [region.bus_address().value(), cpu_address(region)] {
            if address % align as u64 != 0 {
                return Err(Failure::Unaligned { address, align });
            }
        }
    }
    Ok(())
}

fn all_zero<H: Host>(regions: &Regions<H>) -> Result<(), Failure> {
    regions.iter().flatten().try_for_each(|region| {
        for at in (0..region.len() / 4).map(|dword| dword * 4) {
            expect(at, 0, read(region, at))?;
        }
        Ok(())
    })
}

fn disjoint<H: Host>(regions: &Regions<H>) -> Result<(), Failure> {
    for (index, region) in regions.iter().flatten().enumerate() {
        let bus = bus_range(region)?;
        let cpu = cpu_address(region);
        let cpu = cpu..cpu.saturating_add(region.len() as u64);
        for other in regions.iter().flatten().skip(index + 1) {
            let other_cpu = cpu_address(other);
            let other_cpu = other_cpu..other_cpu.saturating_add(other.len() as u64);
            apart(&bus, &bus_range(other)?)?;
            apart(&cpu, &other_cpu)?;
        }
    }
    Ok(())
}

fn bus_range<R: DmaRegion>(region: &DmaBuffer<R>) -> Result<Range<u64>, Failure> {
    let start = region.bus_address();
    match start.value().checked_add(region.len() as u64) {
        Some(end) if start.value() != 0 => Ok(start.value()..end),
        _ => Err(Failure::BusAddress(start)),
    }
}

fn apart(a: &Range<u64>, b: &Range<u64>) -> Result<(), Failure> {
    let first = a.start.max(b.start);
    if first < a.end.min(b.end) {
        return Err(Failure::Overlap { address: first });
    }
    Ok(())
}

/// Fills all regions with patterns of their own, then compares: an alias shows as another one's pattern.
fn cpu_memory<H: Host>(regions: &mut Regions<H>) -> Result<(), Failure> {
    for (number, region) in regions.iter_mut().flatten().enumerate() {
        for at in (0..region.len() / 4).map(|dword| dword * 4) {
            write(region, at, pattern(number, at));
        }
    }
    for (number, region) in regions.iter().flatten().enumerate() {
        for at in (0..region.len() / 4).map(|dword| dword * 4) {
            expect(at, pattern(number, at), read(region, at))?;
        }
    }
    Ok(())
}

/// A dword that differs between regions, places and rounds.
pub(super) fn pattern(round: usize, at: usize) -> u32 {
    let mixed = (round as u32).wrapping_mul(0x9e37_79b9) ^ (at as u32).wrapping_mul(0x85eb_ca6b);
    mixed ^ mixed >> 15 | 1
}

pub(super) fn read<R: DmaRegion>(buffer: &DmaBuffer<R>, at: usize) -> u32 {
    buffer.read::<U32>(at).map_or(0, U32::get)
}

pub(super) fn write<R: DmaRegion>(buffer: &mut DmaBuffer<R>, at: usize, value: u32) {
    // Inside by the callers' loops; a byte that was not written shows when it is compared.
    let _ = buffer.write(at, &U32::new(value));
}

fn cpu_address<R: DmaRegion>(buffer: &DmaBuffer<R>) -> u64 {
    buffer.region().pointer().as_ptr() as u64
}
