//! Counters add up: what the queues saw, what the vport counted, and what the port counted are the same.

mod rig;

use fastlinq_hal::adapter::{AdapterConfig, Cause, Misuse, TunnelConfig};
use fastlinq_hal::slowpath::{QueueStatistics, Since, VportStatistics};
use fastlinq_hal::vport::{Aggregation, HashedHeaders, ReceiveMode, VportConfig};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::Chip;
use rig::frames::{Flow, ethernet, in_geneve, in_vxlan};
use rig::{Rig, Setup};

/// Check sequence of a frame on the line.
const FCS: u64 = 4;

#[test]
fn queues_vport_and_port_agree() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = Rig::new(Setup {
            chip,
            ..Setup::default()
        });
        rig.scale(HashedHeaders::all());
        rig.adapter.set_mtu(rig.vport, 9000).unwrap();
        let all = ReceiveMode::ALL_MULTICAST;
        rig.adapter.set_receive_mode(rig.vport, all).unwrap();
        let vport_before = rig.adapter.vport_statistics(rig.vport).unwrap();
        let port_before = rig.adapter.port_statistics().unwrap();
        let path_before = rig.adapter.packet_path_statistics().unwrap();

        // Wanted and unwanted frames of all sizes and kinds.
        let mac = rig.mac;
        let mut frames = Vec::new();
        for number in 0..400u16 {
            let flow = Flow::new(mac, "10.0.0.1", "10.0.0.2", (number, 80));
            let payload = vec![number as u8; 20 + usize::from(number) * 22];
            frames.push(flow.udp().frame(&payload));
        }
        for number in 0..30u8 {
            frames.push(ethernet([1, 0, 0x5e, 0, 0, number], 0x88b5, &[1; 70]));
            frames.push(ethernet([0xff; 6], 0x88b5, &[2; 80]));
            frames.push(ethernet([2, 9, 9, 9, 9, number], 0x88b5, &[3; 90]));
        }
        let too_big = ethernet(mac, 0x88b5, &[4; 9100]);
        frames.extend([too_big.clone(), too_big]);
        let (mut packets, mut bytes, mut seen) = (0, 0, [0; 4]);
        for chunk in frames.chunks(100) {
            for (queue, arrived) in rig.arrive(chunk).into_iter().enumerate() {
                seen[queue] += arrived.len();
                packets += arrived.len() as u64;
                bytes += arrived
                    .iter()
                    .map(|packet| packet.frame.len() as u64)
                    .sum::<u64>();
            }
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
        let vport = rig
            .adapter
            .vport_statistics(rig.vport)
            .unwrap()
            .since(&vport_before);
        let port = rig.adapter.port_statistics().unwrap().since(&port_before);
        let path = rig
            .adapter
            .packet_path_statistics()
            .unwrap()
            .since(&path_before);
        let received = vport.received;
        assert_eq!((received.frames(), received.bytes()), (packets, bytes));
        assert_eq!(
            (
                received.unicast_frames,
                received.multicast_frames,
                received.broadcast_frames
            ),
            (400, 30, 30)
        );
        assert_eq!((vport.dropped_too_big, path.dropped_no_vport), (2, 30));
        // What the port took is what the vport got and what was dropped on the way.
        let arrived = received.frames() + vport.dropped_too_big + path.dropped_no_vport;
        assert_eq!(arrived, frames.len() as u64);
        assert_eq!(port.received.frames(), arrived);
        assert_eq!(port.received_good, arrived);
        assert_eq!(port.received_sizes.frames(), arrived);
        let line: u64 = frames.iter().map(|frame| frame.len() as u64 + FCS).sum();
        assert_eq!(port.received_bytes, line);

        // The same on the way out.
        for (index, frame) in frames[..400].iter().enumerate() {
            rig.queues[index % 4].send(frame);
            if index % 20 == 19 {
                rig.settle();
            }
        }
        let sent = rig.sent();
        assert_eq!(sent.len(), 400);
        let vport = rig
            .adapter
            .vport_statistics(rig.vport)
            .unwrap()
            .since(&vport_before);
        let port = rig.adapter.port_statistics().unwrap().since(&port_before);
        let bytes: u64 = sent.iter().map(|frame| frame.len() as u64).sum();
        assert_eq!(vport.transmitted.frames(), 400);
        assert_eq!(vport.transmitted.bytes(), bytes);
        assert_eq!(port.transmitted.frames(), 400);
        assert_eq!(port.transmitted_sizes.frames(), 400);
        assert_eq!(port.transmitted_bytes, bytes + 400 * FCS);

        rig.adapter.clear_vport_statistics(rig.vport).unwrap();
        let cleared = rig.adapter.vport_statistics(rig.vport).unwrap();
        assert_eq!(cleared, VportStatistics::default());
        rig.finish();
    }
}

