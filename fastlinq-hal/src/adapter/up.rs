//! NvmPopulated -> Up: the load, the init program, and the start of the function.

use fastlinq_pac::mfw::DriverCommand;
use fastlinq_pac::versions::{FirmwareVersion, IroId, Layout};
use heapless::Vec;

use super::cause::{Cause, Misuse};
use super::config::{DEFAULT_MTU, InterruptMode};
use super::connect::clear_was_error;
use super::handle::{Adapter, Failed};
use super::inner::{Context, Inner};
use super::inventory::Inventory;
use super::memory::{SlowPathMemory, buffer};
use super::running::{MAX_VPORTS, Numbers, QueueSlot, Running};
use super::states::{NvmPopulated, Up};
use super::tunnels::TunnelConfig;
use super::{status_block, stop, vports};
use crate::config::{
    self, Bandwidth, ConfigError, FunctionMemory, MacFilters, Plan, PlanRequest, StatusBlockLines,
    StatusBlocks,
};
use crate::core_state::Core;
use crate::firmware::FirmwareImage;
use crate::host::Host;
use crate::init::{FailedPolls, Scratch};
use crate::log::{Shown, info, warning};
use crate::mfw::load::{LoadError, LoadPhase, LoadRequest};
use crate::mfw::notify::{self, DriverState, SwitchMode};
use crate::mfw::nvm_config::MultiFunctionMode;
use crate::mfw::{self, MailboxError};
use crate::queue::STATUS_BLOCK_BYTES;
use crate::slowpath::{
    self, Attentions, EQ_RING_BYTES, EVENT_PROTOCOL_INDEX, EventQueue, OuterTag, SlowPath,
    SlowPathParts, SlowPathQueue,
};
use crate::steering::{Flows, SAMPLES_BYTES};

/// Alignment of status blocks in bytes: they share no cache line.
const STATUS_BLOCK_ALIGN: usize = 128;

/// Name and version that the management firmware is told.
const DRIVER_NAME: &str = "fastlinq";
const DRIVER_VERSION: [u8; 4] = [0, 1, 0, 0];

impl<I: Inventory, H: Host> Adapter<NvmPopulated<I>, H> {
    /// Loads the storm firmware and starts the function.
    ///
    /// `image` is the init-values file, `scratch` memory that is needed until this returns.
    ///
    /// | step | what |
    /// |---|---|
    /// | memory | contexts, translation table, slow-path and event queue, status blocks |
    /// | load | LOAD_REQ: the management firmware says which phases are this function's to run |
    /// | cleanup | what an earlier driver left in the storms, unless this function is the first on the engine |
    /// | master | the function becomes a master on PCI |
    /// | init program | engine and port when this function is the first on them; function and its part of the queue manager |
    /// | interrupts | status blocks cleaned, the interrupt mode set, attentions enabled |
    /// | start | PF_START |
    /// | done | LOAD_DONE, and what the management firmware likes to be told |
    ///
    /// # Errors
    ///
    /// [`Failed`] with the adapter in [`NvmPopulated`]. A file of a version that the crate does not know, an MTU that is
    /// out of range, and a function that drives both engines of a BB chip are refused before the chip is touched.
    /// Whatever was done has been undone in the order of
    /// [`down`](Adapter::down), and the attempt may be repeated.
    pub fn up(
        mut self,
        image: &FirmwareImage<'_>,
        scratch: &mut Scratch,
    ) -> Result<Adapter<Up<I>, H>, Failed<NvmPopulated<I>, H>> {
        match self.inner.bring_up(image, scratch) {
            Ok(()) => {
                let Self { inner, state } = self;
                Ok(Adapter {
                    inner,
                    state: Up {
                        inventory: state.inventory,
                    },
                })
            }
            Err(cause) => {
                warning!("bring-up failed: {}", cause);
                // What fails on the way back is in the log and in the transcript; the caller wants the first cause.
                let _ = self.inner.take_down();
                Err(self.failed(cause))
            }
        }
    }
}

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Version of the storm firmware whose interface the adapter speaks.
    #[must_use]
    pub fn storm_firmware(&self) -> FirmwareVersion {
        let running = self.inner.running.as_ref();
        running.map_or(FirmwareVersion::new(0, 0, 0, 0), |running| {
            running.numbers.layout.version
        })
    }
}

