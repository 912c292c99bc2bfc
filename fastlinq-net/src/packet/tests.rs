use super::*;

fn flagged(flags: u16) -> RxPacket {
    RxPacket {
        flags: flags.into(),
        ..RxPacket::EMPTY
    }
}

#[test]
fn the_checksum_verdict_follows_the_flags() {
    let bits = |bits: &[u16]| flagged(bits.iter().fold(0, |flags, bit| flags | 1 << bit));
    assert_eq!(bits(&[]).checksum(), Checksum::Unknown);
    assert_eq!(bits(&[6]).checksum(), Checksum::Good);
    assert_eq!(bits(&[6, 10]).checksum(), Checksum::Bad);
    assert_eq!(bits(&[10]).checksum(), Checksum::Unknown);
    assert_eq!(bits(&[6, 9]).checksum(), Checksum::Bad);
    assert_eq!(bits(&[6, 13]).checksum(), Checksum::Good);
    assert_eq!(bits(&[6, 11, 13]).checksum(), Checksum::Bad);
    assert_eq!(bits(&[6, 11, 15]).checksum(), Checksum::Good);
    assert_eq!(bits(&[6, 11, 14, 15]).checksum(), Checksum::Bad);
}

#[test]
fn hash_types_that_do_not_exist_are_no_hash() {
    let hash = |hash_type: u32| {
        RxPacket {
            kind: hash_type << 8,
            hash: 9,
            ..RxPacket::EMPTY
        }
        .hash()
    };
    assert_eq!(hash(0), None);
    assert_eq!(hash(7), None);
    let tcp = RssHash {
        value: 9,
        over: HashedOver::Ipv4Tcp,
    };
    assert_eq!(hash(2), Some(tcp));
    assert_eq!(hash(0xf8 | 2), Some(tcp));
}

#[test]
fn what_the_device_says_is_read_from_where_the_reference_has_it() {
    let packet = RxPacket {
        kind: 3 | 0x2c << 8 | 1500 << 16,
        flags: 0x0100 | 0x0123 << 16,
        hash: 0xcafe_f00d,
        first: 600 | 2 << 16,
        number: 77,
        shape: 64 | 66 << 16 | 4 << 24,
    };
    assert_eq!((packet.len(), packet.offset()), (1500, 66));
    assert_eq!((packet.segments(), packet.buffer().get()), (5, 77));
    assert_eq!((packet.vlan(), packet.traffic_class()), (Some(0x123), 5));
    assert_eq!(packet.hash().unwrap().value, 0xcafe_f00d);
    assert!(packet.has_timestamp());
    let aggregate = packet.aggregate().unwrap();
    assert_eq!(aggregate.header_bytes, 66);
    assert_eq!(aggregate.segment_payload, 534);
    assert_eq!(RxPacket::EMPTY.aggregate(), None);
}

#[test]
fn one_number_tells_where_a_frame_in_one_buffer_starts() {
    let head = Head {
        first: 1 | 100 << 16,
        second: 100 << 32 | 2 << 48,
        buffers: 1,
    };
    let common = RxPacket::common(7, RxPacket::shape_of(64), head);
    assert_eq!((common.segments(), common.offset()), (1, 66));
    assert_eq!(TxPacket::from(common).offset_if_single(), 66);
    let longest = TxPacket::new(BufferNumber(7), u16::MAX, 60);
    assert_eq!(longest.offset_if_single(), 0xffff);
    // Anything but one buffer without headers of an aggregation starts beyond every buffer.
    let scattered = |buffers| RxPacket::scattered(7, 64, [0, 2 << 48], buffers);
    for buffers in 0..=255 {
        let packet = scattered(buffers);
        assert_eq!((packet.segments(), packet.offset()), (buffers, 66));
        let start = TxPacket::from(packet).offset_if_single();
        assert_eq!(start > 0x1_00fe, buffers != 1, "{buffers}");
        let joined = TxPacket::from(packet.aggregated(54, 1000, buffers));
        assert_eq!(joined.segments(), buffers);
        assert!(joined.offset_if_single() > 0x1_00fe);
        let sent = joined.as_received();
        assert_eq!((sent.segments(), sent.offset()), (buffers, 66));
    }
    assert_eq!(RxPacket::EMPTY.segments(), 0);
    let nothing = RxPacket {
        first: u32::MAX,
        ..RxPacket::EMPTY
    };
    assert!(TxPacket::from(nothing).offset_if_single() > 0x1_00fe);
}

#[test]
fn records_stay_small() {
    assert!(size_of::<RxPacket>() <= 24);
    assert!(size_of::<TxPacket>() <= 40);
}
