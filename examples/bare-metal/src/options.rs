//! The command line: words of the form `name=value`.

use core::net::Ipv4Addr;

use smoltcp::wire::Ipv4Cidr;

use crate::serial::say;

/// What the command line asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// `address=10.0.0.1/24`: this end's address.
    pub(crate) address: Ipv4Cidr,
    /// `seconds=60`: ends after so long; 0 never.
    pub(crate) seconds: u64,
    /// `exit-port=f4`: I/O port of QEMU's `isa-debug-exit`, hexadecimal.
    pub(crate) exit_port: Option<u16>,
    /// `device=3b:00.0`: the function to use; else the first.
    pub(crate) device: Option<(u8, u8, u8)>,
}

impl Options {
    /// Reads a command line; what cannot be understood is said and passed over.
    pub(crate) fn parse(line: &str) -> Self {
        let mut options = Self {
            address: Ipv4Cidr::new(Ipv4Addr::new(10, 0, 0, 1), 24),
            seconds: 0,
            exit_port: None,
            device: None,
        };
        for word in line.split_ascii_whitespace() {
            if options.take(word).is_none() {
                say!("not understood: {word}");
            }
        }
        options
    }

    fn take(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=')?;
        match name {
            "address" => {
                let (address, prefix) = value.split_once('/')?;
                let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
                self.address = Ipv4Cidr::new(address.parse().ok()?, prefix);
            }
            "seconds" => self.seconds = value.parse().ok()?,
            "exit-port" => self.exit_port = Some(u16::from_str_radix(value, 16).ok()?),
            "device" => {
                let (bus, rest) = value.split_once(':')?;
                let (device, function) = rest.split_once('.')?;
                let number = |text| u8::from_str_radix(text, 16).ok();
                self.device = Some((number(bus)?, number(device)?, number(function)?));
            }
            _ => return None,
        }
        Some(())
    }
}
