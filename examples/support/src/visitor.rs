//! Somebody at the other end of the cable.

use anyhow::Result;
use fastlinq_hal::adapter::AdapterConfig;
use fastlinq_host::AnyHost;
use fastlinq_model_host::model::firmware_image::synthetic_image;
use fastlinq_model_host::{ModelHost, join};
use fastlinq_net::{AdapterQueue, QueueConfig, RxPacket, SendError};

use crate::adapter::{Running, bring_up, pass};

/// A second software adapter on a cable with the first, and a queue pair to send from.
pub struct Visitor {
    host: ModelHost,
    running: Running<ModelHost>,
    queue: AdapterQueue<'static, ModelHost>,
}

impl Visitor {
    /// Joins a second adapter to the first one; `None` when that is not the software adapter in this process.
    ///
    /// # Errors
    ///
    /// What stopped the second adapter.
    pub fn join(host: &AnyHost) -> Result<Option<Self>> {
        let Some(model) = host.model() else {
            return Ok(None);
        };
        let host = ModelHost::builder()
            .mac_base([2, 0x0e, 0x1e, 0xff, 0, 1])
            .seed(7)
            .build();
        join(model, 0, &host, 0);
        let mut running = bring_up(host.clone(), AdapterConfig::default(), &synthetic_image())?;
        let queue = running.queue(&QueueConfig::default())?;
        running.go(&host)?;
        Ok(Some(Self {
            host,
            running,
            queue,
        }))
    }

    /// The visitor's address.
    pub fn mac(&self) -> [u8; 6] {
        self.running.mac
    }

    /// Sends a frame; `false` when there is no room now.
    ///
    /// # Errors
    ///
    /// When the frame breaks a rule or the queue is out of order.
    pub fn send(&mut self, frame: &[u8]) -> Result<bool> {
        match self.queue.send(frame) {
            Ok(()) => Ok(true),
            Err(SendError::Full) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Receives what is there, and lets a little time pass.
    ///
    /// # Errors
    ///
    /// When the queue is out of order.
    pub fn receive(&mut self, mut take: impl FnMut(&[u8])) -> Result<()> {
        let mut burst = [RxPacket::EMPTY; 32];
        let taken = self.queue.receive(&mut burst)?;
        for packet in burst.iter().take(taken) {
            if let Some(bytes) = self.queue.bytes(packet) {
                take(bytes);
            }
            self.queue.release(packet);
        }
        if taken == 0 {
            pass(&self.host);
        }
        Ok(())
    }

    /// The queue pair, for a network stack.
    pub fn queue_mut(&mut self) -> &mut AdapterQueue<'static, ModelHost> {
        &mut self.queue
    }

    /// Lets a little time pass.
    pub fn pass(&self) {
        pass(&self.host);
    }

    /// Takes the second adapter down.
    ///
    /// # Errors
    ///
    /// When it does not let go.
    pub fn leave(self) -> Result<()> {
        self.running.down(vec![self.queue])
    }
}
