//! SFF-8472 (SFP) and SFF-8636 (QSFP), read from any I2C bus.

use core::fmt::{self, Write};

use embedded_hal::i2c::I2c;

/// I2C address of a module's memory.
pub(crate) const MEMORY: u8 = 0x50;
/// I2C address of an SFP's diagnostics.
const DIAGNOSTICS: u8 = 0x51;

const SFP: u8 = 0x03;
const QSFP: [u8; 3] = [0x0c, 0x0d, 0x11];
/// Page select of SFF-8636.
const PAGE_BYTE: u8 = 127;
const THRESHOLDS: u8 = 3;

/// Reads the module and says what it is.
pub(crate) fn report<B: I2c>(bus: &mut B) -> Result<String, B::Error> {
    let mut memory = [0; 256];
    bus.write_read(MEMORY, &[0], &mut memory)?;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match memory[0] {
        SFP => {
            let mut diagnostics = None;
            if memory[92] & 0x40 != 0 {
                let mut bytes = [0; 256];
                bus.write_read(DIAGNOSTICS, &[0], &mut bytes)?;
                diagnostics = Some(bytes);
            }
            sfp(&mut text, &memory, diagnostics.as_ref())
        }
        kind if QSFP.contains(&kind) => {
            let mut thresholds = None;
            // Flat memories have no further pages.
            if memory[2] & 0x04 == 0 {
                bus.write(MEMORY, &[PAGE_BYTE, THRESHOLDS])?;
                let mut page = [0; 128];
                bus.write_read(MEMORY, &[128], &mut page)?;
                bus.write(MEMORY, &[PAGE_BYTE, 0])?;
                thresholds = Some(page);
            }
            qsfp(&mut text, &memory, thresholds.as_ref())
        }
        kind => writeln!(text, "identifier {kind:#04x} is neither an SFP nor a QSFP"),
    };
    Ok(text)
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn words(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(*byte))
        .map(|char| if char.is_ascii_graphic() { char } else { ' ' })
        .collect::<String>()
        .trim()
        .into()
}

/// The sum of a range and the byte behind it that ought to be the same.
fn checksum(memory: &[u8; 256], from: usize, at: usize) -> &'static str {
    let sum = memory[from..at]
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if sum == memory[at] { "right" } else { "WRONG" }
}

fn celsius(value: u16) -> f32 {
    f32::from(value as i16) / 256.0
}

fn volts(value: u16) -> f32 {
    f32::from(value) / 10_000.0
}

fn milliamperes(value: u16) -> f32 {
    f32::from(value) / 500.0
}

/// Optical power in dBm; the module gives tenths of microwatts.
fn dbm(value: u16) -> f32 {
    10.0 * (f32::from(value.max(1)) / 10_000.0).log10()
}

fn compliance(code: u8) -> &'static str {
    match code {
        0x02 => "100GBASE-SR4 or 25GBASE-SR",
        0x03 => "100GBASE-LR4 or 25GBASE-LR",
        0x0b => "100GBASE-CR4 or 25GBASE-CR CA-25G-L",
        0x0c => "25GBASE-CR CA-25G-S",
        0x0d => "25GBASE-CR CA-25G-N",
        _ => "not named here",
    }
}

fn connector(code: u8) -> &'static str {
    match code {
        0x07 => "LC",
        0x0c => "MPO 1x12",
        0x21 => "copper pigtail",
        0x22 => "RJ45",
        0x23 => "none that opens",
        _ => "not named here",
    }
}

fn sfp(out: &mut String, memory: &[u8; 256], diagnostics: Option<&[u8; 256]>) -> fmt::Result {
    writeln!(
        out,
        "SFP, connector {} ({:#04x})",
        connector(memory[2]),
        memory[2]
    )?;
    writeln!(out, "vendor      {}", words(&memory[20..36]))?;
    writeln!(
        out,
        "part        {} rev {}",
        words(&memory[40..56]),
        words(&memory[56..60])
    )?;
    writeln!(
        out,
        "serial      {}, made {}",
        words(&memory[68..84]),
        words(&memory[84..92])
    )?;
    writeln!(
        out,
        "compliance  {} ({:#04x})",
        compliance(memory[36]),
        memory[36]
    )?;
    let rate = match memory[12] {
        0xff => u32::from(memory[66]) * 250,
        rate => u32::from(rate) * 100,
    };
    writeln!(out, "rate        {rate} MBd")?;
    writeln!(
        out,
        "checksums   {} and {}",
        checksum(memory, 0, 63),
        checksum(memory, 64, 95)
    )?;
    let Some(bytes) = diagnostics else {
        return writeln!(out, "diagnostics none");
    };
    if memory[92] & 0x20 == 0 {
        return writeln!(out, "diagnostics calibrated outside, not decoded here");
    }
    let readings = [
        word(bytes, 96),
        word(bytes, 98),
        word(bytes, 100),
        word(bytes, 102),
        word(bytes, 104),
    ];
    values(out, "", readings)?;
    writeln!(
        out,
        "alarm above {:.1} C, below {:.1} C",
        celsius(word(bytes, 0)),
        celsius(word(bytes, 2))
    )
}

fn qsfp(out: &mut String, memory: &[u8; 256], thresholds: Option<&[u8; 128]>) -> fmt::Result {
    writeln!(
        out,
        "QSFP, connector {} ({:#04x})",
        connector(memory[130]),
        memory[130]
    )?;
    writeln!(out, "vendor      {}", words(&memory[148..164]))?;
    writeln!(
        out,
        "part        {} rev {}",
        words(&memory[168..184]),
        words(&memory[184..186])
    )?;
    writeln!(
        out,
        "serial      {}, made {}",
        words(&memory[196..212]),
        words(&memory[212..220])
    )?;
    writeln!(
        out,
        "compliance  {} ({:#04x})",
        compliance(memory[192]),
        memory[192]
    )?;
    writeln!(
        out,
        "checksums   {} and {}",
        checksum(memory, 128, 191),
        checksum(memory, 192, 223)
    )?;
    for lane in 0..4 {
        let at = |start: usize| word(memory, start + 2 * lane);
        let readings = [word(memory, 22), word(memory, 26), at(42), at(50), at(34)];
        values(out, &format!(" {}", lane + 1), readings)?;
    }
    match thresholds {
        Some(page) => writeln!(
            out,
            "alarm above {:.1} C, below {:.1} C",
            celsius(word(page, 0)),
            celsius(word(page, 2))
        ),
        None => writeln!(out, "no page with thresholds"),
    }
}

/// Temperature, voltage, bias, transmitted and received power.
fn values(out: &mut String, lane: &str, readings: [u16; 5]) -> fmt::Result {
    let [temperature, voltage, bias, sent, received] = readings;
    writeln!(
        out,
        "lane{lane:6}  {:.1} C, {:.2} V, bias {:.1} mA, out {:.1} dBm, in {:.1} dBm",
        celsius(temperature),
        volts(voltage),
        milliamperes(bias),
        dbm(sent),
        dbm(received)
    )
}
