//! What a queue pair has done, counted by the program.

use crate::completion::FrameError;

/// Counters of a queue pair, both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counters {
    /// Receive direction.
    pub receive: ReceiveCounters,
    /// Transmit direction.
    pub transmit: TransmitCounters,
}

/// Counters of the receive direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ReceiveCounters {
    /// Frames handed to the program.
    pub packets: u64,
    /// Their bytes, without FCS.
    pub bytes: u64,
    /// Frames among them that took more than one buffer.
    pub scattered: u64,
    /// Frames among them that the device made of several.
    pub aggregated: u64,
    /// Completions of aggregations that contradict themselves or those before them; their buffers were recycled.
    pub bad_aggregations: u64,
    /// Completions of frames shorter than an Ethernet header; their buffers were recycled.
    pub too_short: u64,
    /// Completions whose first part is empty or longer than the frame; their buffers were recycled.
    pub bad_first_length: u64,
    /// Completions whose first part leaves the buffer; their buffers were recycled.
    pub bad_placement: u64,
    /// Completions whose number of buffers does not fit the length; their buffers were recycled.
    pub bad_segments: u64,
    /// Slow-path completions.
    pub slow_path: u64,
    /// Buffers given to the device.
    pub posted: u64,
    /// Times that the producers were told to the device.
    pub publishes: u64,
    /// Times that the ring was to be refilled and no buffer was free.
    pub starved: u64,
}

impl ReceiveCounters {
    /// Completions whose frame was thrown away because it could not be what they said.
    pub const fn errors(&self) -> u64 {
        self.too_short
            + self.bad_first_length
            + self.bad_placement
            + self.bad_segments
            + self.bad_aggregations
    }

    pub(crate) fn count(&mut self, error: FrameError) {
        let counter = match error {
            FrameError::TooShort => &mut self.too_short,
            FrameError::FirstLength => &mut self.bad_first_length,
            FrameError::Placement => &mut self.bad_placement,
            FrameError::Segments => &mut self.bad_segments,
        };
        *counter += 1;
    }
}

/// Counters of the transmit direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TransmitCounters {
    /// Packets put on the ring.
    pub packets: u64,
    /// Their bytes, without FCS and padding.
    pub bytes: u64,
    /// Descriptors that they took.
    pub descriptors: u64,
    /// Descriptors that the device has completed.
    pub completed: u64,
    /// Packets shorter than 60 bytes that were filled up with zeros.
    pub padded: u64,
    /// Packets refused because they break a rule of the chip.
    pub refused: u64,
    /// Times that the ring had no room for a packet.
    pub full: u64,
    /// Doorbells rung.
    pub doorbells: u64,
}
