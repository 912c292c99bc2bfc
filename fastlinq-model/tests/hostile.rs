//! Accesses that no driver makes: whatever comes in, the model neither panics nor hangs, and its log stays bounded.

mod bench;

use bench::{Bench, MEMORY};
use fastlinq_model::{Bar, CardConfig, Chip};

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.next() % bound
    }
}

/// Blocks whose registers do something, as ranges of byte addresses.
const INTERESTING: [(u32, u32); 14] = [
    (0x8400, 0x500),
    (0xc000, 0x1000),
    (0x10_0180, 0xa00),
    (0x18_0000, 0x4600),
    (0x1c_6000, 0x4000),
    (0x1d_0000, 0x4500),
    (0x24_0000, 0x500),
    (0x26_0000, 0x4000),
    (0x2a_a100, 0xf00),
    (0x58_0900, 0x40),
    (0xf8_0408, 4),
    (0xe2_0000, 0x2_8000),
    (0x1c0_0000, 0x1_0000),
    (0x1c8_0000, 0x2c_0000),
];

fn value(numbers: &mut Numbers) -> u32 {
    match numbers.below(4) {
        0 => numbers.below(16),
        1 => 1 << numbers.below(32),
        2 => (MEMORY as u32) | numbers.below(0x10_0000),
        _ => numbers.next(),
    }
}

#[test]
fn random_accesses_do_not_panic() {
    for (chip, seed) in [(Chip::K2, 1), (Chip::Bb, 2), (Chip::K2, 3)] {
        let mut numbers = Numbers(seed);
        let functions = 3;
        let mut bench = Bench::new(CardConfig::new(chip).functions(functions).ports(2));
        for function in 0..functions {
            bench.write_as(function, 0x2a_a16c, 1);
        }
        for step in 0..60_000 {
            let function = numbers.below(u32::from(functions) + 1) as u8;
            let size = 1usize << numbers.below(4);
            let data = u64::from(value(&mut numbers)) | u64::from(numbers.next()) << 32;
            match numbers.below(10) {
                0 => bench.card.write(
                    function,
                    Bar::Doorbells,
                    u64::from(numbers.below(0x4000)),
                    &data.to_le_bytes()[..size],
                ),
                1 => bench.card.write(
                    function,
                    Bar::Msix,
                    u64::from(numbers.below(0x8000)),
                    &data.to_le_bytes()[..size],
                ),
                2 => bench.card.read(
                    function,
                    Bar::Msix,
                    u64::from(numbers.below(0x9000)),
                    &mut [0; 8][..size],
                ),
                3 => bench.card.write(
                    function,
                    Bar::Registers,
                    u64::from(numbers.below(0x2_0000)),
                    &data.to_le_bytes()[..size],
                ),
                4 => bench.card.read(
                    function,
                    Bar::Registers,
                    u64::from(numbers.below(0x2_1000)),
                    &mut [0; 8][..size],
                ),
                5 => drop(bench.read_as(function % functions, numbers.below(0x200_0000))),
                _ => {
                    let (start, length) =
                        INTERESTING[numbers.below(INTERESTING.len() as u32) as usize];
                    let address = start + numbers.below(length) / 4 * 4;
                    let number = value(&mut numbers);
                    bench.write_as(function % functions, address, number);
                }
            }
            match step % 5_000 {
                100 => bench.card.flr(function),
                200 => bench
                    .card
                    .inject(numbers.below(5) as u8, &data.to_le_bytes()),
                300 => bench.card.advance(u64::from(numbers.below(1_000_000))),
                _ => {}
            }
        }
        assert!(bench.card.violations().len() <= 1024);
        assert!(bench.card.undocumented_writes().count() <= 4096);
    }
}