impl<H: Host> Inner<H> {
    fn bring_up(&mut self, image: &FirmwareImage<'_>, scratch: &mut Scratch) -> Result<(), Cause> {
        info!(
            "from NvmPopulated to Up: storm firmware {}",
            Shown(&image.version())
        );
        let layout = image.layout()?;
        Plan::check_layout(layout)?;
        vports::check_mtu(self.config.mtu)?;
        Plan::check_engines(&self.core.identity)?;
        self.begin_bring_up();
        let plan = self.plan()?;
        self.core.allocate_dmae()?;
        let running = self.allocate(&plan, image, layout)?;
        self.running = Some(running);

        let phase = self.load(layout)?;
        let (core, running) = match &mut self.running {
            Some(running) => (&mut self.core, running),
            None => return Err(Misuse::NotUp.into()),
        };
        if phase != LoadPhase::Engine {
            config::final_cleanup(core, layout)?;
        }
        for error in slowpath::pglue_errors(&core.windows).into_iter().flatten() {
            warning!("an earlier driver left: {}", error);
        }
        self.progress.master_enabled = true;
        stop::enable_master(core).map_err(Cause::NoMastership)?;
        clear_was_error(core);
        running.attentions.program_address(&core.windows);
        initialize(core, &plan, &running.memory, image, scratch, phase)?;
        ready_status_blocks(core, running)?;
        MacFilters::claim_units(core, self.ppfids);
        let given = self
            .function
            .as_ref()
            .and_then(|function| function.mac_address);
        if let (true, Some(address)) = (plan.classifies_by_mac(), self.config.mac_address.or(given))
        {
            if let Err(error) = running.filters.add(core, address) {
                warning!("the port's MAC filter was not set: {}", Shown(&error));
            }
        }
        running.attentions.enable(&core.windows);
        config::enable_interrupts(core, self.config.interrupts);
        running.slow_path.publish_consumer();
        match self.config.interrupts {
            InterruptMode::Polling => running.slow_path.mask_interrupt(),
            InterruptMode::MsiX => {
                let status = running.slow_path.status_index();
                running.slow_path.acknowledge_service(status, None, true);
            }
        }
        self.progress.function_started = true;
        start_function(core, running, &plan)?;
        info!("PF_START done: the storm firmware runs this function");
        self.finish_load(layout)
    }

    /// Computes all numbers of the function from its resources.
    fn plan(&mut self) -> Result<Plan, Cause> {
        let core = &self.core;
        let mut queue_pairs = self.config.queue_pairs.max(1);
        if self.config.interrupts == InterruptMode::MsiX {
            // Vector 0 is the slow path's.
            match core.host.interrupt_vectors().checked_sub(1) {
                Some(vectors @ 1..) => queue_pairs = queue_pairs.min(vectors),
                _ => return Err(Misuse::NoInterruptVectors.into()),
            }
        }
        let function = self.function.as_ref();
        let request = PlanRequest {
            queue_pairs,
            multi_function: self
                .nvm
                .map_or(MultiFunctionMode::Default, |nvm| nvm.multi_function),
            outer_vlan: function.and_then(|function| function.outer_vlan),
            bandwidth: function.map_or(Bandwidth { min: 0, max: 0 }, |function| Bandwidth {
                min: function.min_bandwidth,
                max: function.max_bandwidth,
            }),
            flow_steering: self.config.flow_steering,
        };
        let lines = StatusBlockLines::scan(core)?;
        let status_blocks = StatusBlocks::assign(core, &lines, &self.shares)?;
        let doorbells = core.host.doorbells();
        Ok(Plan::new(
            &core.identity,
            &self.shares,
            status_blocks,
            &doorbells,
            &request,
        )?)
    }

