//! The ramrods a physical Ethernet function posts, and the events that complete them.

use core::fmt;

use fastlinq_pac::hsi::{
    CommonEventOpcode, CommonRamrodCmdId, EthEventOpcode, EthRamrodCmdId, ProtocolId,
};

use super::FirmwareReturnCode;

/// A slow-path command of the storm firmware.
///
/// | ramrod | protocol | command | completing event | data bytes | posted on |
/// |---|---|---|---|---|---|
/// | `PfStart` | COMMON | 1 | 0 | 80 | slow-path queue |
/// | `PfStop` | COMMON | 2 | 1 | 0 | slow-path queue |
/// | `PfUpdate` | COMMON | 5 | 6 | 72 | slow-path queue |
/// | `Empty` | COMMON | 7 | 9 | 0 | slow-path queue |
/// | `VportStart` | ETH | 1 | 1 | 72 | slow-path queue |
/// | `VportUpdate` | ETH | 2 | 2 | 440 | slow-path queue |
/// | `VportStop` | ETH | 3 | 3 | 8 | slow-path queue |
/// | `RxQueueStart` | ETH | 4 | 6 | 56 | the queue |
/// | `RxQueueStop` | ETH | 5 | 8 | 8 | the queue |
/// | `TxQueueStart` | ETH | 6 | 4 | 48 | the queue |
/// | `TxQueueStop` | ETH | 7 | 5 | 8 | the queue |
/// | `FiltersUpdate` | ETH | 8 | 9 | 168 | slow-path queue |
/// | `RxQueueUpdate` | ETH | 9 | 7 | 24 | the queue |
/// | `FlowUpdate` | ETH | 16 | 16 | 24 | slow-path queue |
///
/// The event numbers are not the command numbers.
///
/// Known by: the interface structures of firmware 8.59.1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ramrod {
    /// Starts the function: hands the event queue to the firmware.
    PfStart,
    /// Stops the function.
    PfStop,
    /// Changes settings of the function: tunnels.
    PfUpdate,
    /// Does nothing and completes: a heartbeat.
    Empty,
    /// Starts a vport, inactive in both directions.
    VportStart,
    /// Changes flagged groups of a vport's settings.
    VportUpdate,
    /// Removes a vport with its filters.
    VportStop,
    /// Starts a receive queue.
    RxQueueStart,
    /// Stops a receive queue.
    RxQueueStop,
    /// Starts a transmit queue.
    TxQueueStart,
    /// Stops a transmit queue.
    TxQueueStop,
    /// Adds, removes and flushes MAC and VLAN filters.
    FiltersUpdate,
    /// Changes a receive queue's part in its vport.
    RxQueueUpdate,
    /// Adds or deletes a flow that is steered.
    FlowUpdate,
}

impl Ramrod {
    /// All ramrods that this crate posts.
    pub const ALL: [Self; 14] = [
        Self::PfStart,
        Self::PfStop,
        Self::PfUpdate,
        Self::Empty,
        Self::VportStart,
        Self::VportUpdate,
        Self::VportStop,
        Self::RxQueueStart,
        Self::RxQueueStop,
        Self::TxQueueStart,
        Self::TxQueueStop,
        Self::FiltersUpdate,
        Self::RxQueueUpdate,
        Self::FlowUpdate,
    ];

