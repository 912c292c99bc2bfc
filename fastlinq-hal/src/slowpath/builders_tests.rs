//! Every expectation is a byte offset of the hardware reference, not a field of the structures under test.

use zerocopy::IntoBytes;

use super::*;
use crate::slowpath::MulticastBins;
use crate::vport::Aggregation;

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}

/// Bytes that are not zero, as offsets.
fn set(bytes: &[u8]) -> std::vec::Vec<usize> {
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte != 0)
        .map(|(offset, _)| offset)
        .collect()
}

#[test]
fn pf_start_has_the_reference_offsets() {
    let data = pf_start(&PfStart {
        event_queue_pbl: BusAddress(0x1122_3344_5566_7788),
        event_queue_pages: 1,
        status_block: 0x123,
        protocol_index: 2,
        consolidation_queue_pbl: BusAddress(0x99aa_bbcc_ddee_ff10),
        consolidation_queue_pages: 1,
        path: 1,
        first_vf: 16,
        vfs: 8,
        outer_tag_classification: false,
        outer_tag: Some(OuterTag {
            ethertype: 0x88a8,
            vlan: 0x123,
            follow_priority: true,
        }),
        switching_between_functions: true,
    });
    let bytes = data.as_bytes();
    assert_eq!(bytes.len(), 80);
    assert_eq!(u64_at(bytes, 0), 0x1122_3344_5566_7788);
    assert_eq!(u64_at(bytes, 8), 0x99aa_bbcc_ddee_ff10);
    assert!(
        bytes[16..36].iter().all(|byte| *byte == 0),
        "no tunnel is configured"
    );
    assert_eq!(u16_at(bytes, 36), 0x123);
    assert_eq!(bytes[38..46], [16, 8, 1, 2, 1, 0, 0, 6]);
    assert_eq!(u16_at(bytes, 46), 0xf);
    assert_eq!(bytes[48..52], [2, 0, 1, 0]);
    assert_eq!(bytes[52..56], [11, 0, 3, 0]);
    assert_eq!(bytes[56..64], [1, 1, 0, 0, 0xa8, 0x88, 0x23, 0x01]);
    assert_eq!(bytes[64..72], [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(bytes[72..], [0, 1, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn vport_start_has_the_reference_offsets() {
    let data = vport_start(&VportStart {
        vport: 5,
        function: 3,
        mtu: 1500,
        strip_vlan: true,
        only_untagged: true,
        zero_placement_offset: true,
        aggregation: None,
        transmit_switching: false,
    });
    let bytes = data.as_bytes();
    assert_eq!(bytes.len(), 72);
    assert_eq!(bytes[..2], [5, 3]);
    assert_eq!(u16_at(bytes, 2), 1500);
    assert_eq!(bytes[4..6], [1, 1]);
    assert_eq!((u16_at(bytes, 6), u16_at(bytes, 8)), (9, 0));
    assert_eq!(set(&bytes[10..]), [24 - 10, 33 - 10, 36 - 10]);
    assert_eq!(bytes[24], 16);
}

#[test]
fn vport_update_changes_only_what_is_asked() {
    assert_eq!(
        set(vport_update(7, &VportUpdate::default()).as_bytes()),
        [0]
    );

    let update = VportUpdate {
        receive_active: Some(true),
        transmit_active: Some(false),
        receive_mode: Some(0x34),
        transmit_mode: Some(0x1a),
        multicast: Some(MulticastBins::from_addresses(&[[1, 0, 0x5e, 0, 0, 1]])),
        accept_any_vlan: Some(true),
        strip_vlan: Some(false),
        mtu: Some(9000),
        ..VportUpdate::default()
    };
    let data = vport_update(0, &update);
    let bytes = data.as_bytes();
    assert_eq!(bytes.len(), 440);
    assert_eq!(bytes[1..9], [1, 1, 1, 0, 1, 1, 1, 0]);
    assert_eq!(bytes[9..11], [1, 0]);
    assert_eq!(bytes[24..28], [1, 1, 0, 1]);
    assert_eq!(u16_at(bytes, 28), 9000);
    assert_eq!((u16_at(bytes, 48), u16_at(bytes, 50)), (0x34, 0x1a));
    // Bin 212 is bit 20 of word 6.
    assert_eq!(set(&bytes[52..]), [80 + 4 * 6 + 2 - 52]);
    assert_eq!(bytes[80 + 4 * 6 + 2], 1 << 4);
}

#[test]
fn receive_side_scaling_has_the_reference_offsets() {
    let mut key = [0; 40];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = index as u8;
    }
    let rss = RssUpdate {
        engine: 9,
        enabled: true,
        capabilities: 0xf,
        table: [0x1234; 128],
        key,
    };
    let data = vport_update(
        0,
        &VportUpdate {
            rss: Some(rss),
            ..VportUpdate::default()
        },
    );
    let bytes = data.as_bytes();
    assert_eq!(bytes[8], 1);
    let rss = &bytes[112..];
    assert_eq!(rss.len(), 328);
    assert_eq!(rss[..9], [0xf, 0, 9, 1, 1, 1, 1, 7, 0]);
    assert!((0..128).all(|entry| u16_at(rss, 12 + 2 * entry) == 0x1234));
    assert_eq!(rss[268..284], [0; 16]);
    assert_eq!(
        rss[284..324],
        key,
        "the key goes out in the order of its bytes"
    );
}

#[test]
fn queue_ramrods_have_the_reference_offsets() {
    let data = rx_queue_start(&RxQueueStart {
        queue: 0x102,
        status_block: 0x103,
        protocol_index: 0,
        vport: 4,
        statistics: 6,
        buffer_bytes: 2048,
        descriptors: BusAddress(0x1_0000_2000),
        completion_pbl: BusAddress(0x2_0000_3000),
        completion_pages: 16,
    });
    let bytes = data.as_bytes();
    assert_eq!(bytes.len(), 56);
    assert_eq!(
        (
            u16_at(bytes, 0),
            u16_at(bytes, 2),
            u16_at(bytes, 4),
            u16_at(bytes, 6)
        ),
        (0x102, 16, 2048, 0x103)
    );
    assert_eq!(bytes[8..15], [0, 4, 0, 0, 1, 6, 0]);
    assert_eq!(
        (u64_at(bytes, 32), u64_at(bytes, 40)),
        (0x2_0000_3000, 0x1_0000_2000)
    );

    assert_eq!(rx_queue_stop(0x102, 4).as_bytes(), [2, 1, 0, 1, 4, 0, 0, 0]);

    let data = tx_queue_start(&TxQueueStart {
        queue: 0x102,
        status_block: 0x103,
        protocol_index: 1,
        vport: 4,
        statistics: 6,
        qm_queue: 0x18,
        descriptors_pbl: BusAddress(0x5_0000_6000),
        descriptor_pages: 8,
    });
    let bytes = data.as_bytes();
    assert_eq!(bytes.len(), 48);
    assert_eq!(bytes[..6], [3, 1, 1, 4, 0, 6]);
    assert_eq!((u16_at(bytes, 6), u16_at(bytes, 16)), (0x218, 0x102));
    assert_eq!((u16_at(bytes, 20), u16_at(bytes, 24)), (8, 0xffff));
    assert_eq!(u64_at(bytes, 32), 0x5_0000_6000);

    assert_eq!(tx_queue_stop().as_bytes(), [0; 8]);
    assert_eq!(vport_stop(4).as_bytes(), [4, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn filter_commands_have_the_reference_offsets() {
    let mac = [0x00, 0x0e, 0x1e, 0x11, 0x22, 0x33];
    let data = filters_update(
        3,
        &[
            FilterCommand::RemoveAllMacs,
            FilterCommand::AddMac(mac),
            FilterCommand::AddVlan(100),
        ],
    );
    let bytes = data.as_bytes();
    assert_eq!(bytes.len(), 168);
    assert_eq!(bytes[..8], [1, 1, 3, 0, 0, 0, 0, 0]);
    assert_eq!(
        bytes[8..24],
        [1, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        bytes[24..40],
        [
            1, 3, 2, 0, 0, 0, 0, 0, 0x33, 0x22, 0x11, 0x1e, 0x0e, 0x00, 0, 0
        ]
    );
    assert_eq!(
        bytes[40..56],
        [2, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0]
    );

    let many = [FilterCommand::AddVlan(1); 12];
    assert_eq!(
        filters_update(0, &many).as_bytes()[2],
        10,
        "a ramrod carries ten commands"
    );
}

#[test]
fn aggregation_has_the_reference_offsets() {
    let aggregation = Aggregation {
        ipv4: true,
        ipv6: true,
        consistent: true,
        aggregations: 64,
        buffers: 16,
        max_bytes: 0xfffe,
        min_bytes_to_start: 0x2ee,
        min_bytes_to_continue: 0x2ef,
    };
    let expected = [1, 1, 0, 0, 1, 0, 1, 64, 0xfe, 0xff, 0xee, 2, 0xef, 2, 16, 0];
    let start = vport_start(&VportStart {
        vport: 0,
        function: 0,
        mtu: 1500,
        strip_vlan: false,
        only_untagged: false,
        zero_placement_offset: false,
        aggregation: Some(aggregation),
        transmit_switching: true,
    });
    assert_eq!(start.as_bytes()[10..26], expected);
    assert_eq!(start.as_bytes()[28], 1);

    let on = VportUpdate {
        aggregation: Some(AggregationUpdate::On(aggregation)),
        transmit_switching: Some(false),
        ..VportUpdate::default()
    };
    let data = vport_update(0, &on);
    let bytes = data.as_bytes();
    assert_eq!(set(&bytes[..48]), [11, 12, 13]);
    assert_eq!(bytes[64..80], expected);

    let off = VportUpdate {
        aggregation: Some(AggregationUpdate::Off),
        ..VportUpdate::default()
    };
    assert_eq!(set(vport_update(0, &off).as_bytes()), [12]);
}

#[test]
fn tunnels_flows_and_default_queues_have_the_reference_offsets() {
    let data = tunnel_update(&TunnelUpdate {
        classification: TunnelClassification::OuterMacTenant,
        vxlan: Some(4789),
        geneve: None,
    });
    let bytes = data.as_bytes();
    assert_eq!(bytes.len(), 72);
    assert_eq!(set(&bytes[..48]), [] as [usize; 0]);
    assert_eq!(bytes[48..60], [1, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 0]);
    assert_eq!((u16_at(bytes, 60), u16_at(bytes, 62)), (4789, 0));

    assert_eq!(
        rx_queue_default(0x102, 4).as_bytes()[..8],
        [2, 1, 0, 1, 4, 1, 0, 0]
    );

    let data = flow_filter(&FlowFilter {
        sample: BusAddress(0x1_0000_0200),
        sample_bytes: 54,
        add: false,
        vport: 0x1ff,
        queue: Some(0x103),
        flow: Some(7),
    });
    let bytes = data.as_bytes();
    assert_eq!(bytes.len(), 24);
    assert_eq!(u64_at(bytes, 0), 0x1_0000_0200);
    let words = [8, 10, 12, 14, 16].map(|offset| u16_at(bytes, offset));
    assert_eq!(words, [54, 0, 0x103, 7, 0x1ff]);
    assert_eq!(bytes[18..], [0, 1, 1, 1, 0, 0]);
}
