//! Queue pairs, on an adapter that is up.

use core::fmt;

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::registers::cau;
use fastlinq_pac::versions::IroId;

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::running::{QueueSlot, Running};
use super::states::Up;
use super::{statistics, status_block};
use crate::core_state::Core;
use crate::host::Host;
use crate::log::debug;
use crate::queue::{Coalescing, QueuePairId, QueuePairRequest, QueuePort, QueuePortParts};
use crate::steering::FlowAction;
use crate::vport::{Aggregation, VportId};

/// A queue pair that could not be opened.
#[derive(Debug)]
pub struct OpenFailed {
    /// Why.
    pub cause: Cause,
    /// Whether the device may still use the rings of the request. Their memory must not be freed then before the adapter
    /// is down.
    pub rings_in_use: bool,
}

impl From<Cause> for OpenFailed {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            rings_in_use: false,
        }
    }
}

impl From<Misuse> for OpenFailed {
    fn from(misuse: Misuse) -> Self {
        Cause::from(misuse).into()
    }
}

impl fmt::Display for OpenFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl core::error::Error for OpenFailed {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// A queue pair that could not be closed: the device may still use its rings.
pub struct CloseFailed<H: Host> {
    /// The queue pair; closing may be tried again.
    pub port: QueuePort<H>,
    /// Why.
    pub cause: Cause,
}

impl<H: Host> fmt::Debug for CloseFailed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseFailed")
            .field("port", &self.port.id())
            .field("cause", &self.cause)
            .finish()
    }
}