    /// Allocates all memory; the device is told nothing of it yet.
    fn allocate(
        &mut self,
        plan: &Plan,
        image: &FirmwareImage<'_>,
        layout: &'static Layout,
    ) -> Result<Running<H>, Cause> {
        let host = &mut self.core.host;
        let memory = SlowPathMemory::<H>::allocate(host)?;
        let flow_samples = if plan.flow_steering {
            Some(buffer(host, SAMPLES_BYTES, STATUS_BLOCK_ALIGN)?)
        } else {
            None
        };
        let mut queues = Vec::new();
        for igu_status_block in plan
            .status_blocks
            .queues
            .iter()
            .take(plan.queue_pairs.into())
        {
            let status_block = buffer(host, STATUS_BLOCK_BYTES, STATUS_BLOCK_ALIGN)?;
            let slot = QueueSlot {
                igu_status_block: *igu_status_block,
                status_block: Some(status_block),
                vport: None,
                receiving: false,
                transmitting: false,
                buffer_bytes: 0,
                completion_pages: 0,
                statistics: None,
            };
            // The plan has at most as many queue pairs as there are places.
            let _ = queues.push(slot);
        }
        let events = EventQueue::new(memory.events, memory.event_table).map_err(|[ring, _]| {
            Cause::ShortMemory {
                bytes: ring.len(),
                needed: EQ_RING_BYTES,
            }
        })?;
        let variable = IroId::USTORM_EQE_CONS_GTT;
        let consumer = layout
            .iro(variable)
            .and_then(|iro| iro.bar0(u32::from(plan.identity.rel_pf), 0))
            .ok_or(ConfigError::NoVariable(variable))?;
        let transmit_pq = plan.transmit_pq(0).ok_or(Misuse::NoResources)?;

        let ring = memory.queue.bus_address();
        let mut contexts = FunctionMemory::allocate(host, plan, image)?;
        if let Err(error) = contexts.write_slow_path_context(plan, ring) {
            contexts.into_buffers().for_each(drop);
            return Err(error.into());
        }
        let slow_path = SlowPath::new(SlowPathParts {
            queue: SlowPathQueue::new(memory.queue, memory.ramrods),
            events,
            status_block: memory.status_block,
            registers: self.core.windows.bar().clone(),
            doorbells: self.core.host.doorbells(),
            opaque_fid: plan.identity.opaque_fid,
            cid: plan.connections.slow_path(),
            igu_status_block: plan.status_blocks.default,
            event_consumer: consumer.value() as usize,
        });
        let mut places = Vec::new();
        for _ in 0..usize::from(plan.vports).min(MAX_VPORTS) {
            let _ = places.push(None);
        }
        let given = self.function.as_ref().map(|function| function.mtu);
        let ports = self.core.mailbox.ports().unwrap_or(1).max(1);
        Ok(Running {
            slow_path,
            attentions: Attentions::new(memory.attentions),
            consolidation: memory.consolidation,
            memory: contexts,
            filters: MacFilters::new(),
            numbers: Numbers {
                layout,
                relative_pf: plan.identity.rel_pf,
                first_eth_cid: plan.connections.first_eth(),
                first_queue: plan.first_queue,
                first_vport: plan.first_vport,
                transmit_pq,
                rss_engine: plan.rss_engine,
                statistics_port: plan.identity.abs_pf % ports,
                mtu: self.config.mtu.or(given).unwrap_or(DEFAULT_MTU),
                vport_share: plan.vports,
                queue_statistics: self.config.queue_statistics,
            },
            queues,
            vports: places,
            counted: Vec::new(),
            rss: None,
            filter_epochs: 0,
            flows: plan.flow_steering.then(Flows::new),
            flow_samples,
            tunnels: TunnelConfig::default(),
            acknowledged: 0,
        })
    }

    /// LOAD_REQ, and what belongs right behind it.
    fn load(&mut self, layout: &Layout) -> Result<LoadPhase, Cause> {
        let request = LoadRequest {
            role: self.config.role,
            force: self.config.force,
            firmware: layout.version,
        };
        let loaded = match mfw::load::request(&mut self.core, &request) {
            Ok(loaded) => loaded,
            Err(error) => {
                // Without an answer the management firmware may have granted the load all the same.
                self.progress.load_requested =
                    matches!(error, LoadError::Mailbox(MailboxError::NoAnswer { .. }));
                if matches!(error, LoadError::AlreadyLoaded { .. }) {
                    // Granted, but not to be used: the lock must not stay.
                    let _ = self.core.command(DriverCommand::CANCEL_LOAD_REQ, 0, &[])?;
                }
                return Err(error.into());
            }
        };
        self.progress.load_requested = true;
        self.progress.load_locked = true;
        info!("load granted: {:?}", loaded.phase);
        let _ = mfw::features::declare(&mut self.core)?;
        mfw::events::settle(&mut self.core)?;
        Ok(loaded.phase)
    }

