//! Doorbells: dwords written to BAR2.
//!
//! The first part of the BAR, the *normal* region, has one doorbell per connection, four bytes times the
//! connection id; behind it are the pages of the PWM region. Known by: source reading and the model.

/// Where the value of a doorbell goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// XCM: transmit and the slow-path queue.
    Xcm,
    /// UCM.
    Ucm,
    /// TCM.
    Tcm,
}

/// What is done with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// Nothing.
    Nop,
    /// Stored.
    Set,
    /// Added.
    Add,
    /// The greater of old and new is kept, so ringing twice does no harm.
    Max,
}

/// A doorbell: destination 1:0, aggregation 3:2, bypass 4, value select 7:6, flags 15:8, value 31:16.
///
/// ```
/// use fastlinq_pac::doorbell::Doorbell;
/// assert_eq!(Doorbell::slow_path(1).word(), 0x0001_108c);
/// assert_eq!(Doorbell::slow_path(1).address(0), 0);
/// assert_eq!(Doorbell::transmit(0x20).address(17), 68);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doorbell(u32);

impl Doorbell {
    /// Value select of the transmit BD and slow-path producers in XCM (its word 4).
    pub const SELECT_PRODUCER: u8 = 2;
    /// Flag that wakes the connection in XCM (its coordination flag 18).
    pub const FLAG_DQ_CF: u8 = 0x10;
    /// Flag that ends the connection in XCM (its coordination flag 19).
    pub const FLAG_TERMINATE: u8 = 0x20;
    /// Flag of the slow path in XCM (its coordination flag 22).
    pub const FLAG_SLOW_PATH: u8 = 0x40;

    /// A doorbell of the given parts, bypass off.
    pub const fn new(
        destination: Destination,
        aggregation: Aggregation,
        select: u8,
        flags: u8,
        value: u16,
    ) -> Self {
        let destination = match destination {
            Destination::Xcm => 0,
            Destination::Ucm => 1,
            Destination::Tcm => 2,
        };
        let aggregation = match aggregation {
            Aggregation::Nop => 0,
            Aggregation::Set => 1,
            Aggregation::Add => 2,
            Aggregation::Max => 3,
        };
        Self(
            destination
                | aggregation << 2
                | (select as u32 & 3) << 6
                | (flags as u32) << 8
                | (value as u32) << 16,
        )
    }

    /// The slow-path queue's producer.
    pub const fn slow_path(producer: u16) -> Self {
        Self::new(
            Destination::Xcm,
            Aggregation::Max,
            Self::SELECT_PRODUCER,
            Self::FLAG_DQ_CF,
            producer,
        )
    }

    /// An Ethernet transmit queue's BD producer.
    pub const fn transmit(producer: u16) -> Self {
        Self::new(
            Destination::Xcm,
            Aggregation::Set,
            Self::SELECT_PRODUCER,
            Self::FLAG_DQ_CF,
            producer,
        )
    }

    /// A doorbell as read from the bus.
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// The dword to write.
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The offset in BAR2 of the doorbell of connection `cid` in the normal region.
    pub const fn address(self, cid: u32) -> u32 {
        cid * 4
    }

    /// The destination, or `None` for the reserved one.
    pub const fn destination(self) -> Option<Destination> {
        match self.0 & 3 {
            0 => Some(Destination::Xcm),
            1 => Some(Destination::Ucm),
            2 => Some(Destination::Tcm),
            _ => None,
        }
    }

    /// What is done with the value.
    pub const fn aggregation(self) -> Aggregation {
        match self.0 >> 2 & 3 {
            0 => Aggregation::Nop,
            1 => Aggregation::Set,
            2 => Aggregation::Add,
            _ => Aggregation::Max,
        }
    }

    /// Which of the destination's values is meant.
    pub const fn select(self) -> u8 {
        (self.0 >> 6 & 3) as u8
    }

    /// The aggregation flags.
    pub const fn flags(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The value.
    pub const fn value(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_firmware_interface() {
        use crate::hsi::constants::dq;
        assert_eq!(
            u32::from(Doorbell::SELECT_PRODUCER),
            dq::XCM_ETH_TX_BD_PROD_CMD
        );
        assert_eq!(
            u32::from(Doorbell::SELECT_PRODUCER),
            dq::XCM_CORE_SPQ_PROD_CMD
        );
        assert_eq!(u32::from(Doorbell::FLAG_DQ_CF), dq::XCM_ETH_DQ_CF_CMD);
        assert_eq!(
            u32::from(Doorbell::FLAG_TERMINATE),
            dq::XCM_ETH_TERMINATE_CMD
        );
        assert_eq!(
            u32::from(Doorbell::FLAG_SLOW_PATH),
            dq::XCM_CORE_SLOW_PATH_CMD
        );
        assert_eq!(Doorbell::transmit(5).word(), 0x0005_1084);
    }

    #[test]
    fn parts_come_back() {
        let doorbell = Doorbell::new(Destination::Tcm, Aggregation::Add, 3, 0xa5, 0x1234);
        assert_eq!(doorbell.destination(), Some(Destination::Tcm));
        assert_eq!(doorbell.aggregation(), Aggregation::Add);
        assert_eq!(
            (doorbell.select(), doorbell.flags(), doorbell.value()),
            (3, 0xa5, 0x1234)
        );
        assert_eq!(Doorbell::from_word(3).destination(), None);
    }
}
