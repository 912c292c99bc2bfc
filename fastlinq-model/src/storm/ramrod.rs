//! Ramrods: what one asks for, which handler executes it, and how it is answered.

use fastlinq_pac::hsi::{
    CommonEventOpcode, CommonRamrodCmdId, EthEventOpcode, EthRamrodCmdId, ProtocolId,
};
use zerocopy::FromBytes;

use super::Storm;
use crate::fabric::{Fabric, Function};
use crate::violation::DmaCause;

/// The return code of every error that has no code of its own.
pub(super) const CODE_ERROR: u8 = 1;

/// One ramrod on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// The function that the ramrod acts for.
    pub(super) function: Function,
    /// The connection it acts on.
    pub(super) cid: u32,
    pub(super) protocol: ProtocolId,
    pub(super) command: u8,
    pub(super) echo: u16,
    pub(super) data: u64,
}

impl Request {
    /// What is said of the ramrod when it breaks a rule.
    pub(super) fn cause(&self) -> DmaCause {
        let header = u64::from(self.cid) << 32
            | u64::from(self.echo) << 16
            | u64::from(self.protocol.value()) << 8
            | u64::from(self.command);
        DmaCause::descriptor(
            "ramrod (cid, echo, protocol, command) with data",
            self.data,
            header,
        )
    }
}

/// A ramrod that was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) code: u8,
    pub(super) event: bool,
}

impl Done {
    /// Completes with an event.
    pub(super) const fn event() -> Self {
        Self::event_with(0)
    }

    /// Completes with an event that carries a return code.
    pub(super) const fn event_with(code: u8) -> Self {
        Self { code, event: true }
    }

    /// Completes with an event only if the ramrod asked for one.
    pub(super) const fn event_if(asked: bool) -> Self {
        Self {
            code: 0,
            event: asked,
        }
    }
}

/// A ramrod that was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: &'static str,
    pub(super) code: u8,
    pub(super) assertion: bool,
}

impl Refusal {
    /// The ramrod completes with the general error code.
    pub(super) const fn error(why: &'static str) -> Self {
        Self::code(why, CODE_ERROR)
    }

    /// The ramrod completes with `code`.
    pub(super) const fn code(why: &'static str, code: u8) -> Self {
        Self {
            why,
            code,
            assertion: false,
        }
    }

    /// The ramrod completes with `code`, and the firmware stops with an assertion.
    pub(super) const fn assertion(why: &'static str, code: u8) -> Self {
        Self {
            why,
            code,
            assertion: true,
        }
    }
}

impl Storm {
    /// Executes a ramrod.
    pub(super) fn execute(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
    ) -> Result<Done, Refusal> {
        let started = self
            .pfs
            .get(usize::from(request.function.pf))
            .is_some_and(|state| state.started.is_some());
        let is_pf_start = request.protocol == ProtocolId::COMMON
            && request.command == CommonRamrodCmdId::PF_START.value();
        if !started && !is_pf_start {
            return Err(Refusal::assertion("ramrod before PF_START", CODE_ERROR));
        }
        match request.protocol {
            ProtocolId::COMMON => self.execute_common(fabric, request),
            ProtocolId::ETH => self.execute_eth(fabric, request),
            _ => Err(Refusal::assertion(
                "ramrod of a protocol that is not modelled",
                CODE_ERROR,
            )),
        }
    }

    fn execute_common(
        &mut self,
        fabric: &mut dyn Fabric,
        request: &Request,
    ) -> Result<Done, Refusal> {
        match CommonRamrodCmdId(request.command) {
            CommonRamrodCmdId::PF_START => self.pf_start(fabric, request),
            CommonRamrodCmdId::PF_STOP => self.pf_stop(request.function),
            CommonRamrodCmdId::PF_UPDATE => {
                let data = read(fabric, request)?;
                self.pf_update(request.function, &data)
            }
            CommonRamrodCmdId::VF_START => Err(Refusal::error("VF_START is not modelled")),
            CommonRamrodCmdId::VF_STOP => Err(Refusal::error("VF_STOP is not modelled")),
            CommonRamrodCmdId::RL_UPDATE | CommonRamrodCmdId::EMPTY => Ok(Done::event()),
            _ => Err(Refusal::assertion("unknown COMMON ramrod", CODE_ERROR)),
        }
    }

