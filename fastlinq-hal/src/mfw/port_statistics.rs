//! Counters of the port's MAC, which the management firmware collects for all functions of the port.

use fastlinq_pac::mfw::{brb_stats, eth_stats, port_stats, public_port};

use super::SectionError;
use super::section::read_field;
use crate::core_state::Core;
use crate::host::Host;
use crate::slowpath::{Traffic, counters};

counters! {
    /// Frames by their bytes on the line, frame check sequence included.
    ///
    /// BB has buckets up to 16,383 bytes. K2 has one for everything from 1,519 bytes on, which is `to_2047`.
    pub struct FrameSizes {
        /// Up to 64 bytes.
        pub to_64: u64,
        /// 65 to 127 bytes.
        pub to_127: u64,
        /// 128 to 255 bytes.
        pub to_255: u64,
        /// 256 to 511 bytes.
        pub to_511: u64,
        /// 512 to 1,023 bytes.
        pub to_1023: u64,
        /// 1,024 to 1,518 bytes.
        pub to_1518: u64,
        /// 1,519 to 1,522 bytes; received by BB only.
        pub to_1522: u64,
        /// BB: up to 2,047 bytes. K2: from 1,519 bytes on.
        pub to_2047: u64,
        /// 2,048 to 4,095 bytes; BB only.
        pub to_4095: u64,
        /// 4,096 to 9,216 bytes; BB only.
        pub to_9216: u64,
        /// 9,217 to 16,383 bytes; BB only.
        pub to_16383: u64,
    }
}

impl FrameSizes {
    /// Frames of all sizes.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.to_64
            .wrapping_add(self.to_127)
            .wrapping_add(self.to_255)
            .wrapping_add(self.to_511)
            .wrapping_add(self.to_1023)
            .wrapping_add(self.to_1518)
            .wrapping_add(self.to_1522)
            .wrapping_add(self.to_2047)
            .wrapping_add(self.to_4095)
            .wrapping_add(self.to_9216)
            .wrapping_add(self.to_16383)
    }
}

counters! {
    /// Control frames of a direction.
    pub struct ControlFrames {
        /// All MAC control frames.
        pub all: u64,
        /// Pause frames.
        pub pause: u64,
        /// Pause frames by priority.
        pub priority_pause: u64,
    }
}

counters! {
    /// Counters of the port since the management firmware cleared them; a driver cannot. Take the difference to an earlier
    /// reading with [`Since`](crate::slowpath::Since).
    ///
    /// `stats` in the port section of the shared memory: pairs of dwords, low one first. The management firmware updates
    /// them from time to time; a pair whose high dword moves while it is read is read again.
    ///
    /// Known by: source reading; the model.
    pub struct PortStatistics {
        /// Received frames without error, by destination; [`Traffic`]'s bytes are all in `received_bytes`.
        pub received: Traffic,
        /// Bytes of received frames, frame check sequence included.
        pub received_bytes: u64,
        /// Received frames without error.
        pub received_good: u64,
        /// Received frames by size.
        pub received_sizes: FrameSizes,
        /// Received control frames.
        pub received_control: ControlFrames,
        /// Received frames whose check sequence is wrong.
        pub bad_check_sequence: u64,
        /// Received frames whose bits do not fill bytes.
        pub bad_alignment: u64,
        /// False carrier events.
        pub false_carrier: u64,
        /// Received frames that are too long.
        pub oversize: u64,
        /// Received frames that are too long and broken.
        pub jabber: u64,
        /// Received frames that are too short.
        pub undersize: u64,
        /// Received frames that are too short and broken.
        pub fragments: u64,
        /// Transmitted frames, by destination; the bytes are all in `transmitted_bytes`.
        pub transmitted: Traffic,
        /// Bytes of transmitted frames, frame check sequence included.
        pub transmitted_bytes: u64,
        /// Transmitted frames by size.
        pub transmitted_sizes: FrameSizes,
        /// Transmitted control frames.
        pub transmitted_control: ControlFrames,
        /// Times that the transmitter went idle to save energy; BB only.
        pub idle_entries: u64,
        /// Collisions; BB only.
        pub collisions: u64,
        /// Frames cut short in the receive buffer, over all traffic classes.
        pub buffer_truncated: u64,
        /// Frames dropped in the receive buffer, over all traffic classes.
        pub buffer_discarded: u64,
        /// Changes of the link.
        pub link_changes: u64,
    }
}