impl<H: Host> fmt::Display for CloseFailed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl<H: Host> core::error::Error for CloseFailed<H> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Number of queue pairs that may be open at once.
    #[must_use]
    pub fn queue_pairs(&self) -> u16 {
        self.inner
            .running
            .as_ref()
            .map_or(0, |running| running.queues.len() as u16)
    }

    /// Opens the next free queue pair on a vport.
    ///
    /// Programs the status block, sets the receive producers to 0, then RX_QUEUE_START and TX_QUEUE_START. Publish the
    /// producers afterwards, and activate the vport. The first queue pair of a vport takes the frames without a hash.
    ///
    /// # Errors
    ///
    /// [`OpenFailed`], with [`Misuse::NoSuchVport`], [`Misuse::NoFreeQueuePair`], [`Misuse::Coalescing`],
    /// [`Misuse::EmptyRing`], [`Misuse::SmallBuffers`], or a failed ramrod or DMAE operation.
    pub fn open_queue_pair(
        &mut self,
        vport: VportId,
        request: &QueuePairRequest,
    ) -> Result<QueuePort<H>, OpenFailed> {
        let (_, running) = self.inner.vport(vport)?;
        let free = running.queues.iter().position(QueueSlot::is_free);
        let queue = free.ok_or(Misuse::NoFreeQueuePair)? as u16;
        self.open_at(vport, queue, request)
    }

    /// Opens a certain queue pair on a vport, as [`open_queue_pair`](Self::open_queue_pair) does the next free one.
    ///
    /// # Errors
    ///
    /// Those of [`open_queue_pair`](Self::open_queue_pair), and [`Misuse::QueuePairOpen`].
    pub fn open_queue_pair_at(
        &mut self,
        vport: VportId,
        queue: QueuePairId,
        request: &QueuePairRequest,
    ) -> Result<QueuePort<H>, OpenFailed> {
        let (_, running) = self.inner.vport(vport)?;
        match running.slot(queue.index()) {
            None => Err(Misuse::NoSuchQueuePair(queue).into()),
            Some(slot) if !slot.is_free() => Err(Misuse::QueuePairOpen(queue).into()),
            Some(_) => self.open_at(vport, queue.index(), request),
        }
    }

    fn open_at(
        &mut self,
        vport: VportId,
        queue: u16,
        request: &QueuePairRequest,
    ) -> Result<QueuePort<H>, OpenFailed> {
        let bring_up = self.inner.bring_up;
        let (core, running) = self.inner.vport(vport)?;
        check_request(running, vport, queue, request)?;
        let mut port = take_port(core, running, queue, bring_up)?;
        statistics::give_id(core, running, queue, vport.0);
        let result = start(core, running, vport, request, &port);
        match result {
            Ok(()) => {
                if let Some(state) = running.vport_mut(vport.0) {
                    state.default_queue = state.default_queue.or(Some(queue));
                }
                debug!(
                    "queue pair {} open as queue {}",
                    queue,
                    port.absolute_queue()
                );
                Ok(port)
            }
            Err(cause) => {
                let in_use = running
                    .slot(queue)
                    .is_some_and(|slot| slot.receiving || slot.transmitting);
                if !in_use {
                    let block = port.take_status_block();
                    running.mark(queue, |slot| {
                        slot.status_block = block;
                        slot.vport = None;
                        slot.statistics = None;
                    });
                }
                Err(OpenFailed {
                    cause,
                    rings_in_use: in_use,
                })
            }
        }
    }

    /// Closes a queue pair: TX_QUEUE_STOP and RX_QUEUE_STOP. When this returns, the device no longer uses its rings.
    ///
    /// | the vport has | what happens first | traffic of the others |
    /// |---|---|---|
    /// | other queue pairs | its entries of the table of receive-side scaling, and the frames without a hash, go to them | goes on; frames that arrive during RX_QUEUE_STOP are lost, because the firmware wants no receiving vport then |
    /// | no other | the vport is made inactive; receive-side scaling ends | - |
    ///
    /// Frames that the transmit queue was given are sent before it stops.
    ///
    /// # Errors
    ///
    /// [`CloseFailed`] gives the queue pair back; the device may still use its rings. [`Misuse::QueuePairSteered`] when
    /// flows are steered to it. When the vport could not be made to receive again, it is inactive.
    pub fn close_queue_pair(&mut self, mut port: QueuePort<H>) -> Result<(), CloseFailed<H>> {
        let queue = port.id().index();
        let bring_up = self.inner.bring_up;
        let (core, running) = match self.inner.parts() {
            Ok(parts) => parts,
            Err(cause) => return Err(CloseFailed { port, cause }),
        };
        let known = running.slot(queue).is_some_and(|slot| {
            slot.status_block.is_none() && slot.igu_status_block == port.igu_status_block()
        });
        if !known || !port.same_bring_up(bring_up) {
            return Err(CloseFailed {
                cause: Misuse::NoSuchQueuePair(port.id()).into(),
                port,
            });
        }
        let steered = running.flows.as_ref().map_or(0, |flows| {
            flows.count_to(FlowAction::Queue(QueuePairId(queue)))
        });
        if steered > 0 {
            let misuse = Misuse::QueuePairSteered {
                queue: port.id(),
                flows: steered,
            };
            return Err(CloseFailed {
                port,
                cause: misuse.into(),
            });
        }
        let vport = running.slot(queue).and_then(|slot| slot.vport);
        if let Err(error) = running.stop_queue_pair(&mut Context(core), queue) {
            return Err(CloseFailed {
                port,
                cause: error.into(),
            });
        }
        statistics::take_id(core, running, queue, vport);
        let block = port.take_status_block();
        running.mark(queue, |slot| slot.status_block = block);
        debug!("queue pair {} closed", queue);
        Ok(())
    }

    /// Interrupt coalescing of an open queue pair, as the device has it.
    ///
    /// Reads the timers' resolutions from the CAU and the times from the storms' queue zones.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchQueuePair`], or a failed DMAE operation.
    pub fn coalescing(&mut self, queue: QueuePairId) -> Result<Coalescing, Cause> {
        let (core, running) = self.inner.parts()?;
        let open = running
            .slot(queue.index())
            .filter(|slot| slot.vport.is_some());
        let block = open.ok_or(Misuse::NoSuchQueuePair(queue))?.igu_status_block;
        let entry = cau::SB_VAR_MEMORY.address().offset(8 * u32::from(block));
        let mut words = [0; 2];
        core.dmae_read(entry, &mut words)?;
        let [_, params] = words;
        let layout = running.numbers.layout;
        let absolute = u32::from(running.absolute_queue(queue.index()));
        let time = |zone, resolution: u32| {
            let iro = layout.iro(zone);
            let set = iro.map_or(0, |iro| core.windows.read32(iro.address(absolute, 0)));
            ((set & 0x7f) << (resolution & 3)) as u16
        };
        let coalescing = Coalescing {
            receive_us: time(IroId::USTORM_ETH_QUEUE_ZONE_GTT, params >> 14),
            transmit_us: time(IroId::XSTORM_ETH_QUEUE_ZONE_GTT, params >> 16),
        };
        core.windows.check()?;
        Ok(coalescing)
    }

    /// Changes the interrupt coalescing of an open queue pair: its timers in the CAU, then the storms' queue zones.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchQueuePair`], [`Misuse::Coalescing`], or a failed DMAE operation.
    pub fn set_coalescing(
        &mut self,
        queue: QueuePairId,
        coalescing: Coalescing,
    ) -> Result<(), Cause> {
        let (core, running) = self.inner.parts()?;
        let open = running
            .slot(queue.index())
            .filter(|slot| slot.vport.is_some());
        let block = open.ok_or(Misuse::NoSuchQueuePair(queue))?.igu_status_block;
        let (receive_resolution, receive_set) = timer(coalescing.receive_us)?;
        let (transmit_resolution, transmit_set) = timer(coalescing.transmit_us)?;
        let entry = cau::SB_VAR_MEMORY.address().offset(8 * u32::from(block));
        let mut words = [0; 2];
        core.dmae_read(entry, &mut words)?;
        let [state, params] = &mut words;
        *state = *state & 0x00ff_ffff | status_block::timer_states(coalescing);
        *params = *params & !(0xf << 14)
            | u32::from(receive_resolution) << 14
            | u32::from(transmit_resolution) << 16;
        core.dmae_write(entry, &words)?;
        write_zones(core, running, queue.index(), (receive_set, transmit_set))
    }
}

