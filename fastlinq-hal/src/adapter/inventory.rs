//! What is known of the images in the adapter's flash.

use core::fmt;

use heapless::Vec;

pub use crate::mfw::bist::{FlashImage, MAX_IMAGES};

use super::states::sealed::Sealed;

/// The outcome of the question for the flash images: [`ImageTable`], [`BistUnsupported`] or [`InventorySkipped`].
pub trait Inventory: Sealed + Clone + fmt::Debug {}

/// The images in the flash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageTable {
    images: Vec<FlashImage, MAX_IMAGES>,
}

impl ImageTable {
    pub(crate) fn new(images: Vec<FlashImage, MAX_IMAGES>) -> Self {
        Self { images }
    }

    /// The images in the order of the management firmware's table.
    #[must_use]
    pub fn images(&self) -> &[FlashImage] {
        &self.images
    }
}

/// The management firmware does not know BIST_TEST, as those of older cards; it answered 0x0000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BistUnsupported {
    /// Parameter of the answer; it means nothing, whatever it is.
    pub param: u32,
}

/// The caller went on without asking, or after the management firmware had refused the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct InventorySkipped;

impl Sealed for ImageTable {}
impl Sealed for BistUnsupported {}
impl Sealed for InventorySkipped {}
impl Inventory for ImageTable {}
impl Inventory for BistUnsupported {}
impl Inventory for InventorySkipped {}