    fn execute_eth(&mut self, fabric: &mut dyn Fabric, request: &Request) -> Result<Done, Refusal> {
        let function = request.function;
        match EthRamrodCmdId(request.command) {
            EthRamrodCmdId::VPORT_START => {
                let bytes = read_bytes(fabric, request, self.layout.vport_start_size())?;
                let data = parsed(self.layout.vport_start::<72>(&bytes))?;
                self.vport_start(function, &data)
            }
            EthRamrodCmdId::VPORT_UPDATE => {
                let bytes = read_bytes(fabric, request, self.layout.vport_update_size())?;
                let data = parsed(self.layout.vport_update::<440>(&bytes))?;
                self.vport_update(fabric, function, &data)
            }
            EthRamrodCmdId::VPORT_STOP => {
                let data = read(fabric, request)?;
                self.vport_stop(function, &data)
            }
            EthRamrodCmdId::RX_QUEUE_START => {
                let data = read(fabric, request)?;
                self.rx_queue_start(fabric, request, &data)
            }
            EthRamrodCmdId::RX_QUEUE_STOP => {
                let data = read(fabric, request)?;
                self.rx_queue_stop(fabric, request, &data)
            }
            EthRamrodCmdId::RX_QUEUE_UPDATE => {
                let data = read(fabric, request)?;
                self.rx_queue_update(fabric, request, &data)
            }
            EthRamrodCmdId::TX_QUEUE_START => {
                let data = read(fabric, request)?;
                self.tx_queue_start(fabric, request, &data)
            }
            EthRamrodCmdId::TX_QUEUE_STOP => self.tx_queue_stop(fabric, request),
            EthRamrodCmdId::TX_QUEUE_UPDATE => {
                let data = read(fabric, request)?;
                self.tx_queue_update(request, &data)
            }
            EthRamrodCmdId::FILTERS_UPDATE => {
                let data = read(fabric, request)?;
                self.filters_update(function, &data)
            }
            EthRamrodCmdId::RX_UPDATE_GFT_FILTER => {
                let data = read(fabric, request)?;
                self.update_gft_filter(fabric, function, &data)
            }
            command if event_opcode(ProtocolId::ETH, command.value()).is_some() => {
                Err(Refusal::error("ETH ramrod that is not modelled"))
            }
            _ => Err(Refusal::assertion("unknown ETH ramrod", CODE_ERROR)),
        }
    }

    fn pf_start(&mut self, fabric: &mut dyn Fabric, request: &Request) -> Result<Done, Refusal> {
        let bytes = read_bytes(fabric, request, self.layout.pf_start_size())?;
        let data = parsed(self.layout.pf_start::<80>(&bytes))?;
        self.start_function(fabric, request.function, &data)
    }
}

fn read_bytes(fabric: &mut dyn Fabric, request: &Request, size: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![0; size];
    // The data of a ramrod is the PF's, whomever it acts for.
    let owner = Function::pf(request.function.pf);
    fabric
        .host_read(owner, request.cause(), request.data, &mut bytes)
        .map_err(|_| Refusal::error("ramrod data cannot be read"))?;
    Ok(bytes)
}

fn read<T: FromBytes>(fabric: &mut dyn Fabric, request: &Request) -> Result<T, Refusal> {
    parsed_slice(&read_bytes(fabric, request, size_of::<T>())?)
}

fn parsed<T: FromBytes, const N: usize>(bytes: [u8; N]) -> Result<T, Refusal> {
    parsed_slice(&bytes)
}

fn parsed_slice<T: FromBytes>(bytes: &[u8]) -> Result<T, Refusal> {
    T::read_from_bytes(bytes).map_err(|_| Refusal::error("ramrod data of the wrong size"))
}

