//! What the caller decides before the adapter is touched.

/// Role in which the driver asks the management firmware for the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DriverRole {
    /// A driver before the operating system.
    PreBoot,
    /// The operating system's driver.
    #[default]
    OperatingSystem,
    /// The driver of a crash kernel.
    CrashKernel,
}

/// Whether the load may push out a driver that the management firmware believes to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ForcePolicy {
    /// An operating system pushes out a pre-boot driver, a crash kernel pushes out an operating system.
    #[default]
    ByRole,
    /// Whoever is loaded is pushed out.
    Always,
    /// Nobody is pushed out.
    Never,
}

/// How the adapter tells the host about work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InterruptMode {
    /// Not at all: the caller looks.
    #[default]
    Polling,
    /// By MSI-X: vector 0 for the slow path, vector k+1 for queue pair k.
    MsiX,
}

/// What the caller decides before the adapter is touched.
///
/// | field | default |
/// |---|---|
/// | `queue_pairs` | 1 |
/// | `mtu` | what the management firmware says, or 1500 |
/// | `mac_address` | what the management firmware says |
/// | `interrupts` | polling |
/// | `role` | operating system |
/// | `force` | by role |
/// | `function_reset` | yes |
/// | `flow_steering` | no |
/// | `queue_statistics` | no |
///
/// # Examples
///
/// ```
/// use fastlinq_hal::adapter::{AdapterConfig, InterruptMode};
///
/// let config = AdapterConfig { queue_pairs: 4, ..AdapterConfig::default() };
/// assert_eq!(config.interrupts, InterruptMode::Polling);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AdapterConfig {
    /// Queue pairs wanted; the adapter gives as many as its resources allow, at most [`MAX_QUEUE_PAIRS`].
    pub queue_pairs: u16,
    /// Largest Ethernet payload in bytes.
    pub mtu: Option<u16>,
    /// Address to use instead of the one that the management firmware has for the function.
    pub mac_address: Option<[u8; 6]>,
    /// Polling or MSI-X.
    pub interrupts: InterruptMode,
    /// Role of this driver.
    pub role: DriverRole,
    /// Whether a loaded driver may be pushed out.
    pub force: ForcePolicy,
    /// Ask the management firmware for a function-level reset while connecting, so that nothing of an earlier driver is
    /// left.
    pub function_reset: bool,
    /// Have memory for steering flows to queue pairs: 100 KiB more of DMA memory. Without it
    /// [`add_flow`](super::Adapter::add_flow) refuses.
    pub flow_steering: bool,
    /// Have the firmware count for each queue pair apart, for
    /// [`queue_statistics`](super::Adapter::queue_statistics). Each takes a number of the function's share of vports, from its
    /// end, while it is open; queue pairs for which none is left are counted with their vport only.
    pub queue_statistics: bool,
}

/// Most queue pairs that one adapter handle keeps track of.
pub const MAX_QUEUE_PAIRS: usize = 64;

/// Largest MTU in bytes that the chip transmits: 9672 minus Ethernet header and one VLAN tag.
pub const MAX_MTU: u16 = 9600;

/// Smallest MTU in bytes that is accepted.
pub const MIN_MTU: u16 = 68;

/// MTU in bytes when neither the caller nor the management firmware names one.
pub const DEFAULT_MTU: u16 = 1500;

impl Default for AdapterConfig {
    fn default() -> Self {
        Self {
            queue_pairs: 1,
            mtu: None,
            mac_address: None,
            interrupts: InterruptMode::Polling,
            role: DriverRole::OperatingSystem,
            force: ForcePolicy::ByRole,
            function_reset: true,
            flow_steering: false,
            queue_statistics: false,
        }
    }
}