/// Tells the storms the timesets of a queue pair.
fn write_zones<H: Host>(
    core: &Core<H>,
    running: &Running<H>,
    queue: u16,
    (receive_set, transmit_set): (u8, u8),
) -> Result<(), Cause> {
    let layout = running.numbers.layout;
    let absolute = u32::from(running.absolute_queue(queue));
    let zones = [
        (IroId::USTORM_ETH_QUEUE_ZONE_GTT, receive_set),
        (IroId::XSTORM_ETH_QUEUE_ZONE_GTT, transmit_set),
    ];
    for (zone, set) in zones {
        if let Some(at) = layout.iro(zone).and_then(|iro| iro.bar0(absolute, 0)) {
            core.windows
                .global_write32(at, ZONE_VALID | u32::from(set))?;
        }
    }
    Ok(())
}

/// The bit of a queue zone's coalescing byte that says that the time in it is set.
const ZONE_VALID: u32 = 0x80;

/// Bytes of a frame around its payload: Ethernet header, two VLAN tags, and the two bytes that align the IP header.
const FRAME_OVERHEAD: u32 = 14 + 8 + 2;
/// Buffers of a frame, at most.
const BUFFERS_PER_FRAME: u32 = 5;
/// Completions on a page.
const COMPLETIONS_PER_PAGE: u32 = 128;

