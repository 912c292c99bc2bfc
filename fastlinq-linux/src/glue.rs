//! What the hosts with an adapter that works have in common, whatever it is reached through.

use std::time::Instant;

use fastlinq_hal::host::PciIdentity;

use crate::interrupts::Vector;
use crate::memory::Pool;

/// BARs of kind `B`, memory, time, interrupts.
#[derive(Debug)]
pub(crate) struct Parts<B> {
    pub(crate) registers: B,
    pub(crate) doorbells: B,
    pub(crate) pool: Pool,
    pub(crate) identity: PciIdentity,
    pub(crate) vectors: Vec<Vector>,
    started: Instant,
}

impl<B> Parts<B> {
    pub(crate) fn new(
        [registers, doorbells]: [B; 2],
        pool: Pool,
        identity: PciIdentity,
        vectors: Vec<Vector>,
    ) -> Self {
        Self {
            registers,
            doorbells,
            pool,
            identity,
            vectors,
            started: Instant::now(),
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }
}

/// Makes a host of a type that holds, behind an `Arc`, something with a field `parts`.
macro_rules! host_of_parts {
    ($host:ty, $bar:ty) => {
        impl $host {
            /// The interrupts that were set up.
            #[must_use]
            pub fn vectors(&self) -> &[Vector] {
                &self.0.parts.vectors
            }

            /// What the DMA memory amounts to.
            #[must_use]
            pub fn memory(&self) -> MemoryReport {
                self.0.parts.pool.report()
            }

            /// Why the last allocation of DMA memory that failed did so.
            #[must_use]
            pub fn memory_error(&self) -> Option<String> {
                self.0.parts.pool.last_error()
            }

            fn started(&self) -> std::time::Instant {
                self.0.parts.started()
            }
        }

        crate::time::real_time!($host);

        impl fastlinq_hal::host::DmaAllocator for $host {
            type Region = Region;

            fn allocate(
                &mut self,
                size: usize,
                align: usize,
            ) -> Result<Region, fastlinq_hal::host::AllocationError> {
                self.0.parts.pool.allocate(size, align)
            }
        }

        impl fastlinq_hal::host::Host for $host {
            type Bar = $bar;

            fn registers(&self) -> $bar {
                self.0.parts.registers.clone()
            }

            fn doorbells(&self) -> $bar {
                self.0.parts.doorbells.clone()
            }

            fn identity(&self) -> fastlinq_hal::host::PciIdentity {
                self.0.parts.identity
            }

            fn interrupt_vectors(&self) -> u16 {
                self.0.parts.vectors.len() as u16
            }
        }
    };
}
pub(crate) use host_of_parts;
