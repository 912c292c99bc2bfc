#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::boxed::Box;
use std::string::ToString;
use std::vec::Vec;

use fastlinq_model::firmware_image::{
    ImageBuilder, ModeExpression, Poll, synthetic_image, synthetic_image_of,
};
use fastlinq_pac::init_file::Phase;
use fastlinq_pac::versions::{FirmwareVersion, IroId};

use super::*;

fn canonical(image: &FirmwareImage<'_>, phase: Phase, id: Option<u16>, modes: Modes) -> Vec<u32> {
    let mut inflater = Box::new(Inflater::new());
    let mut out = Vec::new();
    for operation in image.operations(phase, id, modes) {
        operation
            .canonical(&mut inflater, |dword| out.push(dword))
            .expect("inflates");
    }
    out
}

#[test]
fn every_operation_gives_its_dwords() {
    let mut builder = ImageBuilder::new([8, 59, 1, 0], 7);
    builder.phase(0, None, |image| {
        image
            .write(0x100, 5)
            .zeros(0x200, 2, false)
            .array(0x300, &[7, 8], false)
            .zipped(0x400, &[9, 10], true)
            .pattern(0x500, &[1, 2], 2, true)
            .runtime(0x600, 3, 4, false)
            .read(0x700, Poll::And, 6)
            .delay_us(11)
            .callback(0, 22);
    });
    let bytes = builder.build();
    let image = FirmwareImage::parse(&bytes).expect("parses");
    #[rustfmt::skip]
    let expected = [
        0x100, 5, 0x200, 0, 0x204, 0, 0x300, 7, 0x304, 8, 0x400, 9, 0x404, 10,
        0x500, 1, 0x504, 2, 0x508, 1, 0x50c, 2,
        u32::MAX, 0x600, 3, 4, 0xffff_fffe, 0x700, 3, 6, 0xffff_fffd, 11, 0xffff_fffc, 0, 22,
    ];
    assert_eq!(
        canonical(&image, Phase::ENGINE, None, Modes::empty()),
        expected
    );
    assert!(canonical(&image, Phase::PORT, None, Modes::empty()).is_empty());
}

#[test]
fn phases_and_modes_choose() {
    let mut builder = ImageBuilder::new([8, 59, 1, 0], 7);
    builder.phase(1, Some(1), |image| {
        image.write(0x10, 1);
    });
    builder.phase(1, None, |image| {
        let not_bb = ModeExpression::Not(Box::new(ModeExpression::Bit(1)));
        image.mode(&not_bb, |image| {
            image.write(0x20, 2);
        });
    });
    let bytes = builder.build();
    let image = FirmwareImage::parse(&bytes).expect("parses");
    let run = |id, modes| canonical(&image, Phase::PORT, id, modes);
    assert_eq!(run(Some(1), Modes::K2), [0x10, 1, 0x20, 2]);
    assert_eq!(run(Some(0), Modes::K2), [0x20, 2]);
    assert_eq!(
        run(None, Modes::K2),
        [0x20, 2],
        "no id asks for operations of any id only"
    );
    assert_eq!(run(Some(1), Modes::BB), [0x10, 1]);
}

#[test]
fn the_synthetic_image_has_a_layout_and_overlays() {
    let bytes = synthetic_image();
    let image = FirmwareImage::parse(&bytes).expect("parses");
    let layout = image.layout().expect("8.59.1.0 is known");
    assert_eq!(layout.runtime_size, 34_984);
    assert_eq!(image.overlays().count(), 3);
    assert_eq!(image.iro_records().len(), usize::from(layout.iro_records));
}

#[test]
fn an_unknown_version_parses_but_has_no_layout() {
    let bytes = ImageBuilder::new([9, 0, 0, 0], 0).build();
    let image = FirmwareImage::parse(&bytes).expect("parses");
    let error = image.layout().expect_err("no layout");
    assert!(std::format!("{error}").contains("9.0.0.0"));
    assert!(std::format!("{error}").contains("8.59.1.0"));
}

