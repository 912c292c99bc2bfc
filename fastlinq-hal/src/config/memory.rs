//! The host memory that the chip uses for itself: contexts, queues of the queue manager, firmware overlays.

use core::fmt;

use fastlinq_pac::BusAddress;
use fastlinq_pac::hsi::{
    core_conn_context::offset as context, xstorm_core_conn_ag_ctx as ag,
    xstorm_core_conn_st_ctx::offset as st,
};
use fastlinq_pac::versions::{IroId, Layout, Storm};
use heapless::Vec;

use super::connections::{CONTEXT_BYTES, CONTEXTS_PER_PAGE};
use super::{ConfigError, ILT_PAGE_BYTES, MAX_ILT_PAGES, Plan, search};
use crate::core_state::Core;
use crate::dma::{DmaBuffer, DmaRegion};
use crate::firmware::FirmwareImage;
use crate::host::{DmaAllocator, Host};
use crate::log::warning;
use fastlinq_pac::access::RegisterBus;

/// Largest overlay of a storm that is accepted, in bytes; genuine ones have 40 KiB.
pub const MAX_OVERLAY_BYTES: usize = 1 << 20;

const OVERLAY_ALIGN: usize = 4096;
const FREE_LIST_ALIGN: usize = 4096;
/// Queue number that the connection manager adds to that of a PQ for transmission.
const TX_QUEUE_BASE: u16 = 0x200;

struct Overlay<R: DmaRegion> {
    storm: Storm,
    code: DmaBuffer<R>,
}

/// The host memory that the chip uses for itself.
///
/// The chip may use it from the moment it is told about it until the function's mastership on PCI is taken
/// away. Take it apart with [`into_buffers`](Self::into_buffers) then; dropped, it stays allocated for good.
pub struct FunctionMemory<R: DmaRegion> {
    pages: Vec<DmaBuffer<R>, MAX_ILT_PAGES>,
    /// Free elements of the searcher, if the function steers flows.
    free_list: Option<DmaBuffer<R>>,
    overlays: Vec<Overlay<R>, 6>,
}

impl<R: DmaRegion> FunctionMemory<R> {
    /// Most buffers that it consists of.
    pub const MAX_BUFFERS: usize = MAX_ILT_PAGES + 6 + 1;

    /// Allocates the pages of the translation table, and copies the overlays of the firmware file.
    ///
    /// What was allocated before a failure goes back to the host at once: the chip knows nothing of it yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Memory`]; [`ConfigError::ShortMemory`]; [`ConfigError::OverlayTooLarge`].
    pub fn allocate<A: DmaAllocator<Region = R>>(
        host: &mut A,
        plan: &Plan,
        image: &FirmwareImage<'_>,
    ) -> Result<Self, ConfigError> {
        let mut memory = Self {
            pages: Vec::new(),
            free_list: None,
            overlays: Vec::new(),
        };
        let result = memory.fill(host, plan, image);
        if let Err(error) = result {
            memory.into_buffers().for_each(drop);
            return Err(error);
        }
        Ok(memory)
    }

    fn fill<A: DmaAllocator<Region = R>>(
        &mut self,
        host: &mut A,
        plan: &Plan,
        image: &FirmwareImage<'_>,
    ) -> Result<(), ConfigError> {
        for _ in 0..plan.translation.pages() {
            let page = buffer(host, ILT_PAGE_BYTES, ILT_PAGE_BYTES)?;
            self.pages
                .push(page)
                .map_err(|_| ConfigError::ShortMemory {
                    bytes: MAX_ILT_PAGES * ILT_PAGE_BYTES,
                    needed: usize::from(plan.translation.pages()) * ILT_PAGE_BYTES,
                })?;
        }
        if plan.flow_steering {
            let list = buffer(host, search::FREE_LIST_BYTES, FREE_LIST_ALIGN)?;
            search::link_free_list(self.free_list.insert(list))?;
        }
        for overlay in image.overlays() {
            let overlay = overlay?;
            let bytes = overlay.code.len() * 4;
            if bytes > MAX_OVERLAY_BYTES || self.overlays.is_full() {
                return Err(ConfigError::OverlayTooLarge { bytes });
            }
            if bytes == 0 {
                continue;
            }
            let mut code = buffer(host, bytes, OVERLAY_ALIGN)?;
            code.copy_from(0, overlay.code.bytes())?;
            let storm = overlay.storm;
            let _ = self.overlays.push(Overlay { storm, code });
        }
        Ok(())
    }

