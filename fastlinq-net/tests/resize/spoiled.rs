//! A host on which some ramrods reach the firmware with data that it must refuse.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use fastlinq_hal::dma::DmaRegion;
use fastlinq_hal::host::{AllocationError, Bar, Clock, DmaAllocator, Host, PciIdentity};
use fastlinq_model_host::{ModelBar, ModelHost, ModelRegion};
use fastlinq_pac::BusAddress;
use fastlinq_pac::hsi::{EthRamrodCmdId, ProtocolId, SlowPathElement};
use zerocopy::FromBytes;

/// Bytes of the ring of ramrods.
const RING: usize = 4096;

/// What is to become of the next ramrod of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Refuse(EthRamrodCmdId),
    Pass(EthRamrodCmdId),
}

#[derive(Default)]
pub(crate) struct State {
    /// Bus address, address and bytes of regions.
    regions: Vec<(u64, usize, usize)>,
    /// What is to happen, in order.
    plan: Vec<Step>,
    /// Elements that were looked at.
    seen: Vec<(u64, u16)>,
}

#[derive(Clone)]
pub(crate) struct SpoiledHost {
    pub(crate) model: ModelHost,
    state: Arc<Mutex<State>>,
}

impl SpoiledHost {
    pub(crate) fn new(model: ModelHost) -> Self {
        Self {
            model,
            state: Arc::default(),
        }
    }

    /// The next ramrods of these kinds are refused, or not, one after the other.
    pub(crate) fn spoil(&self, plan: &[Step]) {
        self.state.lock().unwrap().plan = plan.to_vec();
    }

    /// Whether all of them came.
    pub(crate) fn all_spoiled(&self) -> bool {
        self.state.lock().unwrap().plan.is_empty()
    }
}

impl State {
    fn at(&self, bus: u64, bytes: usize) -> Option<*mut u8> {
        let inside = |region: &&(u64, usize, usize)| {
            let (base, _, len) = **region;
            bus.checked_sub(base)
                .is_some_and(|offset| offset + bytes as u64 <= len as u64)
        };
        let (base, pointer, _) = *self.regions.iter().find(inside)?;
        Some((pointer + (bus - base) as usize) as *mut u8)
    }

    /// Looks for ramrods that were not there before; fills the data of the next one of the plan with ones.
    fn doorbell(&mut self) {
        let rings: Vec<_> = self
            .regions
            .iter()
            .filter(|region| region.2 == RING)
            .collect();
        let mut new = Vec::new();
        for &&(base, pointer, _) in &rings {
            for offset in (0..RING).step_by(size_of::<SlowPathElement>()) {
                // SAFETY: the region is alive, since it leaves the list when dropped, and has so many bytes.
                let bytes = unsafe { *((pointer + offset) as *const [u8; 16]) };
                let element = SlowPathElement::read_from_bytes(&bytes).unwrap();
                let at = (base + offset as u64, element.hdr.echo.get());
                if element.hdr.protocol_id == ProtocolId::ETH.0 && !self.seen.contains(&at) {
                    new.push((at, element));
                }
            }
        }
        for (at, element) in new {
            self.seen.push(at);
            let bus =
                u64::from(element.data_ptr.hi.get()) << 32 | u64::from(element.data_ptr.lo.get());
            let Some(Step::Refuse(command) | Step::Pass(command)) = self.plan.first() else {
                continue;
            };
            if command.0 != element.hdr.cmd_id {
                continue;
            }
            let step = self.plan.remove(0);
            if let (Step::Refuse(_), Some(data)) = (step, self.at(bus, 16)) {
                // SAFETY: inside a region that is alive; the driver does not touch the data of a ramrod that was posted.
                unsafe { data.write_bytes(0xff, 16) };
            }
        }
    }
}

pub(crate) struct WatchedRegion {
    region: ModelRegion,
    state: Arc<Mutex<State>>,
}

// SAFETY: the region inside keeps the promises.
unsafe impl DmaRegion for WatchedRegion {
    fn pointer(&self) -> NonNull<u8> {
        self.region.pointer()
    }
    fn bus_address(&self) -> BusAddress {
        self.region.bus_address()
    }
    fn len(&self) -> usize {
        self.region.len()
    }
}

impl Drop for WatchedRegion {
    fn drop(&mut self) {
        let bus = self.region.bus_address().value();
        self.state
            .lock()
            .unwrap()
            .regions
            .retain(|region| region.0 != bus);
    }
}

#[derive(Clone)]
pub(crate) struct WatchedBar {
    bar: ModelBar,
    state: Option<Arc<Mutex<State>>>,
}

impl Bar for WatchedBar {
    fn len(&self) -> usize {
        self.bar.len()
    }
    fn read32(&self, offset: usize) -> u32 {
        self.bar.read32(offset)
    }
    fn write32(&self, offset: usize, value: u32) {
        if let Some(state) = &self.state {
            state.lock().unwrap().doorbell();
        }
        self.bar.write32(offset, value);
    }
    fn write16(&self, offset: usize, value: u16) {
        self.bar.write16(offset, value);
    }
    fn write_barrier(&self) {
        self.bar.write_barrier();
    }
}

impl DmaAllocator for SpoiledHost {
    type Region = WatchedRegion;
    fn allocate(&mut self, size: usize, align: usize) -> Result<WatchedRegion, AllocationError> {
        let region = self.model.allocate(size, align)?;
        let place = (
            region.bus_address().value(),
            region.pointer().as_ptr() as usize,
            size,
        );
        self.state.lock().unwrap().regions.push(place);
        Ok(WatchedRegion {
            region,
            state: Arc::clone(&self.state),
        })
    }
}

impl Clock for SpoiledHost {
    fn now_us(&self) -> u64 {
        self.model.now_us()
    }
}

impl embedded_hal::delay::DelayNs for SpoiledHost {
    fn delay_ns(&mut self, ns: u32) {
        self.model.delay_ns(ns);
    }
}

impl Host for SpoiledHost {
    type Bar = WatchedBar;
    fn registers(&self) -> WatchedBar {
        WatchedBar {
            bar: self.model.registers(),
            state: None,
        }
    }
    fn doorbells(&self) -> WatchedBar {
        let state = Some(Arc::clone(&self.state));
        WatchedBar {
            bar: self.model.doorbells(),
            state,
        }
    }
    fn identity(&self) -> PciIdentity {
        self.model.identity()
    }
}
