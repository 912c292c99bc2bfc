//! The first serial port, for messages. Where there is none nothing waits.

use core::fmt::{self, Write};

use x86_64::instructions::port::Port;

const PORT: u16 = 0x3f8;
const LINE_STATUS: u16 = PORT + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// Looks at the line status per byte; 115,200 baud is 87 µs a byte.
const PATIENCE: u32 = 100_000;

fn write(port: u16, value: u8) {
    // SAFETY: the registers of a 16550 at its fixed address; without one the write goes nowhere.
    unsafe { Port::new(port).write(value) }
}

fn line_status() -> u8 {
    // SAFETY: reading the line status changes nothing but its error bits.
    unsafe { Port::new(LINE_STATUS).read() }
}

/// 115,200 baud, 8 data bits, no parity.
pub(crate) fn init() {
    for (register, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 0xc7), (4, 3)] {
        write(PORT + register, value);
    }
}

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                send(b'\r');
            }
            send(byte);
        }
        Ok(())
    }
}

fn send(byte: u8) {
    for _ in 0..PATIENCE {
        if line_status() & TRANSMITTER_EMPTY != 0 {
            break;
        }
        core::hint::spin_loop();
    }
    write(PORT, byte);
}

pub(crate) fn print(arguments: fmt::Arguments<'_>) {
    // Nothing else can be done about a message that cannot be shown.
    let _ = Serial.write_fmt(arguments);
}

/// A line on the serial port.
macro_rules! say {
    ($($argument:tt)+) => {
        $crate::serial::print(format_args!("{}\n", format_args!($($argument)+)))
    };
}
pub(crate) use say;

#[cfg(feature = "log")]
mod logger {
    use log::{LevelFilter, Log, Metadata, Record};

    struct Lines;

    impl Log for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.level() <= log::max_level()
        }

        fn log(&self, record: &Record<'_>) {
            if record.target().starts_with("fastlinq") {
                super::say!("{}: {}", record.target(), record.args());
            }
        }

        fn flush(&self) {}
    }

    pub(crate) fn start() {
        if log::set_logger(&Lines).is_ok() {
            log::set_max_level(LevelFilter::Info);
        }
    }
}

/// Sends the log lines of the driver crates to the serial port.
pub(crate) fn start_log() {
    #[cfg(feature = "log")]
    logger::start();
}