#[test]
fn broken_files_are_named() {
    let good = synthetic_image();
    let section = |number: usize| {
        let pair = 4 + 8 * number;
        4 + u32::from_le_bytes(good[pair..pair + 4].try_into().unwrap()) as usize
    };
    let with = |at: usize, dword: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&dword.to_le_bytes());
        FirmwareImage::parse(&bytes).map(|_| ())
    };
    use FirmwareError as E;
    assert!(matches!(
        FirmwareImage::parse(&[]),
        Err(E::Truncated { .. })
    ));
    assert!(matches!(
        FirmwareImage::parse(&good[..6]),
        Err(E::Truncated { .. })
    ));
    assert!(matches!(
        FirmwareImage::parse(&good[..2000]),
        Err(E::SectionOutside { .. })
    ));
    assert!(matches!(
        with(8, u32::MAX),
        Err(E::SectionOutside {
            section: SectionName::Version,
            ..
        })
    ));
    assert!(matches!(
        with(16, 4),
        Err(E::SectionSize {
            section: SectionName::Operations,
            ..
        })
    ));
    assert!(matches!(with(12, 0x38), Err(E::SectionsOverlap { .. })));
    let operations = section(1);
    assert!(matches!(
        with(operations, 0x0f),
        Err(E::UnknownOperation { index: 0, kind: 15 })
    ));
    assert!(matches!(
        with(operations, 0xffff_0003),
        Err(E::SkipOutside { index: 0, .. })
    ));
    assert!(matches!(
        with(operations, 0x41),
        Err(E::UnknownSource {
            index: 0,
            source: 4
        })
    ));
    assert!(matches!(
        with(operations, 0x21),
        Err(E::BadArray { index: 0, .. })
    ));
    assert!(matches!(
        with(operations, 0x50),
        Err(E::UnknownPoll { index: 0, poll: 5 })
    ));
    assert!(matches!(
        with(operations, 0xffff_fe01),
        Err(E::AddressOutside { index: 0, .. })
    ));
    assert!(matches!(
        with(operations, 2),
        Ok(()) | Err(E::BadExpression { .. })
    ));
    assert!(matches!(
        with(section(5), 0xffff_ff00),
        Err(E::BadOverlay { offset: 0 })
    ));
    assert!(matches!(
        with(section(5), 0x0000_0109),
        Err(E::BadOverlay { offset: 0 })
    ));
}

#[test]
fn an_expression_without_end_is_refused() {
    let mut builder = ImageBuilder::new([8, 59, 1, 0], 0);
    let mut deep = ModeExpression::Bit(1);
    for _ in 0..100 {
        deep = ModeExpression::Not(Box::new(deep));
    }
    builder.mode(&deep, |image| {
        image.write(0, 0);
    });
    let bytes = builder.build();
    let error = FirmwareImage::parse(&bytes).expect_err("too deep");
    assert!(matches!(
        error,
        FirmwareError::BadExpression {
            index: 0,
            offset: 0
        }
    ));
}

#[test]
fn streams_that_lie_are_refused() {
    let mut inflater = Box::new(Inflater::new());
    assert!(matches!(
        inflater.inflate(&[1, 2, 3], 5),
        Err(FirmwareError::Corrupt { offset: 5 })
    ));
    let bomb = miniz_oxide_stream(&[0; 40_000]);
    assert!(matches!(
        inflater.inflate(&bomb, 6),
        Err(FirmwareError::InflatedSize { offset: 6 })
    ));
    let odd = miniz_oxide_stream(&[0; 5]);
    assert!(matches!(
        inflater.inflate(&odd, 7),
        Err(FirmwareError::InflatedSize { offset: 7 })
    ));
    let fine = miniz_oxide_stream(&[1, 0, 0, 0]);
    assert_eq!(
        inflater.inflate(&fine, 8).expect("inflates").get(0),
        Some(1)
    );
    assert!(matches!(
        inflater.inflate(&fine[..6], 9),
        Err(FirmwareError::Corrupt { .. })
    ));
}

/// A zlib stream of stored blocks, so that the test needs no compressor.
fn miniz_oxide_stream(data: &[u8]) -> Vec<u8> {
    let mut stream = std::vec![0x78, 0x01];
    let mut chunks = data.chunks(0xffff).peekable();
    while let Some(chunk) = chunks.next() {
        stream.push(u8::from(chunks.peek().is_none()));
        let length = chunk.len() as u16;
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(chunk);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    stream.extend_from_slice(&(b << 16 | a).to_be_bytes());
    stream
}

#[test]
fn random_damage_never_panics() {
    let good = synthetic_image();
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut inflater = Box::new(Inflater::new());
    let mut refused = 0;
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..1 + random() % 8 {
            let at = (random() % bytes.len() as u64) as usize;
            bytes[at] = random() as u8;
        }
        bytes.truncate(bytes.len() - (random() % 64) as usize);
        let Ok(image) = FirmwareImage::parse(&bytes) else {
            refused += 1;
            continue;
        };
        let mut left = 2_000_000u32;
        for operation in image.operations(
            Phase::ENGINE,
            Some(0),
            Modes::from_bits_retain(random() as u32),
        ) {
            let _ = operation.canonical(&mut inflater, |_| left = left.saturating_sub(1));
            if left == 0 {
                break;
            }
        }
    }
    assert!(refused > 0, "some damage is seen by the parser");
}

