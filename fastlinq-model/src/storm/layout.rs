//! What depends on the build of the storm firmware: where its variables lie in storm RAM, and how its ramrods are laid
//! out.
//!
//! Handlers know one form of every ramrod, that of HSI 8.59.1.0. Another build is described by the byte moves that
//! turn its form into that one.

use fastlinq_pac::versions::{self, FirmwareVersion, Iro, IroId, Layout, V8_59_1};

use crate::fabric::StormId;

/// A variable of the firmware: a storm's RAM, an offset and a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) storm: StormId,
    base: u32,
    step: u32,
    size: u32,
}

impl Variable {
    fn of(layout: &Layout, id: IroId) -> Option<Self> {
        layout.iro(id).map(Self::from_iro)
    }

    fn from_iro(iro: &Iro) -> Self {
        let storm = match iro.storm {
            versions::Storm::T => StormId::T,
            versions::Storm::M => StormId::M,
            versions::Storm::U => StormId::U,
            versions::Storm::X => StormId::X,
            versions::Storm::Y => StormId::Y,
            versions::Storm::P => StormId::P,
        };
        Self {
            storm,
            base: iro.base,
            step: u32::from(iro.steps[0]),
            size: u32::from(iro.size),
        }
    }

    /// Offset in the storm's RAM of element `index`.
    pub(super) const fn offset(&self, index: u32) -> u32 {
        self.base.wrapping_add(index.wrapping_mul(self.step))
    }

    /// The elements, among the first `count`, that a write of `len` bytes at `offset` touched.
    pub(super) fn touched(self, offset: u32, len: u32, count: u32) -> impl Iterator<Item = u32> {
        let (base, step, size) = (self.base, self.step.max(1), self.size);
        let end = offset.saturating_add(len);
        let first = offset
            .saturating_sub(base)
            .saturating_sub(size.saturating_sub(1))
            / step;
        let last = if end <= base {
            0
        } else {
            ((end - 1 - base) / step + 1).min(count)
        };
        (first..last).filter(move |index| {
            let start = base + index * step;
            start < end && offset < start + size
        })
    }
}

/// How a ramrod's bytes become those of HSI 8.59.1.0.
#[derive(Clone, Copy, Debug)]
struct RamrodForm {
    /// Bytes that the firmware reads from host memory.
    size: usize,
    /// From, to, length. Without moves the bytes are taken as they are, the rest zero.
    moves: &'static [(usize, usize, usize)],
}

const fn plain(size: usize) -> RamrodForm {
    RamrodForm { size, moves: &[] }
}

/// The ramrods whose form changed between builds.
#[derive(Clone, Copy, Debug)]
struct RamrodForms {
    pf_start: RamrodForm,
    vport_start: RamrodForm,
    vport_update: RamrodForm,
    /// The offset of `valid` in the single RSS entry command; the other fields follow or precede it in order.
    rss_entry_valid_first: bool,
}

const FORMS_8_59: RamrodForms = RamrodForms {
    pf_start: plain(80),
    vport_start: plain(72),
    vport_update: plain(440),
    rss_entry_valid_first: false,
};

/// HSI 8.40.33.0. Known by: reading of the DPDK structures.
const FORMS_8_40: RamrodForms = RamrodForms {
    pf_start: plain(72),
    vport_start: RamrodForm {
        size: 64,
        moves: &[(0, 0, 39), (39, 45, 1), (40, 48, 24)],
    },
    vport_update: RamrodForm {
        size: 432,
        moves: &[(0, 0, 42), (48, 48, 72), (128, 124, 256), (384, 396, 40)],
    },
    rss_entry_valid_first: true,
};

/// Everything of the storm firmware that is data.
#[derive(Clone, Copy, Debug)]
pub(super) struct StormLayout {
    forms: RamrodForms,
    pub(super) eqe_consumer: Variable,
    pub(super) rx_producers: Variable,
    pub(super) rss_entry: Variable,
    pub(super) rx_queue_zone: Variable,
    pub(super) tx_queue_zone: Variable,
    pub(super) final_cleanup_ack: Variable,
    pub(super) control_ether_types: Variable,
    pub(super) tpa_timeout_us: Variable,
    pub(super) port_stat: Variable,
    pub(super) m_queue_stat: Variable,
    pub(super) u_queue_stat: Variable,
    pub(super) p_queue_stat: Variable,
    pub(super) m_pf_stat: Variable,
    pub(super) u_pf_stat: Variable,
    pub(super) p_pf_stat: Variable,
}

impl StormLayout {
    /// The layout of a described build, or `None`.
    pub(super) fn of(version: FirmwareVersion) -> Option<Self> {
        let layout = versions::for_version(version)?;
        let forms = if (version.major, version.minor) >= (8, 59) {
            FORMS_8_59
        } else {
            FORMS_8_40
        };
        let variable = |id| Variable::of(layout, id);
        Some(Self {
            forms,
            eqe_consumer: variable(IroId::USTORM_EQE_CONS_GTT)?,
            rx_producers: variable(IroId::MSTORM_ETH_PF_PRODS_GTT)?,
            rss_entry: variable(IroId::TSTORM_ETH_RSS_UPDATE_GTT)?,
            rx_queue_zone: variable(IroId::USTORM_ETH_QUEUE_ZONE_GTT)?,
            tx_queue_zone: variable(IroId::XSTORM_ETH_QUEUE_ZONE_GTT)?,
            final_cleanup_ack: variable(IroId::USTORM_FLR_FINAL_ACK_GTT)?,
            control_ether_types: variable(IroId::PSTORM_CTL_FRAME_ETHTYPE_GTT)?,
            tpa_timeout_us: variable(IroId::MSTORM_TPA_TIMEOUT_US)?,
            port_stat: variable(IroId::TSTORM_PORT_STAT)?,
            m_queue_stat: variable(IroId::MSTORM_QUEUE_STAT)?,
            u_queue_stat: variable(IroId::USTORM_QUEUE_STAT)?,
            p_queue_stat: variable(IroId::PSTORM_QUEUE_STAT)?,
            m_pf_stat: variable(IroId::MSTORM_ETH_PF_STAT)?,
            u_pf_stat: variable(IroId::USTORM_ETH_PF_STAT)?,
            p_pf_stat: variable(IroId::PSTORM_ETH_PF_STAT)?,
        })
    }

