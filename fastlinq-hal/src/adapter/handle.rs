//! The adapter in one of its states, failed transitions, and the erased handle.

use core::fmt;

use super::cause::Cause;
use super::config::AdapterConfig;
use super::inner::Inner;
use super::inventory::{BistUnsupported, ImageTable, InventorySkipped};
use super::leak::LeakReport;
use super::states::{McpReady, NvmPopulated, Reset, State, Up};
use crate::access::FunctionIdentity;
use crate::core_state::Core;
use crate::host::{AllocationError, DmaAllocator, Host};
use crate::mfw::function::FunctionConfig;
use crate::mfw::nvm_config::NvmConfig;
use crate::mfw::resources::Shares;
use crate::mfw::{MfwInfo, Transcript};

/// An adapter in state `S`, on a host `H`.
///
/// | state | what may be done | next |
/// |---|---|---|
/// | [`Reset`] | [`connect`](Adapter::connect) | [`McpReady`] |
/// | [`McpReady`] | [`populate`](Adapter::populate), [`without_inventory`](Adapter::without_inventory) | [`NvmPopulated`] |
/// | [`NvmPopulated`] | [`up`](Adapter::up) | [`Up`] |
/// | [`Up`] | vports, queues, filters, link, events, [`down`](Adapter::down) | [`Reset`] |
///
/// A transition consumes the adapter and gives the next state, or [`Failed`] with the adapter in the state it was in and
/// the cause. Whatever the state, dropping the adapter leaves the storm firmware unloaded if the device lets it, within
/// bounded time, and returns no DMA memory that the device may still write to.
///
/// # Examples
///
/// ```
/// use fastlinq_hal::adapter::{Adapter, AdapterConfig, AnyAdapter};
/// use fastlinq_model_host::ModelHost;
///
/// let adapter = Adapter::new(ModelHost::builder().build(), AdapterConfig::default());
/// let adapter = adapter.connect()?;
/// assert_eq!(adapter.identity().rel_pf, 0);
/// let stored: AnyAdapter<_> = adapter.into();
/// assert_eq!(stored.state_name(), "McpReady");
/// # Ok::<(), fastlinq_hal::adapter::Failed<fastlinq_hal::adapter::Reset, ModelHost>>(())
/// ```
pub struct Adapter<S: State, H: Host> {
    pub(super) inner: Inner<H>,
    pub(super) state: S,
}

/// An adapter of which nothing is known and nothing is in use.
pub type ResetAdapter<H> = Adapter<Reset, H>;
/// An adapter whose management firmware answers.
pub type McpReadyAdapter<H> = Adapter<McpReady, H>;
/// An adapter whose flash images are known.
pub type ImagesAdapter<H> = Adapter<NvmPopulated<ImageTable>, H>;
/// An adapter whose management firmware does not know BIST_TEST.
pub type BistUnsupportedAdapter<H> = Adapter<NvmPopulated<BistUnsupported>, H>;
/// An adapter whose flash images were not asked for, or refused.
pub type SkippedAdapter<H> = Adapter<NvmPopulated<InventorySkipped>, H>;
/// An adapter that is up and whose flash images are known.
pub type UpWithImages<H> = Adapter<Up<ImageTable>, H>;
/// An adapter that is up and whose management firmware does not know BIST_TEST.
pub type UpWithoutBist<H> = Adapter<Up<BistUnsupported>, H>;
/// An adapter that is up without an inventory.
pub type UpSkipped<H> = Adapter<Up<InventorySkipped>, H>;

