//! A queue pair with an interrupt on the software adapter, tasks, and things that happen at the wrong moment.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};

use fastlinq_hal::adapter::{Adapter, AdapterConfig, ImageTable, InterruptMode, Populated, Up};
use fastlinq_hal::firmware::FirmwareImage;
use fastlinq_hal::host::DmaAllocator;
use fastlinq_hal::init::Scratch;
use fastlinq_hal::queue::QueuePort;
use fastlinq_hal::vport::{ReceiveMode, VportConfig};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::wire::{CableEnd, Wire, cable};
use fastlinq_model_host::model::{Chip, firmware_image::synthetic_image};
use fastlinq_net::{
    NotStopped, PreparedQueue, QueueConfig, QueueDevice, QueuePair, QueueSignal, TxPacket,
};

use crate::looping::{no_violations, pass, storage};

#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task by hand: how often it was woken, and its waker.
pub(crate) struct Task {
    pub(crate) count: Arc<Count>,
    pub(crate) waker: Waker,
}

impl Task {
    pub(crate) fn new() -> Self {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        Self { count, waker }
    }

    pub(crate) fn cx(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    pub(crate) fn woken(&self) -> bool {
        self.count.0.swap(0, Ordering::Relaxed) > 0
    }
}

pub(crate) type Event = Box<dyn FnOnce()>;

/// What happens to the device, and before which of the program's accesses.
#[derive(Clone, Default)]
pub(crate) struct Plan(Rc<RefCell<Option<(u32, Event)>>>, Rc<Cell<u32>>);

impl Plan {
    /// `event` happens before access number `step`, counted from now.
    pub(crate) fn set(&self, step: u32, event: impl FnOnce() + 'static) {
        self.1.set(0);
        *self.0.borrow_mut() = Some((step, Box::new(event)));
    }

    fn access(&self) {
        let due = self.0.borrow().as_ref().map(|(step, _)| *step);
        if due == Some(self.1.replace(self.1.get() + 1)) {
            self.happen();
        }
    }

    /// Lets it happen, if it has not; whether it had.
    pub(crate) fn happen(&self) -> bool {
        let event = self.0.borrow_mut().take();
        let due = event.is_some();
        if let Some((_, event)) = event {
            event();
        }
        !due
    }
}

/// A device to which something happens between two accesses of the program.
pub(crate) struct Planned<D> {
    pub(crate) device: D,
    pub(crate) plan: Plan,
}

impl<D: QueueDevice> QueueDevice for Planned<D> {
    type Region = D::Region;
    fn rx_index(&self) -> u16 {
        self.plan.access();
        self.device.rx_index()
    }
    fn tx_index(&self) -> u16 {
        self.plan.access();
        self.device.tx_index()
    }
    fn publish_rx(&self, bd_prod: u16, cqe_prod: u16) {
        self.device.publish_rx(bd_prod, cqe_prod);
    }
    fn ring_tx(&self, bd_prod: u16) {
        self.device.ring_tx(bd_prod);
    }
    fn status_index(&self) -> u32 {
        self.plan.access();
        self.device.status_index()
    }
    fn enable_interrupt(&self, status_index: u32) {
        self.plan.access();
        self.device.enable_interrupt(status_index);
        self.plan.access();
    }
}

pub(crate) type Port = QueuePort<ModelHost>;

/// A software adapter with a queue pair that has an interrupt, and the other end of its cable.
pub(crate) struct Bench<D: QueueDevice> {
    pub(crate) host: ModelHost,
    pub(crate) adapter: Adapter<Up<ImageTable>, ModelHost>,
    pub(crate) queue: QueuePair<'static, D>,
    pub(crate) vector: u16,
    pub(crate) far: Rc<RefCell<CableEnd>>,
}

impl<D: QueueDevice + 'static> Bench<D> {
    pub(crate) fn new(chip: Chip, config: &QueueConfig, device: impl FnOnce(Port) -> D) -> Self
    where
        D: QueueDevice<Region = <ModelHost as DmaAllocator>::Region>,
    {
        let host = ModelHost::builder()
            .chip(chip)
            .seed(7)
            .interrupt_vectors(2)
            .build();
        let (near, far) = cable();
        host.set_wire(0, Box::new(near));
        let up = AdapterConfig {
            interrupts: InterruptMode::MsiX,
            queue_pairs: 1,
            ..AdapterConfig::default()
        };
        let adapter = Adapter::new(host.clone(), up).connect().unwrap();
        let Populated::Images(adapter) = adapter.populate().unwrap() else {
            panic!("a modern management firmware knows BIST_TEST");
        };
        let image = synthetic_image();
        let image = FirmwareImage::parse(&image).unwrap();
        let mut adapter = adapter.up(&image, &mut Box::new(Scratch::new())).unwrap();
        let settings = adapter.flash_link_settings();
        adapter.set_link(&settings).unwrap();
        host.advance(10_000_000_000);
        let vport = adapter.start_vport(VportConfig::default()).unwrap();
        adapter
            .set_receive_mode(vport, ReceiveMode::PROMISCUOUS)
            .unwrap();
        let prepared = PreparedQueue::new(&mut adapter, config, storage(config)).unwrap();
        let port = adapter.open_queue_pair(vport, &prepared.request()).unwrap();
        let vector = port.vector();
        let queue = prepared.start(device(port));
        adapter.activate_vport(vport).unwrap();
        host.take_interrupts(vector);
        Self {
            host,
            adapter,
            queue,
            vector,
            far: Rc::new(RefCell::new(far)),
        }
    }

    /// Frames that arrive, as something that is to happen.
    pub(crate) fn arrival(&self, frame: Vec<u8>) -> impl FnOnce() + use<D> {
        let (host, far) = (self.host.clone(), Rc::clone(&self.far));
        move || {
            far.borrow_mut().transmit(&frame);
            pass(&host);
        }
    }

    /// Time that passes, in which the device sends.
    pub(crate) fn time(&self) -> impl FnOnce() + use<D> {
        let host = self.host.clone();
        move || pass(&host)
    }

    /// The interrupt handler, if the device has interrupted.
    pub(crate) fn interrupt(&self, signal: &QueueSignal) -> bool {
        let fired = self.host.take_interrupts(self.vector) > 0;
        if fired {
            signal.wake();
        }
        fired
    }

    pub(crate) fn close(mut self, port: impl FnOnce(D) -> Port) {
        assert_eq!(self.queue.usage().missing(), 0);
        let adapter = &mut self.adapter;
        let closed = self.queue.close_with(|device| {
            let closed = adapter.close_queue_pair(port(device));
            closed.map_err(|failed| panic!("{failed}"))
        });
        let closed: Result<(), NotStopped<'_, D, ()>> = closed;
        assert!(closed.is_ok());
        assert!(self.adapter.down().is_ok());
        no_violations(&self.host);
        assert_eq!(self.host.memory().live_regions, 0);
    }
}

pub(crate) fn planned(plan: &Plan) -> impl FnOnce(Port) -> Planned<Port> + use<> {
    let plan = plan.clone();
    move |device| Planned { device, plan }
}

/// Fills the transmit ring; gives the number of frames in it.
pub(crate) fn fill<D: QueueDevice>(queue: &mut QueuePair<'_, D>) -> usize {
    let mut sent = 0;
    loop {
        let buffer = queue.take_buffer().expect("more buffers than descriptors");
        let packet = TxPacket::new(buffer, 64, 60);
        if queue.transmit(&[packet]).unwrap() == 0 {
            assert!(queue.release_buffer(buffer));
            return sent;
        }
        sent += 1;
    }
}
