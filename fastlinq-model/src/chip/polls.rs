//! Registers that say "done": everything the firmware's init program polls (A3 3.5 of the hardware reference).

/// A register whose write makes other registers say "done".
struct Trigger {
    address: u32,
    /// Bits of which at least one has to be written.
    mask: u32,
    done: &'static [(u32, u32)],
}

const fn trigger(address: u32, mask: u32, done: &'static [(u32, u32)]) -> Trigger {
    Trigger {
        address,
        mask,
        done,
    }
}

/// Sorted by address.
const TRIGGERS: [Trigger; 16] = [
    trigger(0x1f_0004, 1, &[(0x1f_0008, 1)]),
    trigger(0x29_d000, 1, &[(0x29_d004, 1)]),
    trigger(0x2a_0000, 1, &[(0x2a_0004, 1)]),
    trigger(0x2a_8000, 1, &[(0x2a_8004, 1)]),
    trigger(0x2a_8008, 1, &[(0x2a_800c, 1)]),
    trigger(0x2a_8010, 1, &[(0x2a_8014, 1)]),
    trigger(
        0x2d_0000,
        !0,
        &[
            (0x2d_0004, 1),
            (0x2d_0008, 1),
            (0x2d_000c, 1),
            (0x2d_0010, 1),
        ],
    ),
    trigger(
        0x2e_0000,
        !0,
        &[
            (0x2e_0004, 1),
            (0x2e_0008, 1),
            (0x2e_000c, 1),
            (0x2e_0010, 1),
        ],
    ),
    trigger(0x2f_5d7c, 1, &[(0x2f_5d80, 1)]),
    trigger(0x34_0004, 3, &[(0x34_0008, 3)]),
    trigger(0x56_0000, 1, &[(0x56_0004, 1)]),
    trigger(0x56_0080, 1, &[(0x56_0084, 1)]),
    trigger(0xdb_0004, 3, &[(0xdb_0008, 3)]),
    trigger(0x100_0004, 1, &[(0x100_0008, 1)]),
    trigger(0x164_a00c, !0, &[(0x164_a03c, 7)]),
    trigger(0x174_a00c, !0, &[(0x174_a03c, 7)]),
];

/// The registers that say "done" after `value` was written to `address`, with what they read then.
///
/// PGLUE's two engine-wide init words answer with the bit of the engine, `path`.
pub(crate) fn done_after(address: u32, value: u32, path: u8) -> impl Iterator<Item = (u32, u32)> {
    TRIGGERS
        .iter()
        .find(|trigger| trigger.address == address && value & trigger.mask != 0)
        .map_or(&[][..], |trigger| trigger.done)
        .iter()
        .map(move |&(register, done)| match register {
            0x2a_8004 | 0x2a_8014 => (register, done << path),
            _ => (register, done),
        })
}

/// Value of a register that always reads the same, because what it reports is over at once.
pub(crate) const fn constant(address: u32) -> Option<u32> {
    Some(match address {
        // TM memories, ready without a trigger.
        0x2c_0010 => 1,
        // Self-clearing init commands of RSS, CAU and IGU.
        0x23_8804 | 0x1c_0410 | 0x18_0000 => 0,
        // Storm processors: nothing running.
        0x144_065c | 0x154_065c | 0x164_065c | 0x174_065c | 0x184_065c | 0x194_065c => 0,
        // The six CM blocks: idle.
        0x100_0ac0 | 0x108_0ab8 | 0x110_0ab0 | 0x118_0ab8 | 0x120_0abc | 0x128_0acc => 1,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_comes_only_after_the_right_write() {
        assert_eq!(
            done_after(0x34_0004, 3, 0).collect::<Vec<_>>(),
            [(0x34_0008, 3)]
        );
        assert_eq!(done_after(0x34_0004, 0, 0).count(), 0);
        assert_eq!(done_after(0x2e_0000, 0x1e7f, 0).count(), 4);
        assert_eq!(
            done_after(0x2a_8010, 1, 1).collect::<Vec<_>>(),
            [(0x2a_8014, 2)]
        );
        assert_eq!(done_after(0x1234, 1, 0).count(), 0);
    }
}
