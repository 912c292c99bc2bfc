//! The storm firmware: ramrods, queues, classification, offloads.
//!
//! It is told of doorbells, of writes into storm RAM and of frames, and acts on the chip through
//! [`Fabric`]. Everything that a driver can write is taken as hostile: what breaks a rule is reported with the
//! descriptor that broke it, and the queue concerned is halted.

/// The value of a field in a word.
macro_rules! bits {
    ($word:expr, $field:expr) => {
        ($word >> $field.shift) & $field.mask
    };
}

mod aggregation;
mod capabilities;
mod checksum;
mod classify;
mod eq;
mod explicit;
mod filters;
mod function;
mod gft;
mod headers;
mod layout;
mod offload;
mod packet;
mod parse;
mod place;
mod policy;
mod ramrod;
mod receive;
mod rss;
mod rx_queue;
mod segment;
mod spq;
mod statistics;
mod switch;
#[cfg(test)]
mod tests;
mod tpa;
mod transmit;
mod tunnel;
mod tx_queue;
mod vport;

use std::collections::BTreeMap;

use fastlinq_pac::Limits;
use fastlinq_pac::hsi::{CoalescingTimeset, EthTstormRssUpdateData, coalescing_timeset};
use fastlinq_pac::versions::FirmwareVersion;
use zerocopy::FromBytes;

use self::filters::FilterTable;
use self::function::Pf;
use self::layout::StormLayout;
use self::rx_queue::RxQueue;
use self::tx_queue::TxQueue;
use self::vport::Vport;
use crate::fabric::{Doorbell, Fabric, Function, StormId};
use crate::violation::{DmaCause, ViolationKind};

pub use self::capabilities::{CAPABILITIES, Capability, Extent};
pub use self::rss::KeyOrder;

/// Connection types of the doorbells that the model knows.
const TYPE_CORE: u8 = 3;
const TYPE_ETH: u8 = 4;

/// The storm firmware of one engine.
#[derive(Debug)]
pub struct Storm {
    limits: &'static Limits,
    layout: StormLayout,
    key_order: KeyOrder,
    pfs: Vec<Pf>,
    vports: Vec<Option<Vport>>,
    rx_queues: BTreeMap<u16, RxQueue>,
    tx_queues: BTreeMap<(Function, u32), TxQueue>,
    rx_filters: FilterTable,
    tx_filters: FilterTable,
}

impl Storm {
    /// A storm firmware that was just loaded.
    ///
    /// # Panics
    ///
    /// When the PAC describes no variables of firmware 8.59.1.0, which is a defect of the PAC.
    pub fn new(chip: crate::Chip, ports: u8) -> Self {
        let _ = ports;
        let limits = match chip {
            crate::Chip::Bb => fastlinq_pac::Chip::Bb.limits(),
            crate::Chip::K2 => fastlinq_pac::Chip::K2.limits(),
        };
        let layout =
            StormLayout::newest().expect("the PAC describes the variables of firmware 8.59.1.0");
        Self {
            limits,
            layout,
            key_order: KeyOrder::default(),
            pfs: (0..limits.pfs_per_engine).map(|_| Pf::default()).collect(),
            vports: (0..limits.vports).map(|_| None).collect(),
            rx_queues: BTreeMap::new(),
            tx_queues: BTreeMap::new(),
            rx_filters: FilterTable::default(),
            tx_filters: FilterTable::default(),
        }
    }

    /// Firmware of another build was loaded: its variables and ramrods. One that the PAC does not describe is taken for the newest.
    ///
    /// Known by: the drivers' own tables of their builds. A card runs what was written to its memories; the model runs no
    /// storm code and goes by what the driver says in LOAD_REQ.
    pub fn loaded(&mut self, version: FirmwareVersion) {
        if let Some(layout) = StormLayout::of(version).or_else(StormLayout::newest) {
            self.layout = layout;
        }
    }

    /// Chooses in which order the RSS engine takes the bytes of a key; drivers cannot tell.
    pub fn set_key_order(&mut self, order: KeyOrder) {
        self.key_order = order;
    }

    /// A doorbell that DORQ accepted.
    pub fn doorbell(&mut self, fabric: &mut dyn Fabric, doorbell: Doorbell) {
        match doorbell.connection_type {
            TYPE_CORE => self.slow_path_doorbell(fabric, &doorbell),
            TYPE_ETH => self.transmit_doorbell(fabric, &doorbell),
            _ => {
                let cause = DmaCause::descriptor(
                    "doorbell of connection",
                    doorbell.cid.into(),
                    doorbell.data.into(),
                );
                let why = ViolationKind::Doorbell("connections of this type are not modelled");
                fabric.violation(Some(doorbell.function), why, cause);
            }
        }
    }