#[test]
fn programs_that_write_without_end_are_refused() {
    let with = |times: u32| {
        let mut builder = ImageBuilder::new([8, 59, 1, 0], 7);
        builder.phase(0, None, |image| {
            for _ in 0..times {
                image.zeros(0, 8 << 20 >> 1, false);
            }
        });
        FirmwareImage::parse(&builder.build()).map(drop)
    };
    assert_eq!(with(8), Ok(()));
    assert!(matches!(with(9), Err(FirmwareError::TooManyWrites { .. })));
}

#[test]
fn a_pattern_of_nothing_is_refused() {
    let mut builder = ImageBuilder::new([8, 59, 1, 0], 7);
    builder.phase(0, None, |image| {
        image.pattern(0x500, &[0x5a5a_1234], 3, false);
    });
    let mut bytes = builder.build();
    let header = [0x12, 3, 0, 0, 0x34, 0x12, 0x5a, 0x5a];
    let at = bytes.windows(8).position(|window| window == header);
    bytes[at.expect("the pattern's header")] = 2;
    assert!(matches!(
        FirmwareImage::parse(&bytes),
        Err(FirmwareError::BadArray { .. })
    ));
}

#[test]
fn a_file_that_is_compressed_as_a_whole_is_named() {
    for (start, name) in [
        (&b"\x1f\x8b\x08\x08"[..], "gzip"),
        (b"\xfd7zXZ\0\0\x04", "xz"),
        (b"\x28\xb5\x2f\xfd\xa4", "zstd"),
        (b"BZh91AY", "bzip2"),
    ] {
        let mut bytes = start.to_vec();
        bytes.extend_from_slice(&synthetic_image());
        let Err(FirmwareError::Compressed(kind)) = FirmwareImage::parse(&bytes) else {
            panic!("{name}");
        };
        assert_eq!(kind.name(), name);
        let text = FirmwareError::Compressed(kind).to_string();
        assert!(text.contains(&std::format!("{name} -d")), "{text}");
    }
}

#[test]
fn foreign_variables_are_refused() {
    for layout in fastlinq_pac::versions::ALL {
        let mut bytes = synthetic_image_of(layout.version).expect("described");
        let image = FirmwareImage::parse(&bytes).expect("parses");
        let found = image.layout().expect("its own");
        assert_eq!(found.version, layout.version);
        let table = 4 + u32::from_le_bytes(bytes[36..40].try_into().unwrap()) as usize;
        let record = layout
            .iro(IroId::USTORM_EQE_CONS_GTT)
            .expect("there")
            .record;
        bytes[table + 12 * usize::from(record)] ^= 8;
        let image = FirmwareImage::parse(&bytes).expect("parses");
        let error = image.layout().expect_err("foreign");
        assert_eq!(error, FirmwareError::ForeignVariables { record });
    }
    // The version of one build, the variables of another.
    let older = FirmwareVersion::new(8, 42, 2, 0);
    let mut bytes = synthetic_image_of(older).expect("described");
    let version = 4 + u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize + 4;
    bytes[version..version + 4].copy_from_slice(&[8, 59, 1, 0]);
    let image = FirmwareImage::parse(&bytes).expect("parses");
    assert!(matches!(
        image.layout(),
        Err(FirmwareError::ForeignVariables { .. })
    ));
}

#[test]
fn a_damaged_array_is_found_before_it_is_used() {
    let mut inflater = Box::new(Inflater::new());
    let mut bytes = synthetic_image();
    FirmwareImage::parse(&bytes)
        .expect("parses")
        .verify(&mut inflater)
        .expect("sound");
    // Every zlib stream of the image begins with these two bytes; the one behind them is damaged.
    let at = bytes
        .windows(2)
        .position(|pair| pair == [0x78, 0xda])
        .expect("a stream");
    bytes[at + 20] ^= 0x40;
    let image = FirmwareImage::parse(&bytes).expect("parses");
    assert!(matches!(
        image.verify(&mut inflater),
        Err(FirmwareError::Corrupt { .. })
    ));
}
