//! What is wrong with a function before anybody has touched it, and what to do next.

use fastlinq_hal::adapter::Layer;

use super::{PciFunction, Sysfs};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, and worse than it should.
    Warning,
    /// It cannot work.
    Fault,
}

/// Something that was found out about a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The layer at fault.
    pub layer: Layer,
    /// What was found, in one sentence.
    pub what: String,
    /// What to do about it; empty when there is nothing to do.
    pub next: String,
}

impl Finding {
    /// A finding.
    pub fn new(
        severity: Severity,
        layer: Layer,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            layer,
            what: what.into(),
            next: next.into(),
        }
    }
}

/// What the kernel's files say about a function, in the order in which things go wrong; reads files only.
#[must_use]
pub fn findings(sysfs: &Sysfs, function: &PciFunction) -> Vec<Finding> {
    let mut found = Vec::new();
    if function.gone {
        found.push(Finding::new(
            Severity::Fault,
            Layer::Pci,
            "configuration space reads as all ones: the function has fallen off the bus",
            "power the machine off and on again; if it stays so, try another slot",
        ));
        return found;
    }
    bars(function, &mut found);
    link(function, &mut found);
    if function.is_virtual() {
        found.push(Finding::new(
            Severity::Fault,
            Layer::Driver,
            "it is a virtual function, which this driver does not drive",
            "use the physical function",
        ));
    }
    driver(sysfs, function, &mut found);
    found
}

fn bars(function: &PciFunction, found: &mut Vec<Finding>) {
    for (number, what) in [(0, "registers"), (2, "doorbells")] {
        let bar = function.bars[number];
        if bar.is_assigned() {
            continue;
        }
        let how = if bar.exists() {
            "has no addresses: the platform did not assign it"
        } else {
            "is missing"
        };
        found.push(Finding::new(
            Severity::Fault,
            Layer::Platform,
            format!("BAR{number} ({what}) {how}"),
            "boot with pci=realloc, or allow addresses above 4 GiB in the firmware setup (\"above 4G decoding\")",
        ));
    }
    if function.memory_enabled == Some(false) {
        found.push(Finding::new(
            Severity::Warning,
            Layer::Platform,
            "memory space is switched off, so registers read as all ones",
            format!(
                "echo 1 > /sys/bus/pci/devices/{}/enable, or bind a driver",
                function.address
            ),
        ));
    }
}

fn link(function: &PciFunction, found: &mut Vec<Finding>) {
    match function.link {
        Some(link) if link.width == 0 => found.push(Finding::new(
            Severity::Fault,
            Layer::Pci,
            "the PCI Express link is down",
            "seat the card anew",
        )),
        Some(link) if link.is_degraded() => found.push(Finding::new(
            Severity::Warning,
            Layer::Pci,
            format!("the PCI Express link is {link}"),
            "if the slot can do better, seat the card anew and look at the firmware setup; a slot with fewer lanes is no fault",
        )),
        _ => {}
    }
}

fn driver(sysfs: &Sysfs, function: &PciFunction, found: &mut Vec<Finding>) {
    let address = function.address;
    let mut note = |severity, layer, what: String, next: String| {
        found.push(Finding::new(severity, layer, what, next));
    };
    match (function.driver.as_deref(), function.iommu_group) {
        (None, None) => note(
            Severity::Warning,
            Layer::Platform,
            "no driver has it, and no IOMMU translates for it, so VFIO cannot be used".into(),
            "boot with intel_iommu=on (or AMD's IOMMU enabled in the firmware setup)".into(),
        ),
        (None, Some(_)) => note(
            Severity::Note,
            Layer::Driver,
            "no driver has it".into(),
            format!("fastlinq bind {address}, then fastlinq up --adapter vfio:{address}"),
        ),
        (Some("vfio-pci"), None) => note(
            Severity::Fault,
            Layer::Platform,
            "vfio-pci has it, and no IOMMU translates for it".into(),
            "boot with intel_iommu=on (or AMD's IOMMU enabled in the firmware setup)".into(),
        ),
        (Some("vfio-pci"), Some(group)) => {
            let blockers = sysfs.group_blockers(group);
            if blockers.is_empty() {
                note(
                    Severity::Note,
                    Layer::Driver,
                    "vfio-pci has it: ready for this driver".into(),
                    format!("fastlinq up --adapter vfio:{address}"),
                );
            } else {
                let list: Vec<_> = blockers
                    .iter()
                    .map(|(address, driver)| format!("{address} ({driver})"))
                    .collect();
                note(
                    Severity::Fault,
                    Layer::Platform,
                    format!("IOMMU group {group} is shared with {}", list.join(", ")),
                    "bind those to vfio-pci, too (fastlinq bind ADDRESS)".into(),
                );
            }
        }
        (Some(driver), _) => note(
            Severity::Note,
            Layer::Driver,
            format!(
                "{driver} has it{}",
                match &function.interfaces[..] {
                    [] => ", without a network interface".to_owned(),
                    names => format!(" as {}", names.join(", ")),
                }
            ),
            format!("to use it here: fastlinq bind {address} (takes it away from {driver})"),
        ),
    }
}
