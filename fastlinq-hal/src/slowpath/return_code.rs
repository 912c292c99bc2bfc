//! Return codes that the storm firmware puts into event-queue elements.

use core::fmt;

/// What the storm firmware answered to one ramrod, typed by the protocol of the ramrod.
///
/// The byte is `fw_return_code` of the event-queue element. COMMON ramrods know 0 (done) and 1 (error); ETH ramrods
/// use bits 5:0 for the code and bit 7 for the side that refused (0 receive, 1 transmit).
///
/// Known by: the interface structures of firmware 8.59.1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FirmwareReturnCode {
    /// A function-level (COMMON) ramrod failed with this code.
    Common(u8),
    /// An Ethernet ramrod failed.
    Eth {
        /// Why.
        code: EthReturnCode,
        /// Which direction's table refused.
        side: FilterSide,
        /// The byte as the firmware wrote it.
        raw: u8,
    },
}

impl FirmwareReturnCode {
    /// The byte as the firmware wrote it.
    #[must_use]
    pub const fn raw(self) -> u8 {
        match self {
            Self::Common(raw) | Self::Eth { raw, .. } => raw,
        }
    }

    /// Decodes the return code of an Ethernet ramrod; `None` when the firmware reported success.
    #[must_use]
    pub const fn from_eth(raw: u8) -> Option<Self> {
        let code = raw & 0x3f;
        if raw == 0 {
            return None;
        }
        let side = if raw & 0x80 == 0 {
            FilterSide::Receive
        } else {
            FilterSide::Transmit
        };
        Some(Self::Eth {
            code: EthReturnCode::from_code(code),
            side,
            raw,
        })
    }

    /// Decodes the return code of a function-level ramrod; `None` when the firmware reported success.
    #[must_use]
    pub const fn from_common(raw: u8) -> Option<Self> {
        if raw == 0 {
            None
        } else {
            Some(Self::Common(raw))
        }
    }
}

impl fmt::Display for FirmwareReturnCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Common(raw) => write!(f, "error {raw}"),
            Self::Eth { code, side, raw } => {
                write!(f, "{code} on the {side} side (raw {raw:#04x})")
            }
        }
    }
}

/// Side of the filter tables that an Ethernet return code is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FilterSide {
    /// Receive classification.
    Receive,
    /// Internal-switch (transmit) classification.
    Transmit,
}

impl fmt::Display for FilterSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Receive => "receive",
            Self::Transmit => "transmit",
        })
    }
}

macro_rules! eth_return_codes {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        /// Meaning of an Ethernet ramrod's return code (bits 5:0).
        ///
        /// Known by: the interface structures of firmware 8.59.1.0.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum EthReturnCode {
            $(#[doc = concat!("Code ", stringify!($value), ": ", $text, ".")] $name,)*
            /// A code that this crate does not know.
            Unknown(u8),
        }

        impl EthReturnCode {
            /// Decodes bits 5:0 of the return code.
            #[must_use]
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $($value => Self::$name,)*
                    other => Self::Unknown(other),
                }
            }
        }

        impl fmt::Display for EthReturnCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str($text),)*
                    Self::Unknown(code) => write!(f, "unknown return code {code}"),
                }
            }
        }
    };
}

eth_return_codes! {
    Ok = 0, "no error code";
    MacAddCamFull = 1, "MAC filter refused because the table is full";
    MacAddSecondTableFull = 2, "MAC filter refused because the second-stage table is full";
    MacAddDuplicate = 3, "MAC filter exists already";
    MacAddDuplicateSecondTable = 4, "MAC filter exists already in the second-stage table";
    MacDeleteNotFound = 5, "MAC filter to delete does not exist";
    MacDeleteNotFoundSecondTable = 6, "MAC filter to delete does not exist in the second-stage table";
    MacDeleteNotFoundThirdTable = 7, "MAC filter to delete does not exist in the third table";
    MacAddZero = 8, "MAC filter has the all-zero address";
    VlanAddFull = 9, "VLAN filter refused because the table is full";
    VlanAddDuplicate = 10, "VLAN filter exists already";
    VlanDeleteNotFound = 11, "VLAN filter to delete does not exist";
    VlanDeleteNotFoundSecondTable = 12, "VLAN filter to delete does not exist in the second-stage table";
    PairAddDuplicate = 13, "MAC and VLAN pair filter exists already";
    PairAddFull = 14, "MAC and VLAN pair filter refused because the table is full";
    PairAddMacFull = 15, "MAC and VLAN pair filter refused because the MAC table is full";
    PairDeleteNotFound = 16, "MAC and VLAN pair filter to delete does not exist";
    PairDeleteNotFoundSecondTable = 17, "MAC and VLAN pair filter to delete does not exist in the second-stage table";
    PairAddZero = 18, "MAC and VLAN pair filter has the all-zero address";
    VniAddFull = 19, "VNI filter refused because the table is full";
    VniAddDuplicate = 20, "VNI filter exists already";
    FlowFilterUpdateFailed = 21, "flow filter update failed";
    RxQueueVfDataLoadFailed = 22, "receive queue could not load the virtual function's data";
    FlowAddTooManyHops = 23, "flow filter add needs too many hops";
    FlowAddNoFreeEntry = 24, "flow filter add found no free entry";
    FlowAddExists = 25, "flow filter exists already";
    FlowAddPciError = 26, "flow filter add met a PCI error";
    FlowAddMagicMismatch = 27, "flow filter add met a magic-number mismatch";
    FlowDeleteTooManyHops = 28, "flow filter delete needs too many hops";
    FlowDeleteNoMatch = 29, "flow filter to delete does not exist";
    FlowDeletePciError = 30, "flow filter delete met a PCI error";
    FlowDeleteMagicMismatch = 31, "flow filter delete met a magic-number mismatch";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_no_return_code() {
        assert_eq!(FirmwareReturnCode::from_eth(0), None);
        assert_eq!(FirmwareReturnCode::from_common(0), None);
    }

    #[test]
    fn every_byte_but_zero_is_an_error_that_keeps_its_raw_value() {
        for raw in 1..=u8::MAX {
            assert_eq!(
                FirmwareReturnCode::from_eth(raw).map(FirmwareReturnCode::raw),
                Some(raw)
            );
            assert_eq!(
                FirmwareReturnCode::from_common(raw).map(FirmwareReturnCode::raw),
                Some(raw)
            );
        }
    }

    #[test]
    fn bit_7_tells_the_side() {
        assert_eq!(
            FirmwareReturnCode::from_eth(0x83),
            Some(FirmwareReturnCode::Eth {
                code: EthReturnCode::MacAddDuplicate,
                side: FilterSide::Transmit,
                raw: 0x83
            })
        );
        assert_eq!(
            FirmwareReturnCode::from_eth(0x08),
            Some(FirmwareReturnCode::Eth {
                code: EthReturnCode::MacAddZero,
                side: FilterSide::Receive,
                raw: 0x08
            })
        );
    }
}