#[test]
fn frames_without_a_buffer_and_without_a_receiver_are_counted_where_they_are_lost() {
    let mut rig = Rig::new(Setup {
        queues: 1,
        ..Setup::default()
    });
    let frame = ethernet(rig.mac, 0x88b5, &[4; 100]);
    // 255 buffers, and nobody takes them.
    use fastlinq_model_host::model::Wire;
    for _ in 0..300 {
        rig.far.transmit(&frame);
    }
    rig.settle();
    let statistics = rig.adapter.vport_statistics(rig.vport).unwrap();
    assert_eq!(
        (statistics.received.frames(), statistics.dropped_no_buffer),
        (255, 45)
    );
    assert_eq!(rig.queues[0].receive().len(), 255);
    rig.adapter.deactivate_vport(rig.vport).unwrap();
    assert!(rig.arrival(&frame).is_none());
    rig.adapter.activate_vport(rig.vport).unwrap();
    assert!(rig.arrival(&frame).is_some());
    let statistics = rig.adapter.vport_statistics(rig.vport).unwrap();
    assert_eq!(
        (statistics.received.frames(), statistics.dropped_inactive),
        (256, 1)
    );
    rig.finish();
}

#[test]
fn tunnels_are_counted_by_the_function_and_aggregations_by_the_vport() {
    let mut rig = Rig::new(Setup {
        queues: 1,
        ..Setup::default()
    });
    rig.adapter.set_tunnels(TunnelConfig::all()).unwrap();
    let before = rig.adapter.function_statistics().unwrap();
    let inner = Flow::new([2, 0, 0, 0, 7, 7], "10.1.0.1", "10.1.0.2", (1, 2)).frame(&[0; 50]);
    let vxlan = in_vxlan(rig.mac, 4789, 5, &inner);
    let geneve = in_geneve(rig.mac, 6081, 5, &inner);
    rig.arrive(&[vxlan.clone(), vxlan.clone(), geneve.clone()]);
    let counted = rig.adapter.function_statistics().unwrap().since(&before);
    let bytes = vxlan.len() as u64;
    assert_eq!(
        (counted.received_vxlan.frames, counted.received_vxlan.bytes),
        (2, 2 * bytes)
    );
    assert_eq!(counted.received_geneve.frames, 1);
    assert_eq!(counted.received_inside.frames(), 0);

    let aggregation = Aggregation::for_mtu(1500);
    rig.adapter
        .set_aggregation(rig.vport, Some(aggregation))
        .unwrap();
    let flow = Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (5000, 80));
    let segment = |sequence| Flow { sequence, ..flow }.frame(&[1; 1000]);
    // A gap ends the first aggregation.
    let train = [segment(0), segment(1000), segment(5000), segment(6000)];
    rig.arrive(&train);
    let vport = rig.adapter.vport_statistics(rig.vport).unwrap();
    assert_eq!(
        (
            vport.aggregated_packets,
            vport.aggregations,
            vport.aggregation_aborts
        ),
        (4, 2, 1)
    );
    rig.finish();
}