    /// A driver wrote `len` bytes of a storm's RAM at `offset` (the RAM holds them already).
    pub fn ram_written(
        &mut self,
        fabric: &mut dyn Fabric,
        function: Function,
        storm: StormId,
        offset: u32,
        len: u32,
    ) {
        let pfs = self.pfs.len() as u32;
        let queues = u32::from(self.limits.l2_queues);
        match storm {
            StormId::U => {
                for pf in self.layout.eqe_consumer.touched(offset, len, pfs) {
                    self.event_consumer_moved(fabric, pf as u8);
                }
                for queue in self.layout.rx_queue_zone.touched(offset, len, queues) {
                    self.receive_coalescing(fabric, queue as u16);
                }
            }
            StormId::X => {
                for zone in self.layout.tx_queue_zone.touched(offset, len, queues) {
                    self.transmit_coalescing(fabric, zone as u16);
                }
            }
            StormId::T => {
                for pf in self.layout.rss_entry.touched(offset, len, pfs) {
                    self.update_rss_entry(fabric, function, pf);
                }
            }
            // Producers of receive queues are looked at when a frame arrives.
            StormId::M | StormId::Y | StormId::P => {}
        }
    }

    /// A frame (without FCS) arrived at a port.
    pub fn receive(&mut self, fabric: &mut dyn Fabric, port: u8, frame: &[u8]) {
        self.receive_frame(fabric, port, frame);
    }

    /// Final cleanup of `target`, asked for by PF `requester`: forget it, then acknowledge in USDM RAM.
    pub fn final_cleanup(&mut self, fabric: &mut dyn Fabric, requester: u8, target: Function) {
        self.forget_function(target);
        let ack = self.layout.final_cleanup_ack;
        fabric.set_ram32(ack.storm, ack.offset(requester.into()), 1);
    }

    /// The function was reset: forget everything of it.
    pub fn reset_function(&mut self, fabric: &mut dyn Fabric, function: Function) {
        let _ = fabric;
        self.forget_function(function);
    }

    /// Time has passed; held events and open aggregations are looked at again.
    pub fn advance(&mut self, fabric: &mut dyn Fabric) {
        self.close_old_aggregations(fabric);
    }

    fn event_consumer_moved(&mut self, fabric: &mut dyn Fabric, pf: u8) {
        if let Some(events) = self
            .pfs
            .get_mut(usize::from(pf))
            .and_then(|state| state.events.as_mut())
        {
            events.flush(fabric, &self.layout);
            self.finish_stop(pf);
            self.run_slow_path(fabric, pf);
        }
    }

    fn receive_coalescing(&mut self, fabric: &mut dyn Fabric, queue: u16) {
        let zone = self.layout.rx_queue_zone;
        if let Some(timeset) = valid_timeset(fabric.ram8(zone.storm, zone.offset(queue.into()))) {
            if let Some(queue) = self.rx_queues.get(&queue) {
                fabric.set_protocol_index_timeset(queue.sb, queue.pi, timeset);
            }
        }
    }

    fn transmit_coalescing(&mut self, fabric: &mut dyn Fabric, zone: u16) {
        let variable = self.layout.tx_queue_zone;
        if let Some(timeset) =
            valid_timeset(fabric.ram8(variable.storm, variable.offset(zone.into())))
        {
            for queue in self.tx_queues.values().filter(|queue| queue.zone == zone) {
                fabric.set_protocol_index_timeset(queue.sb, queue.pi, timeset);
            }
        }
    }

    /// The command that changes a single entry of an RSS table.
    fn update_rss_entry(&mut self, fabric: &mut dyn Fabric, function: Function, pf: u32) {
        let variable = self.layout.rss_entry;
        let offset = variable.offset(pf);
        let (bytes, valid_at) = self
            .layout
            .rss_entry(fabric.ram64(variable.storm, offset).to_le_bytes());
        let Ok(command) = EthTstormRssUpdateData::read_from_bytes(&bytes) else {
            return;
        };
        if command.valid == 0 {
            return;
        }
        let owned = self
            .owned_vport(Function::pf(pf as u8), command.vport_id)
            .is_ok();
        let changed = owned
            && self.vport_mut(command.vport_id).is_some_and(|vport| {
                vport
                    .rss
                    .set_entry(command.ind_table_index, command.ind_table_value.get())
            });
        if !changed {
            let cause = DmaCause::descriptor(
                "RSS entry command of PF",
                pf.into(),
                u64::from_le_bytes(bytes),
            );
            let why = ViolationKind::Firmware("RSS entry command for an unknown vport or entry");
            fabric.violation(Some(function), why, cause);
        }
        fabric.set_ram(variable.storm, offset + valid_at, &[0]);
    }
}

/// The timeset of a queue zone's coalescing byte, if the driver marked it valid.
fn valid_timeset(value: u8) -> Option<u8> {
    let value = CoalescingTimeset { value }.value;
    (bits!(value, coalescing_timeset::VALID) != 0)
        .then_some(bits!(value, coalescing_timeset::TIMESET))
}
