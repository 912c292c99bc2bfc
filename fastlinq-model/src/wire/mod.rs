//! What a port is plugged into.

/// The other end of a port's cable.
pub trait Wire: Send {
    /// The adapter sends a frame, without FCS.
    fn transmit(&mut self, frame: &[u8]);
    /// A frame for the adapter, without FCS, if one is waiting.
    fn receive(&mut self) -> Option<Vec<u8>>;
}
