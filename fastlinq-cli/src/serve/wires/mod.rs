//! What the ports of a served adapter are plugged into.

mod cable;
mod paced;
mod tap;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use fastlinq_model::Wire;
use fastlinq_model::wire::capture::Capture;
use fastlinq_model::wire::{CableEnd, Loopback};

use super::responder::Responder;
use crate::args::WireArg;
use cable::Cable;
use paced::Paced;
use tap::Tap;

type Plugged = Option<Box<dyn Wire>>;

/// The wire of each port; ports beyond the last argument have the responder, or the neighbour when that is a patch.
pub(super) fn plug(
    arguments: &[WireArg],
    ports: u8,
    capture: Option<&Path>,
) -> Result<Vec<Plugged>> {
    let mut patch: Option<CableEnd> = None;
    let mut wires = Vec::new();
    for port in 0..usize::from(ports) {
        let fallback = match arguments.last() {
            Some(WireArg::Patch) => WireArg::Patch,
            _ => WireArg::Responder,
        };
        let argument = arguments.get(port).unwrap_or(&fallback);
        let wire = if *argument == WireArg::Patch {
            let own = match patch.take() {
                Some(far) if port % 2 == 1 => far,
                _ => {
                    let (near, far) = fastlinq_model::wire::cable();
                    patch = Some(far);
                    near
                }
            };
            Some(Box::new(own) as Box<dyn Wire>)
        } else {
            single(argument)?
        };
        wires.push(record(wire, port, capture)?);
    }
    Ok(wires)
}

fn single(argument: &WireArg) -> Result<Plugged> {
    Ok(match argument {
        WireArg::Responder => Some(Box::new(Responder::new())),
        WireArg::Loopback => Some(Box::new(Loopback::default())),
        WireArg::None | WireArg::Patch => None,
        WireArg::Tap(name) => {
            Some(Box::new(Tap::open(name).with_context(|| {
                format!("cannot use the TAP interface {name}")
            })?))
        }
        WireArg::Cable(path) => Some(Box::new(Cable::new(path))),
        WireArg::Pcap(path) => {
            Some(Box::new(Paced::open(path).with_context(|| {
                format!("cannot play {}", path.display())
            })?))
        }
    })
}

fn record(wire: Plugged, port: usize, capture: Option<&Path>) -> Result<Plugged> {
    let Some(path) = capture else { return Ok(wire) };
    let path = match port {
        0 => path.to_path_buf(),
        _ => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{port}"));
            name.into()
        }
    };
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let wire = wire.unwrap_or_else(|| Box::new(fastlinq_model::wire::Discard::default()));
    Ok(Some(Box::new(Capture::new(wire, BufWriter::new(file))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_connects_neighbours() {
        let mut wires = plug(&[WireArg::Patch], 4, None).expect("wires");
        let frame = [7; 60];
        wires[0].as_mut().expect("a wire").transmit(&frame);
        assert_eq!(
            wires[1].as_mut().expect("a wire").receive(),
            Some(frame.to_vec())
        );
        assert_eq!(wires[2].as_mut().expect("a wire").receive(), None);
        wires[3].as_mut().expect("a wire").transmit(&frame);
        assert_eq!(
            wires[2].as_mut().expect("a wire").receive(),
            Some(frame.to_vec())
        );
    }

    #[test]
    fn captures_are_written_per_port() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("frames.pcap");
        let mut wires = plug(&[WireArg::Loopback, WireArg::None], 2, Some(&path)).expect("wires");
        for wire in &mut wires {
            wire.as_mut().expect("a wire").transmit(&[1; 60]);
        }
        assert!(wires[0].as_mut().expect("a wire").receive().is_some());
        drop(wires);
        let size = |path: &Path| std::fs::metadata(path).expect("a file").len();
        assert_eq!(size(&path), 24 + 2 * 76);
        assert_eq!(size(&directory.path().join("frames.pcap.1")), 24 + 76);
    }
}
