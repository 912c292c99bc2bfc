//! What of the adapter is modelled and what is not.

/// How far a behaviour is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// It behaves as the hardware reference says.
    Modelled,
    /// With the limits that the note names.
    Partly,
    /// Drivers can do it, and nothing follows.
    Ignored,
    /// It is missing; what a driver meets is said in the note.
    NotModelled,
}

impl core::fmt::Display for Coverage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            Self::Modelled => "modelled",
            Self::Partly => "partly modelled",
            Self::Ignored => "accepted and ignored",
            Self::NotModelled => "not modelled",
        })
    }
}

/// One behaviour of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Part of the adapter.
    pub part: &'static str,
    /// The behaviour.
    pub behaviour: &'static str,
    /// How far it is covered.
    pub coverage: Coverage,
    /// Limits, and choices where no source says what the silicon does.
    pub note: &'static str,
}

const fn row(
    part: &'static str,
    behaviour: &'static str,
    coverage: Coverage,
    note: &'static str,
) -> Capability {
    Capability {
        part,
        behaviour,
        coverage,
        note,
    }
}

use Coverage::{Ignored, Modelled, NotModelled};

const TABLE: &[Capability] = &[
    row(
        "pci",
        "identity, BARs, MSI-X table with masks and pending bits, MSI, INTx",
        Modelled,
        "vectors count as unmasked until software writes the table",
    ),
    row(
        "pci",
        "function level reset, bus master enable",
        Modelled,
        "by the host's call",
    ),
    row(
        "pci",
        "SR-IOV capability and VF BARs",
        NotModelled,
        "no VF appears; VF registers are banked storage",
    ),
    row(
        "windows",
        "movable windows with function and port pretend, global windows",
        Modelled,
        "",
    ),
    row(
        "windows",
        "path pretend, global pretend, opaque mask",
        Ignored,
        "stored",
    ),
    row(
        "windows",
        "functions that use both engines of BB (CMT)",
        NotModelled,
        "BB has both engines, its functions alternate between them",
    ),
    row(
        "registers",
        "storage of all documented registers and memories, one bank per port, PF or VF where split",
        Modelled,
        "bank tables of the 8.59.1.0 dump data; wide memories take single dwords, too",
    ),
    row(
        "registers",
        "every poll of the init program",
        Modelled,
        "done after its trigger; idle and self-clearing registers read constants",
    ),
    row(
        "registers",
        "block resets (reads of 0xdeadbeaf)",
        Ignored,
        "stored; no block is ever in reset",
    ),
    row(
        "registers",
        "timeout attention registers for addresses without a completer",
        Modelled,
        "latched; such reads give 0; the attention itself is not raised",
    ),
    row(
        "registers",
        "illegal target access registers (PSWHST)",
        NotModelled,
        "read 0",
    ),
    row(
        "registers",
        "idle checks, debug bus, GRC trace, protection override",
        NotModelled,
        "plain storage",
    ),
    row(
        "dmae",
        "32 channels, three directions, completion word to host or register, address continuation",
        Modelled,
        "synchronous; a failed transfer completes unless the command forbids it",
    ),
    row(
        "dmae",
        "CRC-32, CRC-32C and checksum results",
        Modelled,
        "16-bit and 10-bit CRC results read 0",
    ),
    row(
        "dmae",
        "endianity modes, completion CRC",
        Ignored,
        "dword order is kept",
    ),
    row(
        "dma",
        "gate by PF enable and bus master, latched PGLUE errors, every access checked against what is mapped",
        Modelled,
        "the was-error state does not block; PGLUE raises no attention",
    ),
    row(
        "ilt",
        "walk by CDU parameters to a connection's context",
        Modelled,
        "VF lines follow the PF's [inferred]",
    ),
    row(
        "ilt",
        "task contexts, searcher and timer tables, QM memory",
        Ignored,
        "stored",
    ),
    row(
        "igu",
        "mapping lines, acknowledge, enable and disable, cleanup, single-ISR status, producer and consumer memory",
        Modelled,
        "a status block is unmasked after cleanup",
    ),
    row(
        "igu",
        "message statistics, error handling memory",
        NotModelled,
        "read what was written",
    ),
    row(
        "cau",
        "protocol indexes, two timers per block, coalesced writes of status blocks",
        Modelled,
        "in model time; the block-level timeset is ignored",
    ),
    row("cau", "TPH, CQE aggregation", Ignored, "stored"),
    row(
        "attention",
        "status block with edges, enables, acknowledge; general attentions and the AEU's groups",
        Modelled,
        "general attentions 0-31 in the third AEU word, 32-35 in the fourth [inferred]",
    ),
    row(
        "attention",
        "block interrupts and parities",
        NotModelled,
        "AEU words read 0 for them, but for the doorbell queue's interrupt",
    ),
    row(
        "dorq",
        "normal doorbells with ICID ranges, drop status and details",
        Modelled,
        "the reason codes are this model's",
    ),
    row(
        "dorq",
        "overflow of a function's queue, its attention and recovery",
        Modelled,
        "by the host's call: no overflow happens by itself",
    ),
    row("dorq", "PWM and DPM doorbells", Ignored, "counted"),
    row(
        "qm",
        "command ready",
        Modelled,
        "always ready; rate limits and arbitration are stored and not applied",
    ),
    row(
        "tm",
        "scan status",
        Modelled,
        "never active; timers do nothing",
    ),
    row(
        "sdm",
        "final cleanup by the operation generator",
        Modelled,
        "other operations are violations",
    ),
    row(
        "mfw",
        "mailbox, shared memory, NVM, link, load arbitration, personas",
        Modelled,
        "see the module `mfw`",
    ),
    row(
        "nig",
        "port loopback, link, port statistics",
        Modelled,
        "by the management firmware; MAC and PHY registers are storage",
    ),
    row(
        "nig",
        "PTP timestamps",
        NotModelled,
        "registers are storage",
    ),
];

/// The whole table: the chip's rows, then those of the storm firmware.
pub(crate) fn table() -> impl Iterator<Item = Capability> {
    let storm = crate::storm::CAPABILITIES.iter().map(|entry| Capability {
        part: "storm",
        behaviour: entry.feature,
        coverage: match entry.extent {
            crate::storm::Extent::Modelled => Modelled,
            crate::storm::Extent::Partly => Coverage::Partly,
            crate::storm::Extent::Absent => NotModelled,
        },
        note: entry.note,
    });
    TABLE.iter().copied().chain(storm)
}
