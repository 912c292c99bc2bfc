//! Data of RX_UPDATE_GFT_FILTER.

use fastlinq_pac::BusAddress;
use fastlinq_pac::hsi::{GftFilterUpdateAction, RxUpdateGftFilterRamrodData};
use zerocopy::FromZeros;
use zerocopy::little_endian::U16;

use super::regpair;

/// The vport that stands for dropping.
pub const DROP_VPORT: u16 = 0x1ff;

/// What RX_UPDATE_GFT_FILTER tells the firmware about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowFilter {
    /// A packet header of the flow.
    pub sample: BusAddress,
    /// Its bytes.
    pub sample_bytes: u16,
    /// Add the flow, or delete it.
    pub add: bool,
    /// Engine-absolute vport, or [`DROP_VPORT`].
    pub vport: u16,
    /// Engine-absolute receive queue; `None` leaves it to receive-side scaling.
    pub queue: Option<u16>,
    /// Number that the flow's completions carry.
    pub flow: Option<u16>,
}

/// Data of RX_UPDATE_GFT_FILTER, 24 bytes. A filter that cannot be changed is an answer, not an assertion.
#[must_use]
pub fn flow_filter(filter: &FlowFilter) -> RxUpdateGftFilterRamrodData {
    let mut data = RxUpdateGftFilterRamrodData::new_zeroed();
    data.pkt_hdr_addr = regpair(filter.sample);
    data.pkt_hdr_length = U16::new(filter.sample_bytes);
    data.vport_id = U16::new(filter.vport);
    if let Some(queue) = filter.queue {
        data.rx_qid_valid = 1;
        data.rx_qid = U16::new(queue);
    }
    if let Some(flow) = filter.flow {
        data.flow_id_valid = 1;
        data.flow_id = U16::new(flow);
    }
    data.filter_action = if filter.add {
        GftFilterUpdateAction::ADD_FILTER.0
    } else {
        GftFilterUpdateAction::DELETE_FILTER.0
    };
    data
}
