//! Speeds and error correction in the extended form, which tells apart how many lanes and which code carry a speed.

use fastlinq_pac::mfw::constants::phy;
use fastlinq_pac::mfw::eth_phy_cfg;

use super::link::{LinkSettings, Speed, SpeedSet};

/// Speed of a link, with its lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ExtendedSpeed {
    /// 1 Gb/s.
    G1,
    /// 10 Gb/s.
    G10,
    /// 25 Gb/s.
    G25,
    /// 40 Gb/s.
    G40,
    /// 50 Gb/s on one lane (BASE-R).
    G50R,
    /// 50 Gb/s on two lanes (BASE-R2).
    G50R2,
    /// 100 Gb/s on two lanes (BASE-R2).
    G100R2,
    /// 100 Gb/s on four lanes (BASE-R4).
    G100R4,
    /// 100 Gb/s on four lanes (BASE-P4).
    G100P4,
}

impl ExtendedSpeed {
    /// All of them, in the order of their bits in an [`ExtendedSpeedSet`].
    pub const ALL: [Self; 9] = [
        Self::G1,
        Self::G10,
        Self::G25,
        Self::G40,
        Self::G50R,
        Self::G50R2,
        Self::G100R2,
        Self::G100R4,
        Self::G100P4,
    ];

    /// The same speed whatever its lanes.
    #[must_use]
    pub const fn basic(self) -> Speed {
        match self {
            Self::G1 => Speed::G1,
            Self::G10 => Speed::G10,
            Self::G25 => Speed::G25,
            Self::G40 => Speed::G40,
            Self::G50R | Self::G50R2 => Speed::G50,
            Self::G100R2 | Self::G100R4 | Self::G100P4 => Speed::G100,
        }
    }

    const fn forced(self) -> u32 {
        match self {
            Self::G1 => phy::SPEED_1G,
            Self::G10 => phy::SPEED_10G,
            Self::G25 => phy::SPEED_25G,
            Self::G40 => phy::SPEED_40G,
            Self::G50R => phy::SPEED_50G_BASE_R,
            Self::G50R2 => phy::SPEED_50G_BASE_R2,
            Self::G100R2 => phy::SPEED_100G_BASE_R2,
            Self::G100R4 => phy::SPEED_100G_BASE_R4,
            Self::G100P4 => phy::SPEED_100G_BASE_P4,
        }
    }

    const fn advertised(self) -> u32 {
        match self {
            Self::G1 => phy::ADV_SPEED_1G,
            Self::G10 => phy::ADV_SPEED_10G,
            Self::G25 => phy::ADV_SPEED_25G,
            Self::G40 => phy::ADV_SPEED_40G,
            Self::G50R => phy::ADV_SPEED_50G_BASE_R,
            Self::G50R2 => phy::ADV_SPEED_50G_BASE_R2,
            Self::G100R2 => phy::ADV_SPEED_100G_BASE_R2,
            Self::G100R4 => phy::ADV_SPEED_100G_BASE_R4,
            Self::G100P4 => phy::ADV_SPEED_100G_BASE_P4,
        }
    }
}

/// A set of extended speeds; bit n is [`ExtendedSpeed::ALL`]`[n]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ExtendedSpeedSet(pub u16);

impl ExtendedSpeedSet {
    /// Whether `speed` is in the set.
    #[must_use]
    pub const fn contains(self, speed: ExtendedSpeed) -> bool {
        self.0 & 1 << speed as u16 != 0
    }

    /// The set with `speed`.
    #[must_use]
    pub const fn with(self, speed: ExtendedSpeed) -> Self {
        Self(self.0 | 1 << speed as u16)
    }

    /// The speeds in the set, slowest first.
    pub fn iter(self) -> impl Iterator<Item = ExtendedSpeed> {
        ExtendedSpeed::ALL
            .into_iter()
            .filter(move |speed| self.contains(*speed))
    }
}

