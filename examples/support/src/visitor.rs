//! Somebody at the other end of the cable.

use anyhow::{Context, Result};
use fastlinq_hal::adapter::AdapterConfig;
use fastlinq_host::AnyHost;
use fastlinq_model_host::{ModelHost, join};
use fastlinq_net::{AdapterQueue, QueueConfig, RxPacket, SendError};

use crate::adapter::{AdapterArgs, Running, bring_up, idle};

/// A second adapter on a cable with the first, and a queue pair to send from.
pub struct Visitor {
    host: AnyHost,
    running: Running<AnyHost>,
    queue: AdapterQueue<'static, AnyHost>,
}

impl Visitor {
    /// Brings the second adapter up: the one that was named, or for the software adapter in this process one that is joined
    /// to it. `None` when there is neither.
    ///
    /// # Errors
    ///
    /// What stopped the second adapter.
    pub fn join(args: &AdapterArgs, host: &AnyHost) -> Result<Option<Self>> {
        let other = match (&args.visitor, host.model()) {
            (Some(name), _) => name
                .open()
                .with_context(|| format!("adapter {name} cannot be used"))?,
            (None, Some(model)) => {
                let other = ModelHost::builder()
                    .mac_base([2, 0x0e, 0x1e, 0xff, 0, 1])
                    .seed(7)
                    .build();
                join(model, 0, &other, 0);
                AnyHost::Model(other)
            }
            (None, None) => return Ok(None),
        };
        let mut running = bring_up(other.clone(), AdapterConfig::default(), &args.firmware()?)?;
        let queue = running.queue(&QueueConfig::default())?;
        running.adapter.activate_vport(running.vport)?;
        Ok(Some(Self {
            host: other,
            running,
            queue,
        }))
    }

    /// Waits for the link; the first adapter must have asked for it by now.
    ///
    /// # Errors
    ///
    /// When it stays down.
    pub fn ready(&mut self) -> Result<()> {
        self.running.wait_for_link(&self.host)
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
            idle(&self.host);
        }
        Ok(())
    }

    /// The queue pair, for a network stack.
    pub fn queue_mut(&mut self) -> &mut AdapterQueue<'static, AnyHost> {
        &mut self.queue
    }

    /// Lets a little time pass.
    pub fn pass(&self) {
        idle(&self.host);
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
