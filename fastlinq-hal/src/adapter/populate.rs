//! McpReady -> NvmPopulated: the images in the flash, if the management firmware knows how to tell.

use core::fmt;

use super::cause::Cause;
use super::handle::{Adapter, AnyAdapter, AnyFailed, Failed};
use super::inventory::{BistUnsupported, ImageTable, Inventory, InventorySkipped};
use super::states::{McpReady, NvmPopulated};
use crate::firmware::FirmwareImage;
use crate::host::Host;
use crate::init::Scratch;
use crate::log::info;
use crate::mfw::bist::{self, Images};

/// The two good outcomes of [`populate`](Adapter::populate).
pub enum Populated<H: Host> {
    /// The images are known.
    Images(Adapter<NvmPopulated<ImageTable>, H>),
    /// The management firmware does not know BIST_TEST.
    Unsupported(Adapter<NvmPopulated<BistUnsupported>, H>),
}

impl<H: Host> Populated<H> {
    /// Brings the adapter up, whichever outcome it was; see [`Adapter::up`].
    ///
    /// # Errors
    ///
    /// [`AnyFailed`], with the adapter as it was.
    pub fn up(
        self,
        image: &FirmwareImage<'_>,
        scratch: &mut Scratch,
    ) -> Result<AnyAdapter<H>, AnyFailed<H>> {
        match self {
            Self::Images(adapter) => Ok(adapter.up(image, scratch)?.into()),
            Self::Unsupported(adapter) => Ok(adapter.up(image, scratch)?.into()),
        }
    }

    /// The adapter with images, if that is the outcome.
    #[must_use]
    pub fn images(self) -> Option<Adapter<NvmPopulated<ImageTable>, H>> {
        match self {
            Self::Images(adapter) => Some(adapter),
            Self::Unsupported(_) => None,
        }
    }
}

impl<H: Host> From<Populated<H>> for AnyAdapter<H> {
    fn from(populated: Populated<H>) -> Self {
        match populated {
            Populated::Images(adapter) => adapter.into(),
            Populated::Unsupported(adapter) => adapter.into(),
        }
    }
}

impl<H: Host> fmt::Debug for Populated<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images(adapter) => adapter.fmt(f),
            Self::Unsupported(adapter) => adapter.fmt(f),
        }
    }
}

impl<H: Host> Adapter<McpReady, H> {
    /// Asks for the images in the flash: BIST_TEST 3 for their number, BIST_TEST 4 for each.
    ///
    /// | answer to BIST_TEST | to |
    /// |---|---|
    /// | 0x0016 and a table | [`NvmPopulated<ImageTable>`] |
    /// | 0x0000, whatever its parameter | [`NvmPopulated<BistUnsupported>`] |
    /// | anything else, or an impossible table | [`McpReady`], in [`Failed`], with the raw answer |
    /// | none | [`McpReady`], in [`Failed`] |
    ///
    /// No card must fail for want of this table: from [`McpReady`] the caller may go on with
    /// [`without_inventory`](Self::without_inventory).
    ///
    /// # Errors
    ///
    /// [`Failed`] with the adapter in [`McpReady`].
    ///
    /// # Examples
    ///
    /// ```
    /// use fastlinq_hal::adapter::{Adapter, AdapterConfig, AnyAdapter, Populated};
    /// use fastlinq_model_host::{ModelHost, model::mfw::Persona};
    ///
    /// let host = ModelHost::builder().persona(Persona::by_name("bist-unsupported").unwrap()).build();
    /// let adapter = Adapter::new(host, AdapterConfig::default()).connect().map_err(|failed| failed.cause)?;
    /// match adapter.populate() {
    ///     Ok(Populated::Images(adapter)) => println!("{} images", adapter.images().len()),
    ///     Ok(Populated::Unsupported(adapter)) => println!("parameter {}", adapter.unsupported_param()),
    ///     Err(failed) => {
    ///         eprintln!("{}", failed.cause);
    ///         let adapter = failed.adapter.without_inventory();
    ///         assert_eq!(adapter.state_name(), "NvmPopulated");
    ///     }
    /// }
    /// # Ok::<(), fastlinq_hal::adapter::Cause>(())
    /// ```
    pub fn populate(mut self) -> Result<Populated<H>, Failed<McpReady, H>> {
        info!("from McpReady to NvmPopulated: which images the flash has");
        match bist::images(&mut self.inner.core) {
            Ok(Images::Table(images)) => {
                let inventory = ImageTable::new(images);
                Ok(Populated::Images(
                    self.with_state(NvmPopulated { inventory }),
                ))
            }
            Ok(Images::Unsupported { param, .. }) => {
                let inventory = BistUnsupported { param };
                Ok(Populated::Unsupported(
                    self.with_state(NvmPopulated { inventory }),
                ))
            }
            Ok(Images::Refused(refused)) => Err(self.failed(Cause::Images(refused))),
            Err(error) => Err(self.failed(error.into())),
        }
    }

    /// Goes on without asking for the images, or after a refusal.
    #[must_use]
    pub fn without_inventory(self) -> Adapter<NvmPopulated<InventorySkipped>, H> {
        info!("from McpReady to NvmPopulated: going on without the images of the flash");
        self.with_state(NvmPopulated {
            inventory: InventorySkipped,
        })
    }
}

impl<I: Inventory, H: Host> Adapter<NvmPopulated<I>, H> {
    /// Forgets what is known of the images. Nothing is asked.
    ///
    /// A program that goes the same way with and without a table of images needs one type from here on, and therefore one
    /// copy of its code.
    ///
    /// # Examples
    ///
    /// ```
    /// use fastlinq_hal::adapter::{Adapter, InventorySkipped, McpReady, NvmPopulated, Populated};
    /// use fastlinq_hal::host::Host;
    ///
    /// fn any<H: Host>(adapter: Adapter<McpReady, H>) -> Adapter<NvmPopulated<InventorySkipped>, H> {
    ///     match adapter.populate() {
    ///         Ok(Populated::Images(adapter)) => adapter.forget_inventory(),
    ///         Ok(Populated::Unsupported(adapter)) => adapter.forget_inventory(),
    ///         Err(failed) => failed.adapter.without_inventory(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn forget_inventory(self) -> Adapter<NvmPopulated<InventorySkipped>, H> {
        self.with_state(NvmPopulated {
            inventory: InventorySkipped,
        })
    }
}