    /// Name in the interface definition.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PfStart => "PF_START",
            Self::PfStop => "PF_STOP",
            Self::PfUpdate => "PF_UPDATE",
            Self::Empty => "EMPTY",
            Self::VportStart => "VPORT_START",
            Self::VportUpdate => "VPORT_UPDATE",
            Self::VportStop => "VPORT_STOP",
            Self::RxQueueStart => "RX_QUEUE_START",
            Self::RxQueueStop => "RX_QUEUE_STOP",
            Self::TxQueueStart => "TX_QUEUE_START",
            Self::TxQueueStop => "TX_QUEUE_STOP",
            Self::FiltersUpdate => "FILTERS_UPDATE",
            Self::RxQueueUpdate => "RX_QUEUE_UPDATE",
            Self::FlowUpdate => "RX_UPDATE_GFT_FILTER",
        }
    }

    /// Protocol of the element: COMMON for the function itself, ETH for vports, queues and filters.
    #[must_use]
    pub const fn protocol(self) -> ProtocolId {
        match self {
            Self::PfStart | Self::PfStop | Self::PfUpdate | Self::Empty => ProtocolId::COMMON,
            _ => ProtocolId::ETH,
        }
    }

    /// Command number inside the protocol.
    #[must_use]
    pub const fn command(self) -> u8 {
        match self {
            Self::PfStart => CommonRamrodCmdId::PF_START.0,
            Self::PfStop => CommonRamrodCmdId::PF_STOP.0,
            Self::PfUpdate => CommonRamrodCmdId::PF_UPDATE.0,
            Self::Empty => CommonRamrodCmdId::EMPTY.0,
            Self::VportStart => EthRamrodCmdId::VPORT_START.0,
            Self::VportUpdate => EthRamrodCmdId::VPORT_UPDATE.0,
            Self::VportStop => EthRamrodCmdId::VPORT_STOP.0,
            Self::RxQueueStart => EthRamrodCmdId::RX_QUEUE_START.0,
            Self::RxQueueStop => EthRamrodCmdId::RX_QUEUE_STOP.0,
            Self::TxQueueStart => EthRamrodCmdId::TX_QUEUE_START.0,
            Self::TxQueueStop => EthRamrodCmdId::TX_QUEUE_STOP.0,
            Self::FiltersUpdate => EthRamrodCmdId::FILTERS_UPDATE.0,
            Self::RxQueueUpdate => EthRamrodCmdId::RX_QUEUE_UPDATE.0,
            Self::FlowUpdate => EthRamrodCmdId::RX_UPDATE_GFT_FILTER.0,
        }
    }

    /// Opcode of the event that completes the ramrod.
    #[must_use]
    pub const fn completing_event(self) -> u8 {
        match self {
            Self::PfStart => CommonEventOpcode::PF_START.0,
            Self::PfStop => CommonEventOpcode::PF_STOP.0,
            Self::PfUpdate => CommonEventOpcode::PF_UPDATE.0,
            Self::Empty => CommonEventOpcode::EMPTY.0,
            Self::VportStart => EthEventOpcode::VPORT_START.0,
            Self::VportUpdate => EthEventOpcode::VPORT_UPDATE.0,
            Self::VportStop => EthEventOpcode::VPORT_STOP.0,
            Self::RxQueueStart => EthEventOpcode::RX_QUEUE_START.0,
            Self::RxQueueStop => EthEventOpcode::RX_QUEUE_STOP.0,
            Self::TxQueueStart => EthEventOpcode::TX_QUEUE_START.0,
            Self::TxQueueStop => EthEventOpcode::TX_QUEUE_STOP.0,
            Self::FiltersUpdate => EthEventOpcode::FILTERS_UPDATE.0,
            Self::RxQueueUpdate => EthEventOpcode::RX_QUEUE_UPDATE.0,
            Self::FlowUpdate => EthEventOpcode::RX_GFT_UPDATE_FILTER.0,
        }
    }

    /// Decodes the return code byte of the completing event; `None` is success.
    #[must_use]
    pub fn failure(self, return_code: u8) -> Option<FirmwareReturnCode> {
        if self.protocol() == ProtocolId::ETH {
            FirmwareReturnCode::from_eth(return_code)
        } else {
            FirmwareReturnCode::from_common(return_code)
        }
    }
}

impl fmt::Display for Ramrod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Command and event numbers of the interface definition, written down a second time.
    #[test]
    fn numbers_are_those_of_the_interface() {
        let table = [
            (Ramrod::PfStart, 8, 1, 0),
            (Ramrod::PfStop, 8, 2, 1),
            (Ramrod::PfUpdate, 8, 5, 6),
            (Ramrod::Empty, 8, 7, 9),
            (Ramrod::VportStart, 4, 1, 1),
            (Ramrod::VportUpdate, 4, 2, 2),
            (Ramrod::VportStop, 4, 3, 3),
            (Ramrod::RxQueueStart, 4, 4, 6),
            (Ramrod::RxQueueStop, 4, 5, 8),
            (Ramrod::TxQueueStart, 4, 6, 4),
            (Ramrod::TxQueueStop, 4, 7, 5),
            (Ramrod::FiltersUpdate, 4, 8, 9),
            (Ramrod::RxQueueUpdate, 4, 9, 7),
            (Ramrod::FlowUpdate, 4, 16, 16),
        ];
        assert_eq!(table.len(), Ramrod::ALL.len());
        for (ramrod, protocol, command, event) in table {
            assert_eq!(u32::from(ramrod.protocol().0), protocol, "{ramrod}");
            assert_eq!(ramrod.command(), command, "{ramrod}");
            assert_eq!(ramrod.completing_event(), event, "{ramrod}");
        }
    }
}