impl<S: State, H: Host> Adapter<S, H> {
    /// Name of the state.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        S::NAME
    }

    /// The last exchanges with the management firmware, also those of failed transitions.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.inner.core.transcript
    }

    /// Who the function is; all zero in state [`Reset`] before the first [`connect`](Adapter::connect).
    #[must_use]
    pub fn identity(&self) -> &FunctionIdentity {
        &self.inner.core.identity
    }

    /// What the management firmware said about itself and the function.
    #[must_use]
    pub fn info(&self) -> &MfwInfo {
        &self.inner.core.mfw
    }

    /// What the management firmware has for the function; `None` before the first [`connect`](Adapter::connect).
    #[must_use]
    pub fn function(&self) -> Option<&FunctionConfig> {
        self.inner.function.as_ref()
    }

    /// What the flash has for card, port and function; `None` before the first [`connect`](Adapter::connect), or when it
    /// could not be read.
    #[must_use]
    pub fn nvm_config(&self) -> Option<&NvmConfig> {
        self.inner.nvm.as_ref()
    }

    /// The function's shares of the chip's resources; empty before the first [`connect`](Adapter::connect).
    #[must_use]
    pub fn shares(&self) -> &Shares {
        &self.inner.shares
    }

    /// Address of the function: the one of the configuration, or that of the management firmware.
    #[must_use]
    pub fn mac_address(&self) -> Option<[u8; 6]> {
        let given = self
            .inner
            .function
            .as_ref()
            .and_then(|function| function.mac_address);
        self.inner.config.mac_address.or(given)
    }

    /// What the caller decided.
    #[must_use]
    pub fn config(&self) -> &AdapterConfig {
        &self.inner.config
    }

    /// DMA memory of this adapter that was not returned to the host so far, because the device did not confirm that it
    /// no longer writes to it. It stays allocated for good.
    #[must_use]
    pub fn leaked(&self) -> LeakReport {
        self.inner.leaked
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &H {
        &self.inner.core.host
    }

    /// What every state works on.
    pub(crate) fn core_mut(&mut self) -> &mut Core<H> {
        &mut self.inner.core
    }

    pub(super) fn with_state<T: State>(self, state: T) -> Adapter<T, H> {
        Adapter {
            inner: self.inner,
            state,
        }
    }

    pub(super) fn failed(self, cause: Cause) -> Failed<S, H> {
        crate::log::warning!("{} stays: {}", S::NAME, cause);
        Failed {
            adapter: self,
            cause,
        }
    }
}

/// DMA memory of the adapter's host, for the rings and buffers of queue pairs.
impl<S: State, H: Host> DmaAllocator for Adapter<S, H> {
    type Region = H::Region;

    fn allocate(&mut self, size: usize, align: usize) -> Result<H::Region, AllocationError> {
        self.inner.core.host.allocate(size, align)
    }
}

impl<S: State, H: Host> fmt::Debug for Adapter<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter")
            .field("state", &S::NAME)
            .field("core", &self.inner.core)
            .finish()
    }
}

/// A transition that did not happen: the adapter in the state it was in, and why.
///
/// Nothing of the attempt is left on the device if the device let it be undone; [`Adapter::leaked`] tells whether memory
/// was lost. The transition may be tried again.
#[must_use]
pub struct Failed<S: State, H: Host> {
    /// The adapter, in the state it was in before.
    pub adapter: Adapter<S, H>,
    /// Why the transition failed.
    pub cause: Cause,
}

impl<S: State, H: Host> fmt::Debug for Failed<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("state", &S::NAME)
            .field("cause", &self.cause)
            .finish()
    }
}

impl<S: State, H: Host> fmt::Display for Failed<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl<S: State, H: Host> core::error::Error for Failed<S, H> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// A transition that did not happen, whatever the state.
#[must_use]
pub struct AnyFailed<H: Host> {
    /// The adapter, in the state it was in before.
    pub adapter: AnyAdapter<H>,
    /// Why the transition failed.
    pub cause: Cause,
}

impl<H: Host> fmt::Debug for AnyFailed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyFailed")
            .field("state", &self.adapter.state_name())
            .field("cause", &self.cause)
            .finish()
    }
}

impl<H: Host> fmt::Display for AnyFailed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl<H: Host> core::error::Error for AnyFailed<H> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}

macro_rules! any_adapter {
    ($($(#[$doc:meta])* $variant:ident($state:ty),)*) => {
        /// An adapter in any state, for storage; match it to get the typed adapter back.
        pub enum AnyAdapter<H: Host> {
            $($(#[$doc])* $variant(Adapter<$state, H>),)*
        }

        impl<H: Host> AnyAdapter<H> {
            /// Name of the state.
            #[must_use]
            pub fn state_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(adapter) => adapter.state_name(),)*
                }
            }

            /// The last exchanges with the management firmware.
            #[must_use]
            pub fn transcript(&self) -> &Transcript {
                match self {
                    $(Self::$variant(adapter) => adapter.transcript(),)*
                }
            }

            /// Who the function is.
            #[must_use]
            pub fn identity(&self) -> &FunctionIdentity {
                match self {
                    $(Self::$variant(adapter) => adapter.identity(),)*
                }
            }

            /// What the management firmware said about itself and the function.
            #[must_use]
            pub fn info(&self) -> &MfwInfo {
                match self {
                    $(Self::$variant(adapter) => adapter.info(),)*
                }
            }
        }

        impl<H: Host> fmt::Debug for AnyAdapter<H> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant(adapter) => adapter.fmt(f),)*
                }
            }
        }

        $(impl<H: Host> From<Failed<$state, H>> for AnyFailed<H> {
            fn from(failed: Failed<$state, H>) -> Self {
                Self { adapter: AnyAdapter::$variant(failed.adapter), cause: failed.cause }
            }
        })*

        $(impl<H: Host> From<Adapter<$state, H>> for AnyAdapter<H> {
            fn from(adapter: Adapter<$state, H>) -> Self {
                Self::$variant(adapter)
            }
        })*
    };
}

