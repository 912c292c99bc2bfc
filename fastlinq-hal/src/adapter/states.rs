//! The states of an adapter.

use super::inventory::Inventory;

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A state of an adapter: one of [`Reset`], [`McpReady`], [`NvmPopulated`], [`Up`].
pub trait State: sealed::Sealed {
    /// Name of the state.
    const NAME: &'static str;
}

/// Nothing is known of the adapter and nothing of it is in use.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Reset;

/// The management firmware answers, and what it says of the function is known.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct McpReady;

/// The question for the flash images is settled: `I` is [`ImageTable`], [`BistUnsupported`] or [`InventorySkipped`].
///
/// [`ImageTable`]: super::ImageTable
/// [`BistUnsupported`]: super::BistUnsupported
/// [`InventorySkipped`]: super::InventorySkipped
#[derive(Clone, Debug)]
pub struct NvmPopulated<I> {
    pub(crate) inventory: I,
}

/// The storm firmware runs, the function is started, and queues can be opened.
#[derive(Clone, Debug)]
pub struct Up<I> {
    pub(crate) inventory: I,
}

/// A state in which the management firmware answers: all but [`Reset`].
pub trait Managed: State {}

impl Managed for McpReady {}
impl<I: Inventory> Managed for NvmPopulated<I> {}
impl<I: Inventory> Managed for Up<I> {}

impl sealed::Sealed for Reset {}
impl sealed::Sealed for McpReady {}
impl<I: Inventory> sealed::Sealed for NvmPopulated<I> {}
impl<I: Inventory> sealed::Sealed for Up<I> {}

impl State for Reset {
    const NAME: &'static str = "Reset";
}
impl State for McpReady {
    const NAME: &'static str = "McpReady";
}
impl<I: Inventory> State for NvmPopulated<I> {
    const NAME: &'static str = "NvmPopulated";
}
impl<I: Inventory> State for Up<I> {
    const NAME: &'static str = "Up";
}
