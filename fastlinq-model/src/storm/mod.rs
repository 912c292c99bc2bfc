//! The storm firmware: ramrods, queues, classification, offloads.

use crate::fabric::{Doorbell, Fabric, Function, StormId};

/// The storm firmware of one engine.
#[derive(Debug, Default)]
pub struct Storm {}

impl Storm {
    /// A storm firmware that was just loaded.
    pub fn new(chip: crate::Chip, ports: u8) -> Self {
        let _ = (chip, ports);
        Self {}
    }

    /// A doorbell that DORQ accepted.
    pub fn doorbell(&mut self, fabric: &mut dyn Fabric, doorbell: Doorbell) {
        let _ = (fabric, doorbell);
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
        let _ = (fabric, function, storm, offset, len);
    }

    /// A frame (without FCS) arrived at a port.
    pub fn receive(&mut self, fabric: &mut dyn Fabric, port: u8, frame: &[u8]) {
        let _ = (fabric, port, frame);
    }

    /// Final cleanup of `target`, asked for by PF `requester`: forget it, then acknowledge in USDM RAM.
    pub fn final_cleanup(&mut self, fabric: &mut dyn Fabric, requester: u8, target: Function) {
        let _ = (fabric, requester, target);
    }

    /// The function was reset: forget everything of it.
    pub fn reset_function(&mut self, fabric: &mut dyn Fabric, function: Function) {
        let _ = (fabric, function);
    }

    /// Time has passed; held events and receive retries are looked at again.
    pub fn advance(&mut self, fabric: &mut dyn Fabric) {
        let _ = fabric;
    }
}