/// Whether rings can be opened on a vport.
pub(super) fn check_request<H: Host>(
    running: &Running<H>,
    vport: VportId,
    queue: u16,
    request: &QueuePairRequest,
) -> Result<(), Misuse> {
    if request.cqe_pages == 0 || request.tx_pages == 0 || request.rx_buffer_bytes == 0 {
        return Err(Misuse::EmptyRing);
    }
    timer(request.coalescing.receive_us)?;
    timer(request.coalescing.transmit_us)?;
    if let Some(state) = running.vport(vport.0) {
        let held = (request.rx_buffer_bytes, request.cqe_pages);
        check_buffers(QueuePairId(queue), held, state.mtu, state.aggregation)?;
    }
    Ok(())
}

/// Whether a queue pair's buffers and completions are enough for a vport's MTU and aggregation.
pub(super) fn check_buffers(
    queue: QueuePairId,
    (buffer_bytes, completion_pages): (u16, u16),
    mtu: u16,
    aggregation: Option<Aggregation>,
) -> Result<(), Misuse> {
    let frame = u32::from(mtu) + FRAME_OVERHEAD;
    // An aggregation takes whole segments only, and each one that is open needs a completion to end with.
    let (buffers, completions) = aggregation.map_or((BUFFERS_PER_FRAME, 0), |wish| {
        (1, 2 * u32::from(wish.aggregations))
    });
    if buffers * u32::from(buffer_bytes) < frame
        || COMPLETIONS_PER_PAGE * u32::from(completion_pages) <= completions
    {
        return Err(Misuse::SmallBuffers { queue, mtu });
    }
    Ok(())
}

fn timer(us: u16) -> Result<(u8, u8), Misuse> {
    Coalescing::timer(us).ok_or(Misuse::Coalescing(us))
}

/// Makes the handle of a free queue pair, with its status block's memory.
fn take_port<H: Host>(
    core: &Core<H>,
    running: &mut Running<H>,
    queue: u16,
    bring_up: u32,
) -> Result<QueuePort<H>, Misuse> {
    let absolute = running.absolute_queue(queue);
    let transmit_cid = running.transmit_cid(queue);
    let layout = running.numbers.layout;
    let producers = layout
        .iro(IroId::MSTORM_ETH_PF_PRODS_GTT)
        .and_then(|iro| iro.bar0(u32::from(absolute), 0))
        .ok_or(Misuse::NoFreeQueuePair)?;
    let slot = running
        .queues
        .get_mut(usize::from(queue))
        .ok_or(Misuse::NoFreeQueuePair)?;
    let mut status_block = slot.status_block.take().ok_or(Misuse::NoFreeQueuePair)?;
    status_block.zero();
    Ok(QueuePort::new(QueuePortParts {
        id: QueuePairId(queue),
        absolute,
        status_block,
        registers: core.windows.bar().clone(),
        doorbells: core.host.doorbells(),
        igu_status_block: slot.igu_status_block,
        producers: producers.value() as usize,
        transmit_cid,
        vector: queue + 1,
        bring_up,
    }))
}

/// Programs the status block, clears the producers, and starts both queues.
fn start<H: Host>(
    core: &mut Core<H>,
    running: &mut Running<H>,
    vport: VportId,
    request: &QueuePairRequest,
    port: &QueuePort<H>,
) -> Result<(), Cause> {
    let queue = port.id().index();
    for set in [true, false] {
        status_block::clean(core, [port.igu_status_block()].into_iter(), set);
    }
    status_block::program(
        core,
        port.igu_status_block(),
        port.status_block_address(),
        Some(request.coalescing),
    )?;
    port.disable_interrupt();
    port.clear_producers();
    running.start_receive(&mut Context(core), queue, vport.0, request)?;
    if let Err(error) = running.start_transmit(&mut Context(core), queue, vport.0, request) {
        // The receive queue is taken back; when that fails too, the caller is told that the rings are in use.
        let _ = running.stop_receive(&mut Context(core), queue);
        return Err(error.into());
    }
    // What an earlier queue pair of this number left there would count.
    let (_, receive_set) = timer(request.coalescing.receive_us)?;
    let (_, transmit_set) = timer(request.coalescing.transmit_us)?;
    write_zones(core, running, queue, (receive_set, transmit_set))
}
