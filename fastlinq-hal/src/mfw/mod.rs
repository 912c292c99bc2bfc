//! The management firmware (MFW): its shared memory, its mailbox, and what can be asked of it.
//!
//! An on-chip processor runs the MFW from flash. It owns the PHY and the link, the flash, the sensors, and the
//! arbitration between drivers. A driver talks to it through a RAM: it reads *sections* whose place the MFW
//! announces, and it sends *commands* through a mailbox, one at a time.
//!
//! What the MFW answers is a value, [`Answer`]: done, unsupported, or refused with a code. Only what keeps an
//! answer from coming is an error ([`MailboxError`]). An old MFW answers 0 to every command that is newer than
//! itself, and 0 must never keep a card from working.
//!
//! | state | driver does | MFW | next |
//! |---|---|---|---|
//! | detached | [`attach`] | sections consistent | attached |
//! | attached | command | echo of the sequence number in 5 s | attached |
//! | attached | command | restarted (its restart counter differs) | attached anew, then the command |
//! | attached | command | silence for 5 s | blocked, but not after LOAD_REQ and UNLOAD_REQ |
//! | blocked | [`resume`] | runs | attached |
//!
//! Known by: source reading (Linux 6.12, DPDK), unless a page says otherwise.

mod answer;
mod attach;
pub mod bist;
pub mod board;
pub mod events;
pub mod extended_link;
pub mod features;
pub mod function;
mod halt;
mod info;
pub mod link;
pub mod link_report;
pub mod load;
pub mod lock;
mod mac;
mod mailbox;
mod names;
pub mod notify;
pub mod nvm;
pub mod nvm_config;
pub mod port_statistics;
pub mod pulse;
pub mod reset;
pub mod resources;
mod section;
pub mod transceiver;
mod transcript;

pub use answer::{Answer, Reply};
pub use attach::{AttachError, attach};
pub use halt::{HaltError, HangReport, halt, resume};
pub use info::{MfwInfo, MfwVersion};
pub use mailbox::{ANSWER_BUDGET_US, Mailbox, MailboxContext, MailboxError};
pub use names::response_name;
pub use section::{Element, SectionError, SharedMemory};
pub use transcript::{Exchange, Outcome, TRANSCRIPT_LENGTH, Transcript};

pub(crate) use mac::{mac_dwords, mac_from_dwords};
pub(crate) use section::read_field;