fn counted_apart(chip: Chip) -> Rig {
    let rig = Rig::new(Setup {
        chip,
        config: AdapterConfig {
            queue_statistics: true,
            ..AdapterConfig::default()
        },
        ..Setup::default()
    });
    rig.adapter.host().poll();
    rig
}

#[test]
fn each_queue_pair_is_counted_apart_and_the_vport_has_the_sum() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = counted_apart(chip);
        rig.scale(HashedHeaders::all());
        let mac = rig.mac;
        let mut frames = Vec::new();
        for number in 0..300u16 {
            let flow = Flow::new(mac, "10.0.0.1", "10.0.0.2", (number, 80));
            frames.push(flow.udp().frame(&vec![7; usize::from(number) * 4]));
        }
        frames.push(ethernet([0xff; 6], 0x88b5, &[2; 80]));
        let too_big = ethernet(mac, 0x88b5, &[4; 2000]);
        frames.extend([too_big.clone(), too_big]);
        let mut seen = [(0, 0); 4];
        for chunk in frames.chunks(100) {
            for (queue, arrived) in rig.arrive(chunk).into_iter().enumerate() {
                seen[queue].0 += arrived.len() as u64;
                seen[queue].1 += arrived
                    .iter()
                    .map(|packet| packet.frame.len() as u64)
                    .sum::<u64>();
            }
        }
        assert!(seen.iter().all(|(count, _)| *count > 40), "{seen:?}");
        // Each sends another number of frames.
        for (index, frame) in frames[..100].iter().enumerate() {
            let queue = [0, 1, 1, 2, 2, 2, 3, 3, 3, 3][index % 10];
            rig.queues[queue].send(frame);
            if index % 20 == 19 {
                rig.settle();
            }
        }
        assert_eq!(rig.sent().len(), 100);
        let ids = rig.queue_ids();
        let mut dropped = 0;
        for (index, id) in ids.iter().enumerate() {
            let counted = rig.adapter.queue_statistics(*id).unwrap();
            let received = (counted.received.frames(), counted.received.bytes());
            assert_eq!(received, seen[index], "queue {index}");
            assert_eq!(counted.transmitted.frames(), 10 * (index as u64 + 1));
            dropped += counted.dropped_before_the_queue;
        }
        let before = rig.adapter.vport_statistics(rig.vport).unwrap();
        assert_eq!(before.received.frames(), 301);
        assert_eq!(before.received.broadcast_frames, 1);
        assert_eq!(before.transmitted.frames(), 100);
        assert_eq!((before.dropped_too_big, dropped), (2, 2));

        // What a closed one counted stays with the vport; the next of its number begins at 0.
        let last = ids[3];
        rig.close(3);
        assert_eq!(rig.adapter.vport_statistics(rig.vport).unwrap(), before);
        assert!(matches!(
            rig.adapter.queue_statistics(last),
            Err(Cause::Misuse(Misuse::NoSuchQueuePair(_)))
        ));
        rig.open(2048);
        assert_eq!(rig.queue_ids()[3], last);
        assert_eq!(
            rig.adapter.queue_statistics(last).unwrap(),
            QueueStatistics::default()
        );
        rig.scale(HashedHeaders::all());
        let arrived: usize = rig.arrive(&frames[..100]).iter().map(Vec::len).sum();
        assert_eq!(arrived, 100);
        let after = rig.adapter.vport_statistics(rig.vport).unwrap();
        assert_eq!(after.since(&before).received.frames(), 100);
        let fresh = rig.adapter.queue_statistics(last).unwrap();
        assert!((10..seen[3].0).contains(&fresh.received.frames()));

        rig.adapter.clear_vport_statistics(rig.vport).unwrap();
        let cleared = rig.adapter.vport_statistics(rig.vport).unwrap();
        assert_eq!(cleared, VportStatistics::default());
        assert_eq!(
            rig.adapter.queue_statistics(last).unwrap(),
            QueueStatistics::default()
        );
        rig.finish();
    }
}

