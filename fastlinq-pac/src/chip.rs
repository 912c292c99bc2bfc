//! The two chips and how many of each resource they have.

/// A chip of the family.
///
/// Known by the PCI device id alone: 0x16xx is BB, 0x80xx is K2 (the sources also say AH).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chip {
    /// BB, the 45000 series: two engines.
    Bb,
    /// K2 or AH, the 41000 series: one engine.
    K2,
}

/// How many of each resource one engine of a chip has.
///
/// Known by: source reading (Linux 6.12, DPDK) and the sizes in the firmware file's dump tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Engines (paths) of the chip.
    pub engines: u8,
    /// Ports of one engine.
    pub ports_per_engine: u8,
    /// PFs of one engine.
    pub pfs_per_engine: u8,
    /// VFs of one engine.
    pub vfs: u16,
    /// Status blocks (IGU lines).
    pub status_blocks: u16,
    /// L2 queues.
    pub l2_queues: u16,
    /// Virtual ports.
    pub vports: u16,
    /// RSS engines.
    pub rss_engines: u16,
    /// Physical queues for transmission.
    pub tx_pqs: u16,
    /// Physical queues for anything else.
    pub other_pqs: u16,
    /// Lines of the internal translation table.
    pub ilt_lines: u16,
    /// Blocks of the transmit buffer.
    pub btb_blocks: u16,
    /// Command lines of the packet builder.
    pub pbf_command_lines: u16,
    /// Global rate limiters.
    pub rate_limiters: u16,
    /// MAC filters of an engine.
    pub mac_filters: u16,
    /// Connection types.
    pub connection_types: u8,
}

impl Chip {
    /// The chip of a PCI device id, or `None` where the id is of another family.
    ///
    /// ```
    /// use fastlinq_pac::Chip;
    /// assert_eq!(Chip::from_device_id(0x1656), Some(Chip::Bb));
    /// assert_eq!(Chip::from_device_id(0x8070), Some(Chip::K2));
    /// assert_eq!(Chip::from_device_id(0x100e), None);
    /// ```
    pub const fn from_device_id(device: u16) -> Option<Self> {
        match device >> 8 {
            0x16 => Some(Self::Bb),
            0x80 => Some(Self::K2),
            _ => None,
        }
    }

    /// The chip's resource counts.
    pub const fn limits(self) -> &'static Limits {
        match self {
            Self::Bb => &BB,
            Self::K2 => &K2,
        }
    }
}

const BB: Limits = Limits {
    engines: 2,
    ports_per_engine: 2,
    pfs_per_engine: 8,
    vfs: 120,
    status_blocks: 288,
    l2_queues: 256,
    vports: 160,
    rss_engines: 127,
    tx_pqs: 448,
    other_pqs: 64,
    ilt_lines: 7600,
    btb_blocks: 1440,
    pbf_command_lines: 3328,
    rate_limiters: 256,
    mac_filters: 512,
    connection_types: 8,
};

const K2: Limits = Limits {
    engines: 1,
    ports_per_engine: 4,
    pfs_per_engine: 16,
    vfs: 192,
    status_blocks: 368,
    l2_queues: 320,
    vports: 208,
    rss_engines: 207,
    tx_pqs: 512,
    other_pqs: 128,
    ilt_lines: 11000,
    btb_blocks: 1840,
    pbf_command_lines: 3328,
    rate_limiters: 256,
    mac_filters: 512,
    connection_types: 8,
};

/// PCI vendor id of the family.
pub const VENDOR_ID: u16 = 0x1077;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hsi::constants::{eth, limits, pxp};
    use crate::registers;

    #[test]
    fn limits_are_the_counts_of_the_firmware_interface() {
        let counts = |limits: &Limits| {
            [
                limits.ports_per_engine.into(),
                limits.pfs_per_engine.into(),
                limits.vfs.into(),
                limits.status_blocks.into(),
                limits.l2_queues.into(),
                limits.vports.into(),
                limits.rss_engines.into(),
                limits.tx_pqs.into(),
                limits.other_pqs.into(),
                limits.ilt_lines.into(),
                limits.btb_blocks.into(),
                limits.pbf_command_lines.into(),
                limits.rate_limiters.into(),
                limits.mac_filters.into(),
                limits.connection_types.into(),
            ]
        };
        let shared = [
            limits::PBF_MAX_CMD_LINES,
            limits::MAX_QM_GLOBAL_RLS,
            eth::NUM_MAC_FILTERS,
            limits::NUM_OF_CONNECTION_TYPES,
        ];
        let bb = [
            limits::MAX_NUM_PORTS_BB,
            limits::MAX_NUM_PFS_BB,
            limits::MAX_NUM_VFS_BB,
            limits::MAX_SB_PER_PATH_BB,
            limits::MAX_NUM_L2_QUEUES_BB,
            limits::MAX_NUM_VPORTS_BB,
            eth::RSS_ENGINE_NUM_BB,
            limits::MAX_QM_TX_QUEUES_BB,
            limits::MAX_QM_OTHER_QUEUES_BB,
            pxp::NUM_ILT_RECORDS_BB,
            limits::BTB_MAX_BLOCKS_BB,
        ];
        let k2 = [
            limits::MAX_NUM_PORTS_K2,
            limits::MAX_NUM_PFS_K2,
            limits::MAX_NUM_VFS_K2,
            limits::MAX_SB_PER_PATH_K2,
            limits::MAX_NUM_L2_QUEUES_K2,
            limits::MAX_NUM_VPORTS_K2,
            eth::RSS_ENGINE_NUM_K2,
            limits::MAX_QM_TX_QUEUES_K2,
            limits::MAX_QM_OTHER_QUEUES_K2,
            pxp::NUM_ILT_RECORDS_K2,
            limits::BTB_MAX_BLOCKS_K2,
        ];
        for (chip, own) in [(Chip::Bb, bb), (Chip::K2, k2)] {
            let counts: [u32; 15] = counts(chip.limits());
            assert_eq!(counts[..11], own, "{chip:?}");
            assert_eq!(counts[11..], shared, "{chip:?}");
            assert_eq!(registers::qm::TXPQMAP.len(chip), own[7]);
            assert_eq!(registers::pswrq2::ILT_MEMORY.len(chip), own[9]);
            assert_eq!(registers::igu::MAPPING_MEMORY.len(chip), own[3]);
            assert_eq!(registers::cau::SB_VAR_MEMORY.len(chip), own[3]);
        }
    }
}
