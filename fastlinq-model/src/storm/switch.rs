//! Where a transmitted frame goes: the wire, other vports of the adapter, or nowhere.

use fastlinq_pac::hsi::DstPortMode;
use fastlinq_pac::hsi::flags::ParsingAndErrorFlags;

use super::Storm;
use super::classify::{Cast, Direction, classify};
use super::filters::VportSet;
use super::offload::insert_tag;
use super::parse::Parsed;
use super::receive::{Arrival, receive_tunnels};
use super::statistics;
use super::tx_queue::TxQueue;
use crate::fabric::Fabric;

/// Bytes of the shortest frame on the wire, without FCS.
const WIRE_MINIMUM: usize = 60;

/// What is known of a frame's destination before its address is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The source vport's switching decides.
    Switch,
    /// The descriptors or the vport say it.
    Forced {
        wire: bool,
        inside: bool,
        vport: Option<u8>,
    },
}

impl Target {
    pub(super) fn forced(mode: u8, vport: Option<u8>) -> Self {
        let mode = DstPortMode(mode);
        Self::Forced {
            wire: mode == DstPortMode::PHY || mode == DstPortMode::PHY_LOOPBACK,
            inside: mode == DstPortMode::LOOPBACK || mode == DstPortMode::PHY_LOOPBACK,
            vport,
        }
    }
}

impl Storm {
    /// Sends a finished frame.
    pub(super) fn route(
        &mut self,
        fabric: &mut dyn Fabric,
        queue: &TxQueue,
        mut frame: Vec<u8>,
        target: Target,
    ) {
        let pf = queue.function.pf;
        let cast = Cast::of(&frame);
        statistics::sent(fabric, &self.layout, queue.stat, cast, frame.len());
        let switching = self
            .vport(queue.vport)
            .is_some_and(|vport| vport.tx_switching);
        let (wire, vports) = match target {
            Target::Switch if switching => self.switched(fabric, queue, &frame, cast),
            Target::Switch => (true, VportSet::default()),
            Target::Forced {
                wire,
                inside: false,
                ..
            } => (wire, VportSet::default()),
            Target::Forced {
                wire,
                inside: true,
                vport: Some(vport),
            } => {
                let mut vports = VportSet::default();
                vports.insert(vport);
                (wire, vports)
            }
            Target::Forced {
                wire,
                inside: true,
                vport: None,
            } => (wire, self.switched(fabric, queue, &frame, cast).1),
        };
        if !vports.is_empty() {
            statistics::sent_switched(fabric, &self.layout, pf, cast, frame.len());
            self.deliver_inside(fabric, pf, &frame, vports);
        }
        if wire {
            if let Some(tag) = self.pf_config(pf).and_then(|config| config.outer_tag) {
                insert_tag(&mut frame, tag.ether_type, tag.tci);
            }
            if frame.len() < WIRE_MINIMUM {
                frame.resize(WIRE_MINIMUM, 0);
            }
            let port = fabric.port_of(pf);
            fabric.transmit(port, &frame);
        }
    }

    /// Looks for the frame's address among the vports it can reach: whether it goes to the wire, and to whom inside.
    fn switched(
        &self,
        fabric: &mut dyn Fabric,
        queue: &TxQueue,
        frame: &[u8],
        cast: Cast,
    ) -> (bool, VportSet) {
        let pf = queue.function.pf;
        let tunnels = receive_tunnels(fabric, pf);
        let Some(parsed) = Parsed::new(frame, &tunnels) else {
            return (true, VportSet::default());
        };
        let port = fabric.port_of(pf);
        let between = self
            .pf_config(pf)
            .is_some_and(|config| config.switching_between_pfs);
        let same_port: Vec<bool> = (0..self.pfs.len() as u8)
            .map(|other| fabric.port_of(other) == port)
            .collect();
        let reachable = |other: u8| {
            other == pf || (between && same_port.get(usize::from(other)) == Some(&true))
        };
        let candidates = self
            .started_vports()
            .filter(|(id, vport)| *id != queue.vport && reachable(vport.function.pf));
        let scheme = self.scheme(pf, &parsed);
        let vports = classify(
            frame,
            &parsed,
            scheme,
            Direction::Switched,
            &self.tx_filters,
            candidates,
        );
        let owned =
            cast == Cast::Unicast && vports.iter().any(|id| self.destination_owned(frame, id));
        (!owned, vports)
    }

    fn destination_owned(&self, frame: &[u8], vport: u8) -> bool {
        frame
            .get(..6)
            .and_then(|mac| mac.try_into().ok())
            .is_some_and(|mac| self.tx_filters.owns_mac(mac, vport))
    }

    fn deliver_inside(&mut self, fabric: &mut dyn Fabric, pf: u8, frame: &[u8], vports: VportSet) {
        let tunnels = receive_tunnels(fabric, pf);
        let Some(parsed) = Parsed::new(frame, &tunnels) else {
            return;
        };
        let (mut flags, tunnel_flags) = parsed.flags(frame);
        flags -= ParsingAndErrorFlags::L4CHKSMERROR | ParsingAndErrorFlags::IPHDRERROR;
        if parsed.innermost().transport.is_some() {
            flags |= ParsingAndErrorFlags::L4CHKSMWASCALCULATED;
        }
        let port = fabric.port_of(pf);
        let arrival = Arrival {
            frame,
            parsed: &parsed,
            flags,
            tunnel_flags,
            port,
            switched: true,
        };
        self.deliver(fabric, &arrival, vports);
    }
}