    /// Bus addresses of the pages, in the order of their lines.
    pub(super) fn pages(&self) -> impl Iterator<Item = BusAddress> + '_ {
        self.pages.iter().map(DmaBuffer::bus_address)
    }

    /// Bus address of the searcher's free elements, if the function steers flows.
    pub(super) fn free_list(&self) -> Option<BusAddress> {
        self.free_list.as_ref().map(DmaBuffer::bus_address)
    }

    /// Writes the context of the slow-path queue's connection: where the queue is, which PQ it goes through, and that
    /// its doorbell works. All other contexts stay zero; the firmware fills them.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ShortMemory`] for a connection without context.
    pub fn write_slow_path_context(
        &mut self,
        plan: &Plan,
        queue: BusAddress,
    ) -> Result<(), ConfigError> {
        let cid = u32::from(plan.connections.slow_path());
        let page = self.pages.get_mut((cid / CONTEXTS_PER_PAGE) as usize);
        let page = page.ok_or(ConfigError::ShortMemory {
            bytes: 0,
            needed: ILT_PAGE_BYTES,
        })?;
        let start = (cid % CONTEXTS_PER_PAGE) * CONTEXT_BYTES;
        let mut put = |offset: u32, bytes: &[u8]| page.copy_from((start + offset) as usize, bytes);

        let base = context::XSTORM_ST_CONTEXT;
        put(base + st::SPQ_BASE_ADDR, &queue.value().to_le_bytes())?;
        put(base + st::SPQ_CONS, &0u16.to_le_bytes())?;

        let base = context::XSTORM_AG_CONTEXT;
        let pq = TX_QUEUE_BASE + plan.loopback_pq();
        put(base + ag::offset::PHYSICAL_Q0, &pq.to_le_bytes())?;
        put(base + ag::offset::FLAGS1, &[ag::DQ_CF_ACTIVE.val(1).value])?;
        put(
            base + ag::offset::FLAGS9,
            &[ag::CONSOLID_PROD_CF_EN.val(1).value],
        )?;
        put(base + ag::offset::FLAGS10, &[ag::DQ_CF_EN.val(1).value])?;
        Ok(())
    }

    /// Tells each storm where its overlay is.
    pub(super) fn write_overlay_addresses<H: Host<Region = R>>(
        &self,
        core: &Core<H>,
        layout: &Layout,
    ) -> Result<(), ConfigError> {
        for overlay in &self.overlays {
            let id = match overlay.storm {
                Storm::T => IroId::TSTORM_OVERLAY_BUF_ADDR,
                Storm::M => IroId::MSTORM_OVERLAY_BUF_ADDR,
                Storm::U => IroId::USTORM_OVERLAY_BUF_ADDR,
                Storm::X => IroId::XSTORM_OVERLAY_BUF_ADDR,
                Storm::Y => IroId::YSTORM_OVERLAY_BUF_ADDR,
                Storm::P => IroId::PSTORM_OVERLAY_BUF_ADDR,
            };
            let variable = layout.iro(id).ok_or(ConfigError::NoVariable(id))?;
            let slot = u32::from(core.identity.rel_pf) * OVERLAY_SLOT;
            let place = variable.internal_ram_address(0, 0).offset(slot);
            let address = overlay.code.bus_address();
            core.windows.write32(place, address.low());
            core.windows.write32(place.offset(4), address.high());
        }
        Ok(())
    }

    /// Takes the memory apart, for returning it to the host.
    pub fn into_buffers(mut self) -> impl Iterator<Item = DmaBuffer<R>> {
        let pages = core::mem::take(&mut self.pages);
        let overlays = core::mem::take(&mut self.overlays);
        pages
            .into_iter()
            .chain(self.free_list.take())
            .chain(overlays.into_iter().map(|overlay| overlay.code))
    }
}

/// Bytes of a function's overlay address.
const OVERLAY_SLOT: u32 = 8;

impl<R: DmaRegion> Drop for FunctionMemory<R> {
    fn drop(&mut self) {
        let pages = core::mem::take(&mut self.pages);
        let overlays = core::mem::take(&mut self.overlays);
        let codes = overlays.into_iter().map(|overlay| overlay.code);
        let others = self.free_list.take().into_iter().chain(codes);
        let bytes: usize = pages.into_iter().chain(others).map(DmaBuffer::leak).sum();
        if bytes > 0 {
            warning!(
                "{} bytes of contexts and overlays stay allocated: the chip may still write to them",
                bytes
            );
        }
    }
}

impl<R: DmaRegion> fmt::Debug for FunctionMemory<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionMemory")
            .field("pages", &self.pages.len())
            .field("overlays", &self.overlays.len())
            .finish()
    }
}

fn buffer<A: DmaAllocator>(
    host: &mut A,
    bytes: usize,
    align: usize,
) -> Result<DmaBuffer<A::Region>, ConfigError> {
    let buffer = DmaBuffer::new(host.allocate(bytes, align)?);
    if buffer.len() < bytes {
        return Err(ConfigError::ShortMemory {
            bytes: buffer.len(),
            needed: bytes,
        });
    }
    let address = buffer.bus_address();
    if address.value() % align as u64 != 0 {
        return Err(ConfigError::Misaligned { address, align });
    }
    Ok(buffer)
}
