//! smoltcp's `phy::Device`, once per version: another one is a line at the end of this file and a feature.
//!
//! The trait is the same from 0.12 to 0.14. The latter are not offered here yet: 0.13 and later need Rust 1.91, and two
//! versions in one build fail as soon as one of them has `alloc`, since they share the crate `managed` and its features.

/// The module of one version: its crate, and its number for the docs.
#[cfg(feature = "smoltcp-0_12")]
macro_rules! device {
    ($module:ident, $smoltcp:ident, $version:literal) => {
        #[doc = concat!("smoltcp ", $version, ": `phy::Device` for [`Phy`](crate::stack::Phy).")]
        ///
        /// The medium is Ethernet. The receive token lends the device's own buffer; the transmit token has the stack write
        /// into the buffer that the device reads.
        pub mod $module {
            use $smoltcp::phy::{
                Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken,
                TxToken,
            };
            use $smoltcp::time::Instant;

            use crate::frame::RxFrame;
            use crate::ring::Ring;
            use crate::stack::{Phy, RxChecksums, TxChecksums, TxSlot};

            /// A received frame.
            #[derive(Debug)]
            pub struct Received<'a, M>(RxFrame<'a, M>);

            impl<M> RxToken for Received<'_, M> {
                fn consume<T, F: FnOnce(&[u8]) -> T>(self, read: F) -> T {
                    read(&self.0)
                }
            }

            /// Room for a frame to send.
            #[derive(Debug)]
            pub struct Room<'a, R: Ring>(TxSlot<'a, R>);

            impl<R: Ring> TxToken for Room<'_, R> {
                fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, length: usize, fill: F) -> T {
                    self.0.send(length, fill)
                }
            }

            impl<R: Ring> Device for Phy<R> {
                type RxToken<'a>
                    = Received<'a, R::Region>
                where
                    Self: 'a;
                type TxToken<'a>
                    = Room<'a, R::Rest<'a>>
                where
                    Self: 'a;

                fn receive(
                    &mut self,
                    _: Instant,
                ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
                    let (frame, slot) = Phy::receive(self)?;
                    Some((Received(frame), Room(slot)))
                }

                fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
                    Phy::transmit(self).map(Room)
                }

                fn capabilities(&self) -> DeviceCapabilities {
                    let mut capabilities = DeviceCapabilities::default();
                    capabilities.medium = Medium::Ethernet;
                    capabilities.max_transmission_unit = self.frame_bytes();
                    capabilities.max_burst_size = None;
                    capabilities.checksum = checksums(self.checksums(), self.sent_checksums());
                    capabilities
                }
            }

            fn checksums(receive: RxChecksums, send: TxChecksums) -> ChecksumCapabilities {
                let mut checksums = ChecksumCapabilities::default();
                let transport = match (receive, send) {
                    (RxChecksums::Stack, TxChecksums::Stack) => Checksum::Both,
                    (RxChecksums::Device, TxChecksums::Stack) => Checksum::Tx,
                    (RxChecksums::Stack, TxChecksums::Device) => Checksum::Rx,
                    (RxChecksums::Device, TxChecksums::Device) => Checksum::None,
                };
                checksums.ipv4 = transport;
                checksums.tcp = transport;
                checksums.udp = transport;
                checksums
            }
        }
    };
}

#[cfg(feature = "smoltcp-0_12")]
device!(v0_12, smoltcp_0_12, "0.12");
