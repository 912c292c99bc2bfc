//! Words in host memory that the device writes, as volatile-register types.
//!
//! A status block, an attention block and a DMA completion word change behind the compiler's back; every
//! look at them must be a load. The types lie over the memory itself, so they belong only where the host's
//! DMA memory is lent out with that in mind.

use volatile_register::{RO, RW};

/// A status block: 32 bytes that the CAU writes as a whole.
///
/// Read [`prod_index`](Self::prod_index) before the protocol indexes that it is to acknowledge, with a read
/// barrier between; the other order can lose an interrupt. Words are little-endian.
#[repr(C)]
pub struct StatusBlockWords {
    /// Protocol indexes: free-running 16-bit counters.
    pub pi: [RO<u16>; 12],
    /// Number of the status block in bits 8:0.
    pub sb_num: RO<u32>,
    /// The status block's own producer in bits 23:0.
    pub prod_index: RO<u32>,
}

/// The attention block of a PF: 16 bytes.
#[repr(C)]
pub struct AttentionBlockWords {
    /// The attention lines as they are now.
    pub bits: RO<u32>,
    /// Those of them that were acknowledged through the IGU.
    pub ack: RO<u32>,
    /// Not used.
    pub reserved0: RO<u16>,
    /// Counts the updates of this block.
    pub index: RO<u16>,
    /// Not used.
    pub reserved1: RO<u32>,
}

/// The word that the DMA engine writes when a command is complete; the driver stores 0 before the next.
#[repr(C)]
pub struct DmaeCompletionWord {
    /// 0, or [`DmaeCompletionWord::DONE`].
    pub value: RW<u32>,
}

impl DmaeCompletionWord {
    /// The value that drivers ask the engine to write.
    pub const DONE: u32 = 0xd1ae;
}

const _: () = {
    assert!(size_of::<StatusBlockWords>() == 32);
    assert!(core::mem::offset_of!(StatusBlockWords, sb_num) == 24);
    assert!(core::mem::offset_of!(StatusBlockWords, prod_index) == 28);
    assert!(size_of::<AttentionBlockWords>() == 16);
    assert!(core::mem::offset_of!(AttentionBlockWords, ack) == 4);
    assert!(core::mem::offset_of!(AttentionBlockWords, index) == 10);
    assert!(size_of::<DmaeCompletionWord>() == 4);
};
