//! The adapter and its states: from Reset to Up, and back.
//!
//! ```text
//! Reset --connect--> McpReady --populate--> NvmPopulated<ImageTable>      --up--> Up<ImageTable>
//!   ^                        \-----------> NvmPopulated<BistUnsupported>  --up--> Up<BistUnsupported>
//!   |                   \-without_inventory-> NvmPopulated<InventorySkipped> --up--> Up<InventorySkipped>
//!   \----------------------------------------down------------------------------------/
//! ```
//!
//! A transition consumes the adapter and gives the next state, or [`Failed`] with the adapter in the state it was in and a
//! [`Cause`] that names the layer, the command and the raw answer. What a type does not offer, its state cannot do.
//!
//! # DMA memory
//!
//! The adapter returns no memory to the host before the chip has confirmed that it starts no more DMA for the function.
//! Where it does not confirm, the memory stays allocated for good, and that is reported: [`DownFailed::leaked`],
//! [`Adapter::leaked`], and the log.
//!
//! # Examples
//!
//! The whole way, with one queue pair's worth of vport, against the software adapter:
//!
//! ```
//! use fastlinq_hal::adapter::{Adapter, AdapterConfig};
//! use fastlinq_hal::firmware::FirmwareImage;
//! use fastlinq_hal::init::Scratch;
//! use fastlinq_hal::mfw::link::LinkSettings;
//! use fastlinq_hal::vport::{ReceiveMode, VportConfig};
//! use fastlinq_model_host::ModelHost;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = fastlinq_model::firmware_image::synthetic_image();
//! let image = FirmwareImage::parse(&file)?;
//! let mut scratch = Box::new(Scratch::new());
//!
//! let host = ModelHost::builder().build();
//! let adapter = Adapter::new(host, AdapterConfig::default())
//!     .connect()
//!     .map_err(|failed| failed.cause)?;
//! println!("management firmware {}", adapter.info().version);
//! let adapter = adapter.without_inventory();
//! let mut adapter = adapter.up(&image, &mut scratch).map_err(|failed| failed.cause)?;
//!
//! let vport = adapter.start_vport(VportConfig::default())?;
//! if let Some(address) = adapter.mac_address() {
//!     adapter.set_mac_filter(vport, address)?;
//! }
//! adapter.set_receive_mode(vport, ReceiveMode::NORMAL)?;
//! adapter.activate_vport(vport)?;
//! let link = adapter.set_link(&LinkSettings::default())?;
//! println!("link up: {}", link.up);
//!
//! let adapter = adapter.down().map_err(|failed| failed.cause)?;
//! assert!(adapter.leaked().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! What a state cannot do does not compile; bringing up without the question for the images settled:
//!
//! ```compile_fail,E0599
//! use fastlinq_hal::adapter::{Adapter, McpReady};
//! use fastlinq_hal::firmware::FirmwareImage;
//! use fastlinq_hal::host::Host;
//! use fastlinq_hal::init::Scratch;
//!
//! fn up<H: Host>(adapter: Adapter<McpReady, H>, image: &FirmwareImage<'_>, scratch: &mut Scratch) {
//!     let _ = adapter.up(image, scratch);
//! }
//! ```
//!
//! opening queues before the adapter is up:
//!
//! ```compile_fail,E0599
//! use fastlinq_hal::adapter::{Adapter, ImageTable, NvmPopulated};
//! use fastlinq_hal::host::Host;
//! use fastlinq_hal::vport::VportConfig;
//!
//! fn start<H: Host>(mut adapter: Adapter<NvmPopulated<ImageTable>, H>) {
//!     let _ = adapter.start_vport(VportConfig::default());
//! }
//! ```
//!
//! and using an adapter that went into a transition:
//!
//! ```compile_fail,E0382
//! use fastlinq_hal::adapter::{Adapter, Reset};
//! use fastlinq_hal::host::Host;
//!
//! fn twice<H: Host>(adapter: Adapter<Reset, H>) {
//!     let _ = adapter.connect();
//!     let _ = adapter.connect();
//! }
//! ```
#![allow(
    clippy::result_large_err,
    clippy::large_enum_variant,
    reason = "transitions move the whole adapter, and there is no heap to put it on"
)]

mod cause;
mod config;
mod connect;
mod declared;
mod doorbells;
mod down;
mod events;
mod evidence;
mod filters;
mod flows;
mod handle;
mod inner;
mod inventory;
mod leak;
mod link;
mod memory;
mod misuse;
mod populate;
mod queues;
mod reclaim;
mod restart;
mod rss;
mod running;
mod states;
mod statistics;
mod status_block;
mod stop;
mod tunnels;
mod up;
mod vports;

pub use cause::{Cause, Layer, Misuse};
pub use config::*;
pub use declared::FiltersFailed;
pub use doorbells::{DOORBELL_RECOVERIES, DOORBELL_RECOVERY_MS};
pub use down::DownFailed;
pub use events::Event;
pub use evidence::{Command, RawReply};
pub use filters::MULTICAST_ADDRESSES;
pub use handle::*;
pub use inventory::*;
pub use leak::LeakReport;
pub use populate::Populated;
pub use queues::{CloseFailed, OpenFailed};
pub use restart::{QueuePlace, RestartFailed};
pub use running::MAX_VPORTS;
pub use states::{Managed, McpReady, NvmPopulated, Reset, State, Up};
pub use tunnels::TunnelConfig;
