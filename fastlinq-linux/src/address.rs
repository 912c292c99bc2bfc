//! The address of a PCI function.

use std::fmt;
use std::str::FromStr;

/// Address of a PCI function: domain, bus, device and function, as in `0000:3b:00.0`.
///
/// # Examples
///
/// ```
/// use fastlinq_linux::PciAddress;
///
/// let address: PciAddress = "3b:00.1".parse()?;
/// assert_eq!(address.to_string(), "0000:3b:00.1");
/// assert!("3b:00.8".parse::<PciAddress>().is_err());
/// # Ok::<(), fastlinq_linux::BadPciAddress>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// Domain (segment); beyond 16 bits for buses behind a volume-management device.
    pub domain: u32,
    /// Bus.
    pub bus: u8,
    /// Device, less than 32.
    pub device: u8,
    /// Function, less than 8.
    pub function: u8,
}

/// A text that is no address of a PCI function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPciAddress(pub String);

impl fmt::Display for BadPciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no PCI address like 0000:3b:00.0", self.0)
    }
}

impl std::error::Error for BadPciAddress {}

impl FromStr for PciAddress {
    type Err = BadPciAddress;

    fn from_str(text: &str) -> Result<Self, BadPciAddress> {
        parse(text).ok_or_else(|| BadPciAddress(text.into()))
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (rest, function) = text.rsplit_once('.')?;
    let mut parts = rest.rsplit(':');
    let device = hex(parts.next()?, 2)?;
    let bus = hex(parts.next()?, 2)?;
    let domain = parts.next().map_or(Some(0), |text| hex(text, 8))?;
    let function = hex(function, 1)?;
    let complete = parts.next().is_none() && device < 32 && function < 8;
    complete.then_some(PciAddress {
        domain,
        bus: bus as u8,
        device: device as u8,
        function: function as u8,
    })
}

fn hex(text: &str, most: usize) -> Option<u32> {
    let digits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(text, 16).ok())?
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, canonical) in [
            ("0000:3b:00.0", "0000:3b:00.0"),
            ("1f.7", ""),
            ("3b:1f.7", "0000:3b:1f.7"),
            ("10001:01:00.0", "10001:01:00.0"),
            ("0:0:0.0", "0000:00:00.0"),
            ("0000:3b:20.0", ""),
            ("0000:3b:00.8", ""),
            ("0000:3b:00", ""),
            ("0:0:3b:00.0", ""),
            ("0000:+b:00.0", ""),
            ("../0000:3b:00.0", ""),
            ("", ""),
            (".", ""),
        ] {
            let parsed = text
                .parse::<PciAddress>()
                .map(|address| address.to_string());
            assert_eq!(parsed.unwrap_or_default(), canonical, "{text}");
        }
    }
}
