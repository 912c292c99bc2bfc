//! `fastlinq list`: the adapters of this machine, and what to do next with each. `bind` and `unbind`: giving them away.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use fastlinq_linux::sysfs::{Finding, PciFunction, Severity, Sysfs, findings};
use serde::Serialize;

use crate::args::{BindArgs, ListArgs, UnbindArgs};

/// A function as JSON.
#[derive(Debug, Serialize)]
struct Entry {
    address: String,
    name: &'static str,
    vendor: String,
    device: String,
    subsystem_vendor: String,
    subsystem: String,
    revision: u8,
    driver: Option<String>,
    interfaces: Vec<String>,
    iommu_group: Option<u32>,
    numa_node: Option<u32>,
    link: Option<Link>,
    findings: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Link {
    speed: String,
    width: u32,
    max_speed: String,
    max_width: u32,
    degraded: bool,
}

/// A finding as JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) severity: &'static str,
    pub(crate) layer: String,
    pub(crate) what: String,
    pub(crate) next: String,
}

impl From<&Finding> for Found {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: severity(finding.severity),
            layer: finding.layer.to_string(),
            what: finding.what.clone(),
            next: finding.next.clone(),
        }
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Fault => "fault",
    }
}

impl Entry {
    fn new(function: &PciFunction, findings: &[Finding]) -> Self {
        let id = |id: u16| format!("{id:04x}");
        Self {
            address: function.address.to_string(),
            name: function.name(),
            vendor: id(function.vendor),
            device: id(function.device),
            subsystem_vendor: id(function.subsystem_vendor),
            subsystem: id(function.subsystem),
            revision: function.revision,
            driver: function.driver.clone(),
            interfaces: function.interfaces.clone(),
            iommu_group: function.iommu_group,
            numa_node: function.numa_node,
            link: function.link.map(|link| Link {
                speed: link.speed.to_string(),
                width: link.width,
                max_speed: link.max_speed.to_string(),
                max_width: link.max_width,
                degraded: link.is_degraded(),
            }),
            findings: findings.iter().map(Found::from).collect(),
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let known = |number: Option<u32>| number.map_or("none".to_owned(), |n| n.to_string());
        writeln!(out, "{}  {}", self.address, self.name)?;
        writeln!(
            out,
            "  ids         {}:{}, board {}:{}, revision {}",
            self.vendor, self.device, self.subsystem_vendor, self.subsystem, self.revision
        )?;
        match &self.link {
            None => writeln!(out, "  PCI link    unknown")?,
            Some(link) => writeln!(
                out,
                "  PCI link    {} x{} (can do {} x{})",
                link.speed, link.width, link.max_speed, link.max_width
            )?,
        }
        let driver = self.driver.as_deref().unwrap_or("none");
        writeln!(out, "  driver      {driver} {}", self.interfaces.join(" "))?;
        writeln!(
            out,
            "  IOMMU group {}, NUMA node {}",
            known(self.iommu_group),
            known(self.numa_node)
        )?;
        for found in &self.findings {
            found.print(out)?;
        }
        Ok(())
    }
}

impl Found {
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "  {:<11} {}: {}", self.severity, self.layer, self.what)?;
        if !self.next.is_empty() {
            writeln!(out, "  {:<11} {}", "next", self.next)?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &ListArgs) -> Result<ExitCode> {
    let sysfs = Sysfs::at(&args.sysfs);
    let entries: Vec<_> = sysfs
        .adapters()?
        .iter()
        .map(|function| Entry::new(function, &findings(&sysfs, function)))
        .collect();
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&entries)?)?;
    } else if entries.is_empty() {
        writeln!(
            out,
            "no FastLinQ adapter on this machine's PCI buses; `--adapter model` is the software adapter"
        )?;
    } else {
        for entry in &entries {
            entry.print(&mut out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn bind(args: &BindArgs) -> Result<ExitCode> {
    Sysfs::default().bind_to_vfio(args.address, args.force)?;
    let mut out = anstream::stdout().lock();
    writeln!(
        out,
        "vfio-pci has {0}: fastlinq up --adapter vfio:{0}",
        args.address
    )?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn unbind(args: &UnbindArgs) -> Result<ExitCode> {
    let driver = Sysfs::default().unbind_from_vfio(args.address)?;
    let mut out = anstream::stdout().lock();
    let driver = driver.as_deref().unwrap_or("no driver");
    writeln!(out, "{driver} has {}", args.address)?;
    Ok(ExitCode::SUCCESS)
}