    /// The layout of 8.59.1.0.
    pub(super) fn newest() -> Option<Self> {
        Self::of(V8_59_1.version)
    }

    pub(super) const fn pf_start_size(&self) -> usize {
        self.forms.pf_start.size
    }

    pub(super) const fn vport_start_size(&self) -> usize {
        self.forms.vport_start.size
    }

    pub(super) const fn vport_update_size(&self) -> usize {
        self.forms.vport_update.size
    }

    pub(super) fn pf_start<const N: usize>(&self, bytes: &[u8]) -> [u8; N] {
        reform(&self.forms.pf_start, bytes)
    }

    pub(super) fn vport_start<const N: usize>(&self, bytes: &[u8]) -> [u8; N] {
        reform(&self.forms.vport_start, bytes)
    }

    pub(super) fn vport_update<const N: usize>(&self, bytes: &[u8]) -> [u8; N] {
        reform(&self.forms.vport_update, bytes)
    }

    /// The eight bytes of a single RSS entry command with `valid` last, and the offset where `valid` really is.
    pub(super) fn rss_entry(&self, bytes: [u8; 8]) -> ([u8; 8], u32) {
        if self.forms.rss_entry_valid_first {
            let [valid, vport, index, _, low, high, ..] = bytes;
            ([vport, index, low, high, 0, 0, 0, valid], 0)
        } else {
            (bytes, 7)
        }
    }
}

fn reform<const N: usize>(form: &RamrodForm, bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    if form.moves.is_empty() {
        let length = bytes.len().min(N);
        out[..length].copy_from_slice(&bytes[..length]);
    }
    for &(from, to, length) in form.moves {
        if let (Some(target), Some(source)) =
            (out.get_mut(to..to + length), bytes.get(from..from + length))
        {
            target.copy_from_slice(source);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_8_59() {
        let layout = StormLayout::newest().unwrap();
        assert_eq!(layout.rx_producers.offset(3), 0x1f8 + 12);
        assert_eq!(layout.p_queue_stat.offset(1), 0x4698 + 0x80);
        assert_eq!(layout.tpa_timeout_us.offset(0), 0xbf60);
    }

    #[test]
    fn the_build_that_was_loaded_is_run() {
        let mut storm = crate::storm::Storm::new(crate::Chip::K2, 1);
        assert_eq!(storm.layout.p_queue_stat.offset(0), 0x4698);
        storm.loaded(FirmwareVersion::new(8, 40, 33, 0));
        assert_eq!(storm.layout.p_queue_stat.offset(0), 0x4618);
        assert_eq!(storm.layout.vport_start_size(), 64);
        // A driver that does not say, and one that says something unknown.
        for version in [[0; 4], [8, 20, 0, 0]] {
            storm.loaded(FirmwareVersion::new(8, 40, 33, 0));
            let [major, minor, revision, engineering] = version;
            storm.loaded(FirmwareVersion::new(major, minor, revision, engineering));
            assert_eq!(storm.layout.vport_start_size(), 72);
        }
    }

    #[test]
    fn writes_touch_variables() {
        let variable = Variable {
            storm: StormId::U,
            base: 0x100,
            step: 8,
            size: 4,
        };
        let touched = |offset, len| variable.touched(offset, len, 10).collect::<Vec<_>>();
        assert_eq!(touched(0x0ff, 1), []);
        assert_eq!(touched(0x0ff, 2), [0]);
        assert_eq!(touched(0x103, 1), [0]);
        assert_eq!(touched(0x104, 4), []);
        assert_eq!(touched(0x104, 5), [1]);
        assert_eq!(touched(0, u32::MAX), (0..10).collect::<Vec<_>>());
        assert_eq!(touched(0x100, 0), []);
    }

    #[test]
    fn older_ramrods_take_the_newest_form() {
        let layout = StormLayout::of(FirmwareVersion::new(8, 40, 33, 0)).unwrap();
        assert_eq!(layout.p_queue_stat.offset(0), 0x4618);
        let bytes: Vec<u8> = (0..=255).cycle().take(432).collect();
        let start: [u8; 72] = layout.vport_start(&bytes[..64]);
        assert_eq!((start[38], start[39], start[41], start[45]), (38, 0, 0, 39));
        assert_eq!((start[48], start[71]), (40, 63));
        let update: [u8; 440] = layout.vport_update(&bytes);
        assert_eq!(
            (update[41], update[42], update[48], update[112]),
            (41, 0, 48, 112)
        );
        assert_eq!((update[120], update[124], update[396]), (0, 128, 128));
        assert_eq!(
            layout.rss_entry([1, 2, 3, 0, 4, 5, 0, 0]),
            ([2, 3, 4, 5, 0, 0, 0, 1], 0)
        );
    }
}