/// The event that completes a ramrod; the numbers of commands and events differ.
pub(super) fn event_opcode(protocol: ProtocolId, command: u8) -> Option<u8> {
    match protocol {
        ProtocolId::COMMON => Some(
            match CommonRamrodCmdId(command) {
                CommonRamrodCmdId::PF_START => CommonEventOpcode::PF_START,
                CommonRamrodCmdId::PF_STOP => CommonEventOpcode::PF_STOP,
                CommonRamrodCmdId::VF_START => CommonEventOpcode::VF_START,
                CommonRamrodCmdId::VF_STOP => CommonEventOpcode::VF_STOP,
                CommonRamrodCmdId::PF_UPDATE => CommonEventOpcode::PF_UPDATE,
                CommonRamrodCmdId::RL_UPDATE => CommonEventOpcode::RL_UPDATE,
                CommonRamrodCmdId::EMPTY => CommonEventOpcode::EMPTY,
                _ => return None,
            }
            .value(),
        ),
        ProtocolId::ETH => Some(
            match EthRamrodCmdId(command) {
                EthRamrodCmdId::VPORT_START => EthEventOpcode::VPORT_START,
                EthRamrodCmdId::VPORT_UPDATE => EthEventOpcode::VPORT_UPDATE,
                EthRamrodCmdId::VPORT_STOP => EthEventOpcode::VPORT_STOP,
                EthRamrodCmdId::RX_QUEUE_START => EthEventOpcode::RX_QUEUE_START,
                EthRamrodCmdId::RX_QUEUE_STOP => EthEventOpcode::RX_QUEUE_STOP,
                EthRamrodCmdId::TX_QUEUE_START => EthEventOpcode::TX_QUEUE_START,
                EthRamrodCmdId::TX_QUEUE_STOP => EthEventOpcode::TX_QUEUE_STOP,
                EthRamrodCmdId::FILTERS_UPDATE => EthEventOpcode::FILTERS_UPDATE,
                EthRamrodCmdId::RX_QUEUE_UPDATE => EthEventOpcode::RX_QUEUE_UPDATE,
                EthRamrodCmdId::RX_CREATE_OPENFLOW_ACTION => {
                    EthEventOpcode::RX_CREATE_OPENFLOW_ACTION
                }
                EthRamrodCmdId::RX_ADD_OPENFLOW_FILTER => EthEventOpcode::RX_ADD_OPENFLOW_FILTER,
                EthRamrodCmdId::RX_DELETE_OPENFLOW_FILTER => {
                    EthEventOpcode::RX_DELETE_OPENFLOW_FILTER
                }
                EthRamrodCmdId::RX_ADD_UDP_FILTER => EthEventOpcode::RX_ADD_UDP_FILTER,
                EthRamrodCmdId::RX_DELETE_UDP_FILTER => EthEventOpcode::RX_DELETE_UDP_FILTER,
                EthRamrodCmdId::RX_CREATE_GFT_ACTION => EthEventOpcode::RX_CREATE_GFT_ACTION,
                EthRamrodCmdId::RX_UPDATE_GFT_FILTER => EthEventOpcode::RX_GFT_UPDATE_FILTER,
                EthRamrodCmdId::TX_QUEUE_UPDATE => EthEventOpcode::TX_QUEUE_UPDATE,
                EthRamrodCmdId::RGFS_FILTER_ADD => EthEventOpcode::RGFS_ADD_FILTER,
                EthRamrodCmdId::RGFS_FILTER_DEL => EthEventOpcode::RGFS_DEL_FILTER,
                EthRamrodCmdId::TGFS_FILTER_ADD => EthEventOpcode::TGFS_ADD_FILTER,
                EthRamrodCmdId::TGFS_FILTER_DEL => EthEventOpcode::TGFS_DEL_FILTER,
                EthRamrodCmdId::GFS_COUNTERS_REPORT_REQUEST => {
                    EthEventOpcode::GFS_COUNTERS_REPORT_REQUEST
                }
                _ => return None,
            }
            .value(),
        ),
        _ => None,
    }
}
