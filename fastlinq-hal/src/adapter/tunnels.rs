//! Tunnels, on an adapter that is up.

use super::cause::{Cause, Misuse};
use super::handle::Adapter;
use super::inner::Context;
use super::inventory::Inventory;
use super::states::Up;
use crate::config::{TunnelPorts, Tunnels, configure_tunnels};
use crate::host::Host;
use crate::log::debug;
use crate::slowpath::{TunnelClassification, TunnelUpdate};

/// Which tunnels the chip looks into, and on which UDP ports.
///
/// Frames in tunnels go to vports by their outer MAC address and VLAN, as all others. [`Default`] is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelConfig {
    /// Kinds of tunnels.
    pub kinds: Tunnels,
    /// UDP ports of VXLAN and GENEVE.
    pub ports: TunnelPorts,
}

impl TunnelConfig {
    /// All kinds on their usual ports, 4789 and 6081.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            kinds: Tunnels::all(),
            ports: TunnelPorts {
                vxlan: Some(4789),
                geneve: Some(6081),
            },
        }
    }

    /// Ports of the kinds that are on; `None` when one has none, or both the same.
    fn ports(&self) -> Option<TunnelPorts> {
        let geneve = Tunnels::ETH_GENEVE | Tunnels::IP_GENEVE;
        let port = |on: bool, port: Option<u16>| match (on, port) {
            (true, None | Some(0)) => None,
            (true, Some(port)) => Some(Some(port)),
            (false, _) => Some(None),
        };
        let ports = TunnelPorts {
            vxlan: port(self.kinds.contains(Tunnels::VXLAN), self.ports.vxlan)?,
            geneve: port(self.kinds.intersects(geneve), self.ports.geneve)?,
        };
        (ports.vxlan.is_none() || ports.vxlan != ports.geneve).then_some(ports)
    }
}

impl<I: Inventory, H: Host> Adapter<Up<I>, H> {
    /// Opens the chip for these tunnels, and no others: PF_UPDATE for the firmware, then the registers of parser, network
    /// interface, packet builder and doorbell queue.
    ///
    /// From then on the completions of frames in such tunnels describe the inner headers, hashes are over them, and
    /// checksums and segments of sent ones can be left to the chip. The registers of the ports belong to the engine: what
    /// another function of it set before is changed, too.
    ///
    /// # Errors
    ///
    /// [`Misuse::TunnelPorts`], or the ramrod's failure, after which the parser is as it was.
    pub fn set_tunnels(&mut self, tunnels: TunnelConfig) -> Result<(), Cause> {
        let ports = tunnels.ports().ok_or(Misuse::TunnelPorts)?;
        let (core, running) = self.inner.parts()?;
        let update = TunnelUpdate {
            classification: TunnelClassification::OuterMacVlan,
            vxlan: ports.vxlan,
            geneve: ports.geneve,
        };
        running.update_tunnels(&mut Context(core), &update)?;
        configure_tunnels(core, tunnels.kinds, ports);
        core.windows.check()?;
        running.tunnels = TunnelConfig {
            kinds: tunnels.kinds,
            ports,
        };
        debug!("tunnels {:#x} open", tunnels.kinds.bits());
        Ok(())
    }

    /// The tunnels that the chip looks into.
    #[must_use]
    pub fn tunnels(&self) -> TunnelConfig {
        let running = self.inner.running.as_ref();
        running.map_or_else(TunnelConfig::default, |running| running.tunnels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_of_the_kinds_that_are_on() {
        let all = TunnelConfig::all();
        assert_eq!(all.ports(), Some(all.ports));
        let gre = TunnelConfig {
            kinds: Tunnels::ETH_GRE,
            ..all
        };
        assert_eq!(gre.ports(), Some(TunnelPorts::default()));
        for (vxlan, geneve) in [(None, Some(1)), (Some(0), Some(1)), (Some(7), Some(7))] {
            let bad = TunnelConfig {
                ports: TunnelPorts { vxlan, geneve },
                ..all
            };
            assert_eq!(bad.ports(), None);
        }
    }
}