bitflags::bitflags! {
    /// Forward error corrections that may be used, for each speed. Bits stand where `fec_mode` has them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ExtendedFec: u32 {
        /// 10 Gb/s without.
        const G10_NONE = phy::FEC_10G_NONE;
        /// 10 Gb/s with the Fire code.
        const G10_FIRE_CODE = phy::FEC_10G_BASE_R;
        /// 25 Gb/s without.
        const G25_NONE = phy::FEC_25G_NONE;
        /// 25 Gb/s with the Fire code.
        const G25_FIRE_CODE = phy::FEC_25G_BASE_R;
        /// 25 Gb/s with Reed-Solomon (528,514).
        const G25_RS528 = phy::FEC_25G_RS528;
        /// 40 Gb/s without.
        const G40_NONE = phy::FEC_40G_NONE;
        /// 40 Gb/s with the Fire code.
        const G40_FIRE_CODE = phy::FEC_40G_BASE_R;
        /// 50 Gb/s without.
        const G50_NONE = phy::FEC_50G_NONE;
        /// 50 Gb/s with the Fire code.
        const G50_FIRE_CODE = phy::FEC_50G_BASE_R;
        /// 50 Gb/s with Reed-Solomon (528,514).
        const G50_RS528 = phy::FEC_50G_RS528;
        /// 50 Gb/s with Reed-Solomon (544,514).
        const G50_RS544 = phy::FEC_50G_RS544;
        /// 100 Gb/s without.
        const G100_NONE = phy::FEC_100G_NONE;
        /// 100 Gb/s with the Fire code.
        const G100_FIRE_CODE = phy::FEC_100G_BASE_R;
        /// 100 Gb/s with Reed-Solomon (528,514).
        const G100_RS528 = phy::FEC_100G_RS528;
        /// 100 Gb/s with Reed-Solomon (544,514).
        const G100_RS544 = phy::FEC_100G_RS544;
    }
}

/// What the link is told in the extended form.
///
/// | field | word of INIT_PHY |
/// |---|---|
/// | `speed` | `extended_speed` 15:0; 1 negotiates |
/// | `advertise` | `extended_speed` 31:16 |
/// | `fec` | `fec_mode` 31:8 |
///
/// For a management firmware with
/// [`Features::extended_speed`](super::features::Features::extended_speed); known drivers speak so to chips that came after
/// the 4xxxx family. Known by: source reading; the model.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::mfw::extended_link::{ExtendedFec, ExtendedLink, ExtendedSpeed};
/// use fastlinq_hal::mfw::link::LinkSettings;
///
/// // 50 Gb/s on one lane, with one of the two Reed-Solomon codes.
/// let extended = ExtendedLink {
///     speed: Some(ExtendedSpeed::G50R),
///     fec: ExtendedFec::G50_RS528 | ExtendedFec::G50_RS544,
///     ..ExtendedLink::default()
/// };
/// let settings = LinkSettings { extended: Some(extended), ..LinkSettings::default() };
/// assert!(settings.extended.is_some());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtendedLink {
    /// Speed to force; `None` negotiates.
    pub speed: Option<ExtendedSpeed>,
    /// Speeds to advertise.
    pub advertise: ExtendedSpeedSet,
    /// Error corrections that may be used; none at all leaves that to the basic form.
    pub fec: ExtendedFec,
}

#[cfg(feature = "defmt")]
impl defmt::Format for ExtendedLink {
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::write!(
            to,
            "ExtendedLink {{ speed: {}, advertise: {}, fec: {=u32:#x} }}",
            self.speed,
            self.advertise,
            self.fec.bits()
        );
    }
}

impl ExtendedLink {
    /// The word `extended_speed`.
    pub(super) fn speed_word(&self) -> u32 {
        let forced = self.speed.map_or(phy::SPEED_NONE, ExtendedSpeed::forced);
        let advertised = self.advertise.iter().map(ExtendedSpeed::advertised);
        advertised.fold(eth_phy_cfg::ETH_EXT_SPEED.val(forced).value, |word, bit| {
            word | bit
        })
    }
}

impl LinkSettings {
    /// The same wish in the basic form, to hold against the state of the link, which knows no other.
    pub(super) fn in_basic_form(&self) -> Self {
        let Some(extended) = self.extended else {
            return *self;
        };
        let advertised = extended.advertise.iter();
        Self {
            speed: extended.speed.map(ExtendedSpeed::basic),
            advertise: advertised.fold(self.advertise, |set: SpeedSet, speed| {
                set.with(speed.basic())
            }),
            fec: if extended.fec.is_empty() {
                self.fec
            } else {
                None
            },
            ..*self
        }
    }
}