#[test]
fn frames_without_a_buffer_are_counted_for_the_queue_pair_that_had_none() {
    let mut rig = counted_apart(Chip::K2);
    rig.scale(HashedHeaders::all());
    let flow = Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (4000, 80));
    let frame = flow.udp().frame(&[1; 100]);
    let target = rig.arrival(&frame).unwrap().0;
    use fastlinq_model_host::model::Wire;
    for _ in 0..300 {
        rig.far.transmit(&frame);
    }
    rig.settle();
    for (index, id) in rig.queue_ids().into_iter().enumerate() {
        let counted = rig.adapter.queue_statistics(id).unwrap();
        let lost = counted.dropped_no_buffer;
        assert_eq!(lost > 0, index == target);
        if index == target {
            assert_eq!(counted.received.frames() + lost, 301);
        }
    }
    rig.queues[target].receive();
    rig.finish();
}

#[test]
fn queue_pairs_without_an_id_of_their_own_are_told_and_counted_with_the_vport() {
    // Without the wish, none has one.
    let mut plain = Rig::new(Setup::default());
    let id = plain.queue_ids()[0];
    assert!(matches!(
        plain.adapter.queue_statistics(id),
        Err(Cause::Misuse(Misuse::NoQueueStatistics(_)))
    ));
    plain.finish();

    // One of sixteen functions: 13 ids, of which vports and queue pairs take theirs from both ends.
    for vports in [2, 9] {
        let config = AdapterConfig {
            queue_statistics: true,
            ..AdapterConfig::default()
        };
        let mut rig = Rig::on(
            ModelHost::builder().chip(Chip::K2).functions(16).seed(11),
            Setup {
                queues: 4,
                config,
                ..Setup::default()
            },
        );
        for index in (0..4).rev() {
            rig.close(index);
        }
        let more: Vec<_> = (1..vports)
            .map(|_| rig.adapter.start_vport(VportConfig::default()).unwrap())
            .collect();
        for _ in 0..4 {
            rig.open(2048);
        }
        rig.adapter.activate_vport(rig.vport).unwrap();
        let ids = rig.queue_ids();
        assert!(
            ids.iter()
                .all(|id| rig.adapter.queue_statistics(*id).is_ok())
        );
        // All numbers that are left go to vports, and then to nobody.
        let mut rest = Vec::new();
        let refused = loop {
            match rig.adapter.start_vport(VportConfig::default()) {
                Ok(vport) => rest.push(vport),
                Err(cause) => break cause,
            }
        };
        assert_eq!(refused, Cause::Misuse(Misuse::NoFreeVport));
        assert_eq!(vports + rest.len() + 4, 13);
        // One more vport fits where a queue pair was, and the queue pair finds no number then.
        rig.close(3);
        rest.push(rig.adapter.start_vport(VportConfig::default()).unwrap());
        rig.open(2048);
        let last = rig.queue_ids()[3];
        assert_eq!(
            rig.adapter.queue_statistics(last),
            Err(Cause::Misuse(Misuse::NoQueueStatistics(last)))
        );
        rig.scale(HashedHeaders::all());
        let flows = (0..200u16).map(|number| {
            Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (number, 80))
                .udp()
                .frame(&[7; 90])
        });
        let flows: Vec<_> = flows.collect();
        let arrived: Vec<_> = rig.arrive(&flows).iter().map(Vec::len).collect();
        assert_eq!(arrived.iter().sum::<usize>(), 200);
        assert!(arrived[3] > 20);
        for (id, arrived) in rig.queue_ids().into_iter().zip(&arrived).take(3) {
            let counted = rig.adapter.queue_statistics(id).unwrap();
            assert_eq!(counted.received.frames(), *arrived as u64);
        }
        let counted = rig.adapter.vport_statistics(rig.vport).unwrap();
        assert_eq!(counted.received.frames(), 200);
        for vport in more.into_iter().chain(rest) {
            rig.adapter.stop_vport(vport).unwrap();
        }
        rig.finish();
    }
}
