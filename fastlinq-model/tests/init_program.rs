//! The genuine init program of the storm firmware runs on the chip: every poll is satisfied, no rule is broken, and no
//! address is written of which nothing is known.
//!
//! The file is not part of this project; where no package installed it, the test says so and passes.

mod bench;

use bench::Bench;
use fastlinq_model::{CardConfig, Chip};

const FILES: [&str; 2] = [
    "/usr/lib/firmware/qed/qed_init_values_zipped-8.59.1.0.bin",
    "/lib/firmware/qed/qed_init_values_zipped-8.59.1.0.bin",
];
/// Longest DMAE transfer in dwords.
const CHUNK: usize = 0x2000;

fn firmware() -> Option<Vec<u8>> {
    let file = FILES.iter().find_map(|path| std::fs::read(path).ok());
    if file.is_none() {
        println!("SKIPPED: no storm firmware file 8.59.1.0 (Debian: firmware-qlogic)");
    }
    file
}

/// A walk over the program for one phase.
struct Program<'a> {
    operations: Vec<[u32; 2]>,
    values: Vec<u32>,
    tree: &'a [u8],
    modes: u32,
}

/// What a run did.
#[derive(Default, Debug)]
struct Report {
    written: usize,
    polls: usize,
    unsatisfied: Vec<(u32, u32, u32)>,
}

fn dwords(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

impl<'a> Program<'a> {
    fn open(file: &'a [u8], modes: u32) -> Self {
        let section = |number: usize| {
            let pair = dwords(&file[4 + 8 * number..][..8]);
            &file[4 + pair[0] as usize..][..pair[1] as usize]
        };
        let operations = dwords(section(1))
            .chunks_exact(2)
            .map(|pair| [pair[0], pair[1]])
            .collect();
        Self {
            operations,
            values: dwords(section(2)),
            tree: section(3),
            modes,
        }
    }

    /// Evaluates the expression at `offset`; gives its value and the offset behind it.
    fn holds(&self, offset: usize) -> (bool, usize) {
        match self.tree[offset] {
            0 => {
                let (value, end) = self.holds(offset + 1);
                (!value, end)
            }
            node @ (1 | 2) => {
                let (left, middle) = self.holds(offset + 1);
                let (right, end) = self.holds(middle);
                (
                    if node == 1 {
                        left || right
                    } else {
                        left && right
                    },
                    end,
                )
            }
            leaf => (self.modes >> (leaf - 3) & 1 != 0, offset + 1),
        }
    }

    fn array(&self, at: usize) -> Vec<u32> {
        let header = self.values[at];
        let data = &self.values[at + 1..];
        match header & 0xf {
            0 => data[..(header >> 4) as usize].to_vec(),
            1 => {
                let length = (header >> 4) as usize;
                let bytes: Vec<u8> = data
                    .iter()
                    .take(length.div_ceil(4))
                    .flat_map(|word| word.to_le_bytes())
                    .collect();
                dwords(&miniz_oxide::inflate::decompress_to_vec_zlib(&bytes[..length]).unwrap())
            }
            2 => data[..(header >> 4 & 0xf) as usize].repeat((header >> 8) as usize),
            other => panic!("array type {other}"),
        }
    }

    fn run(&self, bench: &mut Bench, phase: u32, id: u32) -> Report {
        let mut report = Report::default();
        let buffer = bench.allocate(4 * CHUNK as u64);
        let mut dmae_ready = phase != 0;
        let mut index = 0;
        while let Some(&[a, p]) = self.operations.get(index) {
            index += 1;
            match a & 0xf {
                0 => report.poll(bench.read(a >> 9 << 2), a, p),
                1 => {
                    let address = a >> 9 << 2;
                    let data = match a >> 4 & 7 {
                        0 => vec![p],
                        1 => vec![0; p as usize],
                        2 => self.array(p as usize),
                        // Runtime values: a driver would compute them.
                        _ => vec![0; (p & 0xffff) as usize],
                    };
                    report.written += data.len();
                    if dmae_ready && (a >> 8 & 1 != 0 || data.len() >= 16) {
                        write_bulk(bench, buffer, address, &data);
                    } else {
                        for (position, value) in data.iter().enumerate() {
                            bench.write(address + 4 * position as u32, *value);
                        }
                    }
                }
                2 if !self.holds((p >> 16) as usize).0 => index += (a >> 16) as usize,
                3 if p & 0xff != phase
                    || !matches!(p >> 16, want if want == 0xffff || want == id) =>
                {
                    index += (a >> 16) as usize;
                }
                5 => dmae_ready = true,
                _ => {}
            }
        }
        report
    }
}

impl Report {
    fn poll(&mut self, value: u32, operation: u32, expected: u32) {
        self.polls += 1;
        let satisfied = match operation >> 4 & 0xf {
            1 => value == expected,
            2 => value | expected != 0,
            3 => value & expected == expected,
            _ => true,
        };
        if !satisfied {
            self.unsatisfied
                .push((operation >> 9 << 2, expected, value));
        }
    }
}

fn write_bulk(bench: &mut Bench, buffer: u64, address: u32, data: &[u32]) {
    for (number, chunk) in data.chunks(CHUNK).enumerate() {
        let bytes: Vec<u8> = chunk.iter().flat_map(|word| word.to_le_bytes()).collect();
        bench.store(buffer, &bytes);
        let target = u64::from(address >> 2) + (number * CHUNK) as u64;
        assert_eq!(
            bench.dmae(0x8164, buffer, target, chunk.len() as u32),
            0xd1ae
        );
    }
}

#[test]
fn the_genuine_init_program_runs() {
    let Some(file) = firmware() else { return };
    for (chip, ports, path) in [
        (Chip::K2, 1, 0xffff),
        (Chip::K2, 2, 0),
        (Chip::K2, 4, 0xffff),
        (Chip::Bb, 1, 0xffff),
        (Chip::Bb, 2, 0),
    ] {
        let family = match chip {
            Chip::Bb => 1 << 1,
            Chip::K2 => 1 << 2,
        };
        let port_bit = match ports {
            1 => 11,
            2 => 12,
            _ => 13,
        };
        // Real hardware, multi-function by switch-independent mode.
        let program = Program::open(&file, family | 1 << 3 | 1 << 10 | 1 << port_bit);
        let mut bench = Bench::new(CardConfig::new(chip).ports(ports));
        bench.write(0x2a_a16c, 1);
        for (phase, id) in [(0, path), (1, 0), (2, 0), (4, 0)] {
            let report = program.run(&mut bench, phase, id);
            assert_eq!(
                report.unsatisfied,
                [],
                "{chip:?}, {ports} ports, phase {phase}"
            );
            println!(
                "{chip:?} {ports} ports phase {phase}: {} dwords, {} polls",
                report.written, report.polls
            );
            if phase == 0 {
                assert!(report.written > 400_000 && report.polls > 30, "{report:?}");
            }
        }
        // What a driver still needs afterwards.
        assert_eq!(bench.read(0x18_4000), 0x0002_0001, "IGU CAM");
        assert!(bench.read(0x24_0400) <= 2, "write burst");
        assert_ne!(bench.read(0x2a_ae64), 0, "doorbell BAR size");
        assert_eq!(bench.read(0x2f_1e10), 1, "queue manager ready");
        bench.assert_clean();
        assert_eq!(bench.card.undocumented_writes().count(), 0);
    }
}