/// Reads the counters of the function's port.
///
/// # Errors
///
/// [`SectionError`].
pub fn read<H: Host>(core: &Core<H>) -> Result<PortStatistics, SectionError> {
    use eth_stats::offset as at;
    const STATS: u32 = public_port::offset::STATS;
    const MAC: u32 = STATS + port_stats::offset::ETH;
    const BUFFER: u32 = STATS + port_stats::offset::BRB;
    // Behind the buckets that both chips have.
    const RECEIVE_LARGE: u32 = at::R1518 + 8;
    const TRANSMIT_LARGE: u32 = at::T1518 + 8;
    const IDLE: u32 = at::TXPP + 8;
    let counter = |offset| read_counter(core, MAC + offset);
    let classes = |first| {
        (0..8).try_fold(0u64, |sum, class| {
            let count = read_counter(core, BUFFER + first + 8 * class)?;
            Ok(sum.wrapping_add(count))
        })
    };
    Ok(PortStatistics {
        received: Traffic {
            unicast_frames: counter(at::RXUCA)?,
            multicast_frames: counter(at::RXMCA)?,
            broadcast_frames: counter(at::RXBCA)?,
            ..Traffic::default()
        },
        received_bytes: counter(at::RBYTE)?,
        received_good: counter(at::RXPOK)?,
        received_sizes: FrameSizes {
            to_64: counter(at::R64)?,
            to_127: counter(at::R127)?,
            to_255: counter(at::R255)?,
            to_511: counter(at::R511)?,
            to_1023: counter(at::R1023)?,
            to_1518: counter(at::R1518)?,
            to_1522: counter(RECEIVE_LARGE)?,
            to_2047: counter(RECEIVE_LARGE + 8)?,
            to_4095: counter(RECEIVE_LARGE + 16)?,
            to_9216: counter(RECEIVE_LARGE + 24)?,
            to_16383: counter(RECEIVE_LARGE + 32)?,
        },
        received_control: ControlFrames {
            all: counter(at::RXCF)?,
            pause: counter(at::RXPF)?,
            priority_pause: counter(at::RXPP)?,
        },
        bad_check_sequence: counter(at::RFCS)?,
        bad_alignment: counter(at::RALN)?,
        false_carrier: counter(at::RFCR)?,
        oversize: counter(at::ROVR)?,
        jabber: counter(at::RJBR)?,
        undersize: counter(at::RUND)?,
        fragments: counter(at::RFRG)?,
        transmitted: Traffic {
            unicast_frames: counter(at::TXUCA)?,
            multicast_frames: counter(at::TXMCA)?,
            broadcast_frames: counter(at::TXBCA)?,
            ..Traffic::default()
        },
        transmitted_bytes: counter(at::TBYTE)?,
        transmitted_sizes: FrameSizes {
            to_64: counter(at::T64)?,
            to_127: counter(at::T127)?,
            to_255: counter(at::T255)?,
            to_511: counter(at::T511)?,
            to_1023: counter(at::T1023)?,
            to_1518: counter(at::T1518)?,
            to_1522: 0,
            to_2047: counter(TRANSMIT_LARGE)?,
            to_4095: counter(TRANSMIT_LARGE + 8)?,
            to_9216: counter(TRANSMIT_LARGE + 16)?,
            to_16383: counter(TRANSMIT_LARGE + 24)?,
        },
        transmitted_control: ControlFrames {
            all: counter(at::TXCF)?,
            pause: counter(at::TXPF)?,
            priority_pause: counter(at::TXPP)?,
        },
        idle_entries: counter(IDLE)?,
        collisions: counter(IDLE + 8)?,
        buffer_truncated: classes(brb_stats::offset::BRB_TRUNCATE)?,
        buffer_discarded: classes(brb_stats::offset::BRB_DISCARD)?,
        link_changes: read_field(
            core,
            core.mailbox.port(),
            public_port::offset::LINK_CHANGE_COUNT,
        )?
        .into(),
    })
}

fn read_counter<H: Host>(core: &Core<H>, offset: u32) -> Result<u64, SectionError> {
    let port = core.mailbox.port();
    let mut high = read_field(core, port, offset + 4)?;
    let mut low = read_field(core, port, offset)?;
    for _ in 0..2 {
        let again = read_field(core, port, offset + 4)?;
        if again == high {
            break;
        }
        high = again;
        low = read_field(core, port, offset)?;
    }
    Ok(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slowpath::Since;

    /// The table of the hardware reference, behind the start of the MAC's counters.
    #[test]
    fn counters_lie_where_the_reference_says() {
        use eth_stats::offset as at;
        let stats = public_port::offset::STATS;
        assert_eq!(stats, 0x28);
        assert_eq!(stats + port_stats::offset::ETH, 0xa8);
        assert_eq!(
            stats + port_stats::offset::BRB + brb_stats::offset::BRB_DISCARD,
            0x68
        );
        let table = [
            (at::R1518 + 8, 0x30),
            (at::RFCS, 0x58),
            (at::RXCF, 0x60),
            (at::RALN, 0x78),
            (at::RFRG, 0xa0),
            (at::T64, 0xa8),
            (at::T1518 + 8, 0xd8),
            (at::TXPF, 0xf8),
            (at::TXPP + 8, 0x108),
            (at::RBYTE, 0x118),
            (at::RXUCA, 0x120),
            (at::RXPOK, 0x138),
            (at::TBYTE, 0x140),
            (at::TXUCA, 0x148),
            (at::TXCF, 0x160),
        ];
        for (offset, expected) in table {
            assert_eq!(offset, expected);
        }
    }

    #[test]
    fn all_sizes_are_in_the_sum() {
        let one = FrameSizes {
            to_64: 1,
            to_127: 1,
            to_255: 1,
            to_511: 1,
            to_1023: 1,
            to_1518: 1,
            to_1522: 1,
            to_2047: 1,
            to_4095: 1,
            to_9216: 1,
            to_16383: 1,
        };
        assert_eq!(one.frames(), 11);
        assert_eq!(one.since(&one), FrameSizes::default());
    }
}