    /// LOAD_DONE, and what the management firmware likes to be told.
    fn finish_load(&mut self, layout: &Layout) -> Result<(), Cause> {
        let core = &mut self.core;
        let _ = mfw::load::done(core)?;
        self.progress.load_locked = false;
        let _ = notify::data_center_bridging(core)?;
        if let Err(error) = tell(core, layout, self.config.mtu, self.config.mac_address) {
            // Known drivers go on, too.
            warning!("a notification has no answer: {}", Shown(&error));
        }
        core.windows.check()?;
        info!("up");
        Ok(())
    }
}

/// Tells the management firmware versions, settings and state of the driver.
fn tell<H: Host>(
    core: &mut Core<H>,
    layout: &Layout,
    mtu: Option<u16>,
    address: Option<[u8; 6]>,
) -> Result<(), MailboxError> {
    let _ = notify::vendor_updates(core)?;
    let _ = notify::storm_firmware(core, layout.version)?;
    if let Some(mtu) = mtu {
        let _ = notify::mtu(core, mtu)?;
    }
    if let Some(address) = address {
        let _ = notify::mac_address(core, address)?;
    }
    let _ = notify::driver_state(core, DriverState::Disabled)?;
    let _ = notify::switch_mode(core, SwitchMode::None)?;
    let _ = notify::driver_version(core, DRIVER_VERSION, DRIVER_NAME)?;
    Ok(())
}

/// Runs the phases of the init program that the management firmware left to this function.
fn initialize<H: Host>(
    core: &mut Core<H>,
    plan: &Plan,
    memory: &FunctionMemory<H::Region>,
    image: &FirmwareImage<'_>,
    scratch: &mut Scratch,
    phase: LoadPhase,
) -> Result<(), ConfigError> {
    // A poll that fails is logged; known drivers go on.
    let polls = FailedPolls::Report;
    scratch.runtime.clear();
    if phase == LoadPhase::Engine {
        config::initialize_engine(core, plan, image, scratch, polls)?;
    }
    if phase >= LoadPhase::Port {
        config::initialize_port(core, plan, image, scratch, polls)?;
    }
    config::initialize_function(core, plan, memory, image, scratch, polls)?;
    Ok(())
}

/// Cleans all status blocks of the function and tells the CAU where the default one is.
fn ready_status_blocks<H: Host>(core: &mut Core<H>, running: &Running<H>) -> Result<(), Cause> {
    status_block::clean(core, running.igu_status_blocks(), true);
    status_block::clean(core, running.igu_status_blocks(), false);
    let default = running.slow_path.igu_status_block();
    let address = running.slow_path.status_block_address();
    status_block::program(core, default, address, None)?;
    Ok(())
}

/// PF_START.
fn start_function<H: Host>(
    core: &mut Core<H>,
    running: &mut Running<H>,
    plan: &Plan,
) -> Result<(), Cause> {
    let tag = |ethertype| {
        plan.outer_vlan.map(|vlan| OuterTag {
            ethertype,
            vlan,
            follow_priority: true,
        })
    };
    let start = slowpath::PfStart {
        event_queue_pbl: running.slow_path.event_page_table().bus_address(),
        event_queue_pages: 1,
        status_block: plan.status_blocks.default,
        protocol_index: EVENT_PROTOCOL_INDEX,
        consolidation_queue_pbl: running.consolidation.page_table().bus_address(),
        consolidation_queue_pages: 1,
        path: plan.identity.path,
        first_vf: 0,
        vfs: 0,
        outer_tag_classification: plan.multi_function.by_outer_vlan(),
        outer_tag: match plan.multi_function {
            MultiFunctionMode::UnifiedFabric => tag(0x8100),
            MultiFunctionMode::ProviderVlan => tag(0x88a8),
            _ => None,
        },
        switching_between_functions: plan.multi_function == MultiFunctionMode::Npar,
    };
    let data = slowpath::pf_start(&start);
    Ok(running.start_function(&mut Context(core), &data)?)
}
