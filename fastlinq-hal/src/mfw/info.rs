//! What the management firmware says about itself and the function.

use core::fmt;

use fastlinq_pac::mfw::public_global;

use super::features::Features;
use crate::core_state::Core;
use crate::host::Host;

/// Version of the management firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MfwVersion(pub u32);

impl MfwVersion {
    /// Byte `index` of the version, 3 the most significant.
    #[must_use]
    pub const fn part(self, index: u32) -> u8 {
        (self.0 >> (8 * (index & 3))) as u8
    }
}

impl fmt::Display for MfwVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0.to_be_bytes();
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

/// What the management firmware said about itself and the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MfwInfo {
    /// Its version.
    pub version: MfwVersion,
    /// Its features; none before [`features::query`](super::features::query).
    pub features: Features,
    /// Whether the driver has asked for the link.
    pub link_wanted: bool,
}

pub(crate) fn read_version<H: Host>(core: &mut Core<H>) {
    let version = core.mailbox.global().map_or(0, |global| {
        global.read_or_zero(&core.windows, public_global::offset::MFW_VER)
    });
    core.mfw.version = MfwVersion(version);
}
