//! What every state of the adapter works on: host, windows, DMAE, mailbox, transcript, identity.

use core::fmt;

use fastlinq_pac::access::RegisterBus;
use fastlinq_pac::mfw::DriverCommand;
use fastlinq_pac::{BusAddress, GrcAddress};

use crate::access::{
    AccessError, Dmae, DmaeError, DmaeOptions, FunctionIdentity, Patience, Windows, poll,
};
use crate::host::{AllocationError, Host};
use crate::mfw::{Mailbox, MailboxContext, MailboxError, MfwInfo, Reply, Transcript};

/// What every state of the adapter works on.
///
/// Nothing of the device is touched until [`identify`](Self::identify). The parts are public because the
/// steps of a bring-up need several of them at once; keep the order of the bring-up.
pub struct Core<H: Host> {
    /// Where the driver runs.
    pub host: H,
    /// BAR0.
    pub windows: Windows<H::Bar>,
    /// The DMA engine for registers; `None` until [`allocate_dmae`](Self::allocate_dmae).
    pub dmae: Option<Dmae<H::Region>>,
    /// The management firmware's mailbox; detached until [`attach`](crate::mfw::attach).
    pub mailbox: Mailbox,
    /// The last exchanges with the management firmware.
    pub transcript: Transcript,
    /// Who the function is; all zero until [`identify`](Self::identify).
    pub identity: FunctionIdentity,
    /// What the management firmware said about itself and the function.
    pub mfw: MfwInfo,
}

impl<H: Host> Core<H> {
    /// Takes a host; does not touch the device.
    pub fn new(host: H) -> Self {
        let windows = Windows::new(host.registers());
        Self {
            host,
            windows,
            dmae: None,
            mailbox: Mailbox::new(),
            transcript: Transcript::new(),
            identity: FunctionIdentity::default(),
            mfw: MfwInfo::default(),
        }
    }

    /// Reads who the function is.
    ///
    /// # Errors
    ///
    /// As [`FunctionIdentity::read`].
    pub fn identify(&mut self) -> Result<(), AccessError> {
        self.windows.forget();
        self.identity = FunctionIdentity::read(&self.windows, self.host.identity())?;
        Ok(())
    }

    /// Sends a command to the management firmware and waits for the answer.
    ///
    /// `payload` goes into the 32-byte union, zero padded. See [`Mailbox::command`].
    ///
    /// # Errors
    ///
    /// [`MailboxError`]: only what happened on the way. A refusal is an answer.
    pub fn command(
        &mut self,
        command: DriverCommand,
        param: u32,
        payload: &[u8],
    ) -> Result<Reply, MailboxError> {
        let mut context = MailboxContext {
            host: &mut self.host,
            windows: &self.windows,
            transcript: &mut self.transcript,
            identity: &self.identity,
        };
        self.mailbox.command(&mut context, command, param, payload)
    }

    /// Reads a register until `accept` likes the value; `Err` with the last value when `patience` runs out, or at once when
    /// the function is gone.
    ///
    /// # Errors
    ///
    /// The value that the last look gave; all ones may mean that the device is gone
    /// ([`Windows::is_gone`]).
    pub fn poll_register(
        &mut self,
        address: GrcAddress,
        patience: Patience,
        mut accept: impl FnMut(u32) -> bool,
    ) -> Result<u32, u32> {
        let windows = &self.windows;
        let mut last = u32::MAX;
        let found = poll(&mut self.host, patience, || {
            last = windows.read32(address);
            match accept(last) {
                true => Some(true),
                // Nobody is there who could change it.
                false => windows.is_gone(last).then_some(false),
            }
        });
        match found {
            Some(true) => Ok(last),
            _ => Err(last),
        }
    }

    /// Takes memory for the DMA engine; the old one, if any, goes.
    ///
    /// # Errors
    ///
    /// [`AllocationError`].
    pub fn allocate_dmae(&mut self) -> Result<(), AllocationError> {
        self.dmae = Some(Dmae::new(&mut self.host, &self.identity)?);
        Ok(())
    }

    /// Writes dwords to the chip by DMAE.
    ///
    /// # Errors
    ///
    /// [`DmaeError`]; [`DmaeError::Absent`] before [`allocate_dmae`](Self::allocate_dmae).
    pub fn dmae_write(&mut self, to: GrcAddress, data: &[u32]) -> Result<(), DmaeError> {
        self.dmae_write_as(to, data, DmaeOptions::default())
    }

    /// Writes dwords to the chip by DMAE in somebody else's name.
    ///
    /// # Errors
    ///
    /// [`DmaeError`].
    pub fn dmae_write_as(
        &mut self,
        to: GrcAddress,
        data: &[u32],
        options: DmaeOptions,
    ) -> Result<(), DmaeError> {
        let dmae = self.dmae.as_mut().ok_or(DmaeError::Absent)?;
        dmae.write(&self.windows, &mut self.host, to, data, options)
    }

    /// Writes one value to a range of the chip by DMAE.
    ///
    /// # Errors
    ///
    /// [`DmaeError`].
    pub fn dmae_fill(&mut self, to: GrcAddress, value: u32, dwords: u32) -> Result<(), DmaeError> {
        let dmae = self.dmae.as_mut().ok_or(DmaeError::Absent)?;
        dmae.fill(&self.windows, &mut self.host, to, value, dwords)
    }

    /// Reads dwords from the chip by DMAE.
    ///
    /// # Errors
    ///
    /// [`DmaeError`].
    pub fn dmae_read(&mut self, from: GrcAddress, data: &mut [u32]) -> Result<(), DmaeError> {
        let dmae = self.dmae.as_mut().ok_or(DmaeError::Absent)?;
        dmae.read(&self.windows, &mut self.host, from, data)
    }

    /// Copies from host memory to the chip by DMAE, without the bounce buffer.
    ///
    /// # Errors
    ///
    /// [`DmaeError`]. After [`DmaeError::TimedOut`] the engine may still read the memory.
    pub fn dmae_copy_in(
        &mut self,
        from: BusAddress,
        to: GrcAddress,
        dwords: u32,
    ) -> Result<(), DmaeError> {
        let dmae = self.dmae.as_mut().ok_or(DmaeError::Absent)?;
        dmae.copy_in(
            &self.windows,
            &mut self.host,
            from,
            to,
            dwords,
            DmaeOptions::default(),
        )
    }

    /// Checks that DMAE copies what it is told; see [`Dmae::self_test`].
    ///
    /// # Errors
    ///
    /// [`DmaeError`].
    pub fn dmae_self_test(&mut self) -> Result<(), DmaeError> {
        let dmae = self.dmae.as_mut().ok_or(DmaeError::Absent)?;
        dmae.self_test(&self.windows, &mut self.host)
    }
}

impl<H: Host> fmt::Debug for Core<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("windows", &self.windows)
            .field("dmae", &self.dmae)
            .field("mailbox", &self.mailbox)
            .field("identity", &self.identity)
            .field("mfw", &self.mfw)
            .finish_non_exhaustive()
    }
}
