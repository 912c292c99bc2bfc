//! One function of the software adapter with its configuration space, behind the server's device trait.

use std::time::Duration;

use fastlinq_model::Bar;
use fastlinq_model::config_space::{CONFIG_SPACE_SIZE, ConfigEffect, ConfigSpace};
use fastlinq_vfio_user::{Device, DeviceShape, Errno, RegionShape};

use super::adapter::Adapter;

const CONFIG_REGION: u32 = 7;
const BARS: [(u32, Bar); 3] = [(0, Bar::Registers), (2, Bar::Doorbells), (4, Bar::Msix)];

/// One PCI function of an adapter.
pub(super) struct PciCard<'a> {
    adapter: &'a Adapter,
    function: u8,
    space: ConfigSpace,
    vectors: u32,
}

impl<'a> PciCard<'a> {
    pub(super) fn new(adapter: &'a Adapter, function: u8) -> Self {
        let identity = adapter
            .lock()
            .card
            .pci_config(function)
            .expect("every socket has a function");
        Self {
            adapter,
            function,
            vectors: identity.msix_vectors.into(),
            space: ConfigSpace::new(identity),
        }
    }

    fn configured(&mut self, effects: Vec<ConfigEffect>) {
        let function = self.function;
        let mut running = self.adapter.lock();
        running.catch_up();
        for effect in effects {
            match effect {
                ConfigEffect::FunctionReset => running.function_reset(function),
                ConfigEffect::BusMaster(allowed) => {
                    running.card.set_bus_master(function, allowed);
                }
                ConfigEffect::Msix { masked, .. } => running.card.set_msix_mask(function, masked),
                ConfigEffect::IntxDisabled(_) | ConfigEffect::PowerState(_) => {}
            }
        }
    }
}

fn bar(region: u32) -> Option<Bar> {
    BARS.into_iter()
        .find(|(index, _)| *index == region)
        .map(|(_, bar)| bar)
}

/// The model takes naturally aligned accesses of 1, 2, 4 or 8 bytes; anything else is cut into such.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = length - at;
        if left == 0 {
            return None;
        }
        let aligned = 1usize << (offset as usize + at).trailing_zeros().min(3);
        let size = aligned.min(1 << left.ilog2());
        let piece = at..at + size;
        at += size;
        Some(piece)
    })
}

impl Device for PciCard<'_> {
    fn shape(&self) -> DeviceShape {
        let mut regions = [RegionShape::default(); 9];
        let open = |size| RegionShape {
            size,
            readable: true,
            writable: true,
        };
        for (index, bar) in BARS {
            regions[index as usize] = open(self.adapter.bar_size(self.function, bar));
        }
        regions[CONFIG_REGION as usize] = open(CONFIG_SPACE_SIZE as u64);
        DeviceShape {
            regions,
            interrupts: [1, 0, self.vectors, 1, 1],
        }
    }

    fn read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let mut running = self.adapter.lock();
        if running.is_unplugged() {
            // As PCI has it when nobody answers.
            data.fill(0xff);
            return Ok(());
        }
        if region == CONFIG_REGION {
            self.space.read(offset as usize, data);
            return Ok(());
        }
        let bar = bar(region).ok_or(Errno::INVALID)?;
        running.access(self.function, |card| {
            for piece in pieces(offset, data.len()) {
                let at = offset + piece.start as u64;
                card.read(self.function, bar, at, &mut data[piece]);
            }
        });
        Ok(())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if self.adapter.lock().is_unplugged() {
            return Ok(());
        }
        if region == CONFIG_REGION {
            let effects = self.space.write(offset as usize, data);
            self.configured(effects);
            return Ok(());
        }
        let bar = bar(region).ok_or(Errno::INVALID)?;
        let mut running = self.adapter.lock();
        if bar == Bar::Doorbells {
            for piece in pieces(offset, data.len()) {
                let at = offset + piece.start as u64;
                running.ring(self.function, at, &data[piece]);
            }
            return Ok(());
        }
        running.access(self.function, |card| {
            for piece in pieces(offset, data.len()) {
                let at = offset + piece.start as u64;
                card.write(self.function, bar, at, &data[piece]);
            }
        });
        Ok(())
    }

    fn reset(&mut self) {
        self.adapter.reset(self.function);
        self.space.reset();
    }

    fn run(&mut self) -> Duration {
        self.adapter.run()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)]
    use super::pieces;

    #[test]
    fn accesses_are_cut_at_their_alignment() {
        let cut = |offset, length| pieces(offset, length).collect::<Vec<_>>();
        assert_eq!(cut(8, 8), vec![0..8]);
        assert_eq!(cut(4, 8), [0..4, 4..8]);
        assert_eq!(cut(1, 4), [0..1, 1..3, 3..4]);
        assert_eq!(cut(2, 2), vec![0..2]);
        assert_eq!(cut(0, 0), []);
    }
}
