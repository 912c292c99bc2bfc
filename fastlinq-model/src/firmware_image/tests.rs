use super::*;
use fastlinq_pac::versions::FirmwareVersion;

fn dword(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(image[at..at + 4].try_into().expect("four bytes"))
}

/// Offset in the file and length of section `number`.
fn section(image: &[u8], number: usize) -> (usize, usize) {
    let pair = 4 + 8 * number;
    (
        4 + dword(image, pair) as usize,
        dword(image, pair + 4) as usize,
    )
}

#[test]
fn the_synthetic_image_is_the_same_every_time_and_small() {
    let image = synthetic_image();
    assert_eq!(image, synthetic_image());
    assert!(image.len() < 128 << 10, "{} bytes", image.len());
}

#[test]
fn sections_lie_behind_one_another_inside_the_file() {
    let image = synthetic_image();
    let mut end = 0x3c;
    for number in 0..6 {
        let (offset, length) = section(&image, number);
        assert!(offset >= end && offset % 4 == 0);
        end = offset + length;
    }
    assert!(end <= image.len());
    assert_eq!(dword(&image, 0) as usize, image.len());
    assert_eq!(image[0x34..0x3c], [0xff; 8]);
}

#[test]
fn the_version_is_in_its_section() {
    let image = synthetic_image();
    let (version, _) = section(&image, 0);
    assert_eq!(image[version + 4..version + 8], [8, 59, 1, 0]);
}

#[test]
fn an_unzipped_image_has_the_same_operations_and_no_compressed_array() {
    let version = FirmwareVersion::new(8, 40, 33, 0);
    let zipped = synthetic_image_of(version).expect("a described build");
    let unzipped = unzipped_image_of(version).expect("a described build");
    assert_eq!(array_kinds(&zipped)[1], 6);
    assert_eq!(array_kinds(&unzipped)[1], 0);
    assert_eq!(array_kinds(&zipped)[0] + 6, array_kinds(&unzipped)[0]);
    assert_eq!(section(&zipped, 1).1, section(&unzipped, 1).1);
    let (name, _) = section(&unzipped, 0);
    assert_eq!(unzipped[name + 4..name + 8], [8, 40, 33, 0]);
}

/// How many operations write from an array of each kind: standard, zipped, pattern.
fn array_kinds(image: &[u8]) -> [usize; 3] {
    let (ops, length) = section(image, 1);
    let (values, _) = section(image, 2);
    let mut kinds = [0; 3];
    for at in (ops..ops + length).step_by(8) {
        let (head, parameter) = (dword(image, at), dword(image, at + 4));
        if head & 0xf == 1 && head >> 4 & 7 == 2 {
            kinds[dword(image, values + 4 * parameter as usize) as usize & 0xf] += 1;
        }
    }
    kinds
}

#[test]
fn every_kind_of_operation_and_array_occurs() {
    let image = synthetic_image();
    let (ops, length) = section(&image, 1);
    let (values, _) = section(&image, 2);
    let mut kinds = [0; 6];
    let mut sources = [0; 4];
    let mut arrays = [0; 3];
    for at in (ops..ops + length).step_by(8) {
        let (head, parameter) = (dword(&image, at), dword(&image, at + 4));
        kinds[head as usize & 0xf] += 1;
        if head & 0xf == 1 {
            sources[head as usize >> 4 & 7] += 1;
            if head >> 4 & 7 == 2 {
                arrays[dword(&image, values + 4 * parameter as usize) as usize & 0xf] += 1;
            }
        }
    }
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
    assert!(sources.iter().all(|count| *count > 0), "{sources:?}");
    assert!(arrays.iter().all(|count| *count > 0), "{arrays:?}");
}

#[test]
fn conditions_skip_exactly_what_they_contain() {
    let mut builder = ImageBuilder::new([1, 2, 3, 4], 0);
    builder.phase(0, Some(2), |image| {
        image.write(0x10, 1).mode(
            &ModeExpression::Not(Box::new(ModeExpression::Bit(1))),
            |image| {
                image.write(0x14, 2).write(0x18, 3);
            },
        );
    });
    builder.write(0x1c, 4);
    let image = builder.build();
    let (ops, length) = section(&image, 1);
    let heads: Vec<u32> = (ops..ops + length)
        .step_by(8)
        .map(|at| dword(&image, at))
        .collect();
    assert_eq!(heads.len(), 6);
    assert_eq!(heads[0], 4 << 16 | 3);
    assert_eq!(heads[2], 2 << 16 | 2);
    assert_eq!(dword(&image, ops + 4), 2 << 16);
    let (modes, length) = section(&image, 3);
    assert_eq!(image[modes..modes + length], [0, 4]);
}

#[test]
fn zipped_arrays_inflate_to_what_went_in() {
    let data: Vec<u32> = (0..1000).map(|index| index * 7).collect();
    let mut builder = ImageBuilder::new([1, 2, 3, 4], 0);
    builder.zipped(0x40, &data, true);
    let image = builder.build();
    let (values, _) = section(&image, 2);
    let head = dword(&image, values);
    assert_eq!(head & 0xf, 1);
    let stream = &image[values + 4..values + 4 + (head >> 4) as usize];
    let inflated = miniz_oxide::inflate::decompress_to_vec_zlib(stream).expect("a zlib stream");
    let expected: Vec<u8> = data.iter().flat_map(|dword| dword.to_le_bytes()).collect();
    assert_eq!(inflated, expected);
}