any_adapter! {
    /// Nothing known.
    Reset(Reset),
    /// The management firmware answers.
    McpReady(McpReady),
    /// The flash images are known.
    Images(NvmPopulated<ImageTable>),
    /// The management firmware does not know BIST_TEST.
    BistUnsupported(NvmPopulated<BistUnsupported>),
    /// Nobody asked for the flash images.
    Skipped(NvmPopulated<InventorySkipped>),
    /// Up, with the flash images.
    UpWithImages(Up<ImageTable>),
    /// Up, without BIST_TEST.
    UpWithoutBist(Up<BistUnsupported>),
    /// Up, without an inventory.
    UpSkipped(Up<InventorySkipped>),
}

impl<H: Host> Adapter<Reset, H> {
    /// An adapter of which nothing is known; the device is not touched.
    #[must_use]
    pub fn new(host: H, config: AdapterConfig) -> Self {
        Self {
            inner: Inner::new(host, config),
            state: Reset,
        }
    }
}

/// The images in the flash; only with an inventory.
///
/// ```compile_fail,E0599
/// use fastlinq_hal::adapter::{Adapter, BistUnsupported, NvmPopulated};
/// use fastlinq_hal::host::Host;
///
/// fn images<H: Host>(adapter: &Adapter<NvmPopulated<BistUnsupported>, H>) -> usize {
///     adapter.images().len()
/// }
/// ```
///
/// ```compile_fail,E0599
/// use fastlinq_hal::adapter::{Adapter, InventorySkipped, NvmPopulated};
/// use fastlinq_hal::host::Host;
///
/// fn images<H: Host>(adapter: &Adapter<NvmPopulated<InventorySkipped>, H>) -> usize {
///     adapter.images().len()
/// }
/// ```
///
/// ```compile_fail,E0599
/// use fastlinq_hal::adapter::{Adapter, McpReady};
/// use fastlinq_hal::host::Host;
///
/// fn images<H: Host>(adapter: &Adapter<McpReady, H>) -> usize {
///     adapter.images().len()
/// }
/// ```
///
/// With one:
///
/// ```
/// use fastlinq_hal::adapter::{Adapter, ImageTable, NvmPopulated};
/// use fastlinq_hal::host::Host;
///
/// fn images<H: Host>(adapter: &Adapter<NvmPopulated<ImageTable>, H>) -> usize {
///     adapter.images().len()
/// }
/// ```
impl<H: Host> Adapter<NvmPopulated<ImageTable>, H> {
    /// The images in the flash, in the order of the management firmware's table.
    #[must_use]
    pub fn images(&self) -> &[super::FlashImage] {
        self.state.inventory.images()
    }
}

/// The images in the flash, of an adapter that is up; only with an inventory.
///
/// ```compile_fail,E0599
/// use fastlinq_hal::adapter::{Adapter, BistUnsupported, Up};
/// use fastlinq_hal::host::Host;
///
/// fn images<H: Host>(adapter: &Adapter<Up<BistUnsupported>, H>) -> usize {
///     adapter.images().len()
/// }
/// ```
///
/// ```compile_fail,E0599
/// use fastlinq_hal::adapter::{Adapter, InventorySkipped, Up};
/// use fastlinq_hal::host::Host;
///
/// fn images<H: Host>(adapter: &Adapter<Up<InventorySkipped>, H>) -> usize {
///     adapter.images().len()
/// }
/// ```
///
/// With one:
///
/// ```
/// use fastlinq_hal::adapter::{Adapter, ImageTable, Up};
/// use fastlinq_hal::host::Host;
///
/// fn images<H: Host>(adapter: &Adapter<Up<ImageTable>, H>) -> usize {
///     adapter.images().len()
/// }
/// ```
impl<H: Host> Adapter<Up<ImageTable>, H> {
    /// The images in the flash, in the order of the management firmware's table.
    #[must_use]
    pub fn images(&self) -> &[super::FlashImage] {
        self.state.inventory.images()
    }
}

impl<H: Host> Adapter<NvmPopulated<BistUnsupported>, H> {
    /// Parameter that came with the answer "unsupported"; it means nothing.
    #[must_use]
    pub fn unsupported_param(&self) -> u32 {
        self.state.inventory.param
    }
}
