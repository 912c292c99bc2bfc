//! Flows that go to a queue pair of the caller's choice, or nowhere.

mod rig;

use std::net::{IpAddr, SocketAddr};

use fastlinq_hal::adapter::{AdapterConfig, Cause, Misuse};
use fastlinq_hal::slowpath::{EthReturnCode, FirmwareReturnCode, RamrodError};
use fastlinq_hal::steering::{FLOWS, FlowAction, FlowMatch, Transport};
use fastlinq_hal::vport::{HashedHeaders, VportConfig};
use fastlinq_model_host::model::Chip;
use rig::frames::Flow;
use rig::{Rig, Setup};

fn steering(chip: Chip) -> Rig {
    let mut rig = Rig::new(Setup {
        chip,
        config: AdapterConfig {
            flow_steering: true,
            ..AdapterConfig::default()
        },
        ..Setup::default()
    });
    rig.scale(HashedHeaders::all());
    rig
}

fn connection(flow: &Flow) -> FlowMatch {
    let transport = if flow.protocol == rig::frames::TCP {
        Transport::Tcp
    } else {
        Transport::Udp
    };
    let source = SocketAddr::new(flow.source, flow.ports.0);
    let destination = SocketAddr::new(flow.destination, flow.ports.1);
    FlowMatch::connection(source, destination, transport).unwrap()
}

fn queue_of(rig: &mut Rig, flow: &Flow) -> Option<usize> {
    rig.arrival(&flow.frame(&[9; 80])).map(|(queue, _)| queue)
}

#[test]
fn a_connection_goes_where_it_is_told_and_back_to_scaling() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = steering(chip);
        let mac = rig.mac;
        let tcp4 = Flow::new(mac, "10.0.0.1", "10.0.0.2", (4000, 80));
        let tcp6 = Flow::new(mac, "fe80::1", "fe80::2", (4000, 80));
        for flow in [tcp4, tcp4.udp(), tcp6, tcp6.udp()] {
            let before = queue_of(&mut rig, &flow).unwrap();
            let to = (before + 1) % 4;
            let id = rig.queues[to].port.id();
            let handle = rig
                .adapter
                .add_flow(connection(&flow), FlowAction::Queue(id))
                .unwrap();
            let (queue, packet) = rig.arrival(&flow.frame(&[9; 80])).unwrap();
            assert_eq!(queue, to, "{flow:?}");
            assert_eq!(packet.flow(), u32::from(handle.number()));
            // Another port, another protocol or another direction is another flow.
            let near = Flow {
                ports: (4001, 80),
                ..flow
            };
            let (_, packet) = rig.arrival(&near.frame(&[9; 80])).unwrap();
            assert_eq!(packet.flow(), 0);
            rig.adapter.remove_flow(handle).unwrap();
            assert_eq!(queue_of(&mut rig, &flow), Some(before));
        }
        assert_eq!(rig.adapter.flows(), 0);
        rig.finish();
    }
}

#[test]
fn dropped_flows_are_counted_by_the_port() {
    let mut rig = steering(Chip::K2);
    let flow = Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (4000, 80));
    let handle = rig
        .adapter
        .add_flow(connection(&flow), FlowAction::Drop)
        .unwrap();
    for _ in 0..5 {
        assert_eq!(queue_of(&mut rig, &flow), None);
    }
    let port = rig.adapter.packet_path_statistics().unwrap();
    assert_eq!((port.dropped_flow, port.dropped_no_vport), (5, 0));
    rig.adapter.remove_flow(handle).unwrap();
    assert!(queue_of(&mut rig, &flow).is_some());
    rig.finish();
}

#[test]
fn ports_and_addresses_alone_decide_where_that_is_the_profile() {
    let mut rig = steering(Chip::K2);
    let mac = rig.mac;
    let flow = |source: &str, destination: &str, ports| Flow::new(mac, source, destination, ports);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    // Match, flows in it, flows outside of it.
    let cases = [
        (
            FlowMatch::DestinationPort {
                ipv6: false,
                transport: Transport::Udp,
                port: 53,
            },
            vec![
                flow("10.0.0.1", "10.0.0.2", (1, 53)).udp(),
                flow("10.9.0.1", "10.9.0.2", (2, 53)).udp(),
            ],
            vec![
                flow("10.0.0.1", "10.0.0.2", (1, 53)),
                flow("10.0.0.1", "10.0.0.2", (53, 1)).udp(),
                flow("fe80::1", "fe80::2", (1, 53)).udp(),
            ],
        ),
        (
            FlowMatch::DestinationAddress(address("10.0.0.2")),
            vec![
                flow("10.0.0.1", "10.0.0.2", (1, 53)).udp(),
                flow("10.7.0.1", "10.0.0.2", (9, 80)),
            ],
            vec![flow("10.0.0.2", "10.0.0.1", (1, 53)).udp()],
        ),
        (
            FlowMatch::SourceAddress(address("fe80::7")),
            vec![
                flow("fe80::7", "fe80::2", (1, 53)).udp(),
                flow("fe80::7", "fe80::3", (2, 80)),
            ],
            vec![flow("fe80::2", "fe80::7", (1, 53))],
        ),
    ];
    for (matching, inside, outside) in cases {
        let handle = rig.adapter.add_flow(matching, FlowAction::Drop).unwrap();
        for flow in inside {
            assert_eq!(queue_of(&mut rig, &flow), None, "{matching:?} {flow:?}");
        }
        for flow in outside {
            assert!(queue_of(&mut rig, &flow).is_some(), "{matching:?} {flow:?}");
        }
        rig.adapter.remove_flow(handle).unwrap();
    }
    rig.finish();
}

#[test]
fn what_cannot_be_steered_is_named() {
    let mut plain = Rig::new(Setup::default());
    let flow = Flow::new(plain.mac, "10.0.0.1", "10.0.0.2", (4000, 80));
    assert!(matches!(
        plain.adapter.add_flow(connection(&flow), FlowAction::Drop),
        Err(Cause::Misuse(Misuse::NoSteering))
    ));
    plain.finish();

    let mut rig = steering(Chip::K2);
    let id = rig.queues[1].port.id();
    let first = rig
        .adapter
        .add_flow(connection(&flow), FlowAction::Queue(id))
        .unwrap();
    // The same again is refused by the firmware.
    let twice = rig.adapter.add_flow(connection(&flow), FlowAction::Drop);
    assert!(matches!(
        twice,
        Err(Cause::Ramrod(RamrodError::Refused {
            code: FirmwareReturnCode::Eth {
                code: EthReturnCode::FlowFilterUpdateFailed,
                ..
            },
            ..
        }))
    ));
    let other = FlowMatch::SourceAddress(flow.source);
    assert!(matches!(
        rig.adapter.add_flow(other, FlowAction::Drop),
        Err(Cause::Misuse(Misuse::FlowProfile))
    ));
    // A queue pair with flows stays; a vport with flows, too.
    let queue = rig.queues.remove(1);
    let failed = rig.adapter.close_queue_pair(queue.port).unwrap_err();
    assert_eq!(
        failed.cause,
        Cause::Misuse(Misuse::QueuePairSteered {
            queue: id,
            flows: 1
        })
    );
    rig.adapter.remove_flow(first).unwrap();
    rig.adapter.close_queue_pair(failed.port).unwrap();
    drop(queue.memory);
    assert!(matches!(
        rig.adapter
            .add_flow(connection(&flow), FlowAction::Queue(id)),
        Err(Cause::Misuse(Misuse::NoSuchQueuePair(_)))
    ));
    let vport = rig.adapter.start_vport(VportConfig::default()).unwrap();
    let to_vport = rig
        .adapter
        .add_flow(connection(&flow), FlowAction::Vport(vport))
        .unwrap();
    assert!(matches!(
        rig.adapter.stop_vport(vport),
        Err(Cause::Misuse(Misuse::VportSteered(_)))
    ));
    rig.adapter.remove_flow(to_vport).unwrap();
    rig.adapter.stop_vport(vport).unwrap();
    rig.finish();
}

#[test]
fn the_table_has_256_places_and_each_comes_back() {
    let mut rig = steering(Chip::Bb);
    let flow = |port| Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (port, 80));
    let flows: Vec<_> = (0..=FLOWS as u16).map(flow).collect();
    let mut handles = Vec::new();
    for (index, flow) in flows[..FLOWS].iter().enumerate() {
        let id = rig.queues[index % 4].port.id();
        let added = rig
            .adapter
            .add_flow(connection(flow), FlowAction::Queue(id));
        handles.push(added.unwrap());
    }
    let last = connection(&flows[FLOWS]);
    assert!(matches!(
        rig.adapter.add_flow(last, FlowAction::Drop),
        Err(Cause::Misuse(Misuse::TooManyFlows))
    ));
    for (index, flow) in flows[..FLOWS].iter().enumerate() {
        assert_eq!(queue_of(&mut rig, flow), Some(index % 4));
    }
    let middle = handles.remove(100);
    let number = middle.number();
    rig.adapter.remove_flow(middle).unwrap();
    let again = rig.adapter.add_flow(last, FlowAction::Drop).unwrap();
    assert_eq!(again.number(), number);
    assert_eq!(queue_of(&mut rig, &flows[FLOWS]), None);
    for handle in handles.into_iter().chain([again]) {
        rig.adapter.remove_flow(handle).unwrap();
    }
    assert_eq!(rig.adapter.flows(), 0);
    rig.finish();
}

#[test]
fn a_handle_of_an_earlier_bring_up_is_told() {
    let mut rig = steering(Chip::K2);
    let flow = Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (4000, 80));
    let old = rig
        .adapter
        .add_flow(connection(&flow), FlowAction::Drop)
        .unwrap();
    for queue in rig.queues.drain(..) {
        rig.adapter.close_queue_pair(queue.port).unwrap();
    }
    let mut adapter = rig::bring_up(rig.adapter.down().unwrap());
    let (back, cause) = adapter.remove_flow(old).unwrap_err();
    assert!(matches!(cause, Cause::Misuse(Misuse::NoSuchFlow(_))));
    drop(back);
    // And the new one knows nothing of the flow.
    assert_eq!(adapter.flows(), 0);
    adapter.down().unwrap();
    assert_eq!(rig.host.violations(), []);
}

#[test]
fn flows_whose_handles_are_gone_end_when_the_program_says_which_it_has() {
    for chip in [Chip::K2, Chip::Bb] {
        let mut rig = steering(chip);
        let mac = rig.mac;
        let flows: Vec<_> = (0..8)
            .map(|port| Flow::new(mac, "fe80::1", "fe80::2", (4000 + port, 80)))
            .collect();
        let before: Vec<_> = flows.iter().map(|flow| queue_of(&mut rig, flow)).collect();
        let id = rig.queues[1].port.id();
        let mut handles = Vec::new();
        for (index, flow) in flows.iter().enumerate() {
            let to = [FlowAction::Queue(id), FlowAction::Drop][index % 2];
            handles.push(rig.adapter.add_flow(connection(flow), to).unwrap());
        }
        let steered = |index: usize| [Some(1), None][index % 2];

        // Three are lost; with those that are left, nothing else ends.
        for index in [6, 3, 0] {
            drop(handles.remove(index));
        }
        assert_eq!(rig.adapter.reclaim_flows(&handles).unwrap(), 3);
        assert_eq!((rig.adapter.flows(), handles.len()), (5, 5));
        for (index, flow) in flows.iter().enumerate() {
            let expected = if [0, 3, 6].contains(&index) {
                before[index]
            } else {
                steered(index)
            };
            assert_eq!(queue_of(&mut rig, flow), expected, "flow {index}");
        }
        assert_eq!(rig.adapter.reclaim_flows(&handles).unwrap(), 0);

        // A handle that was kept and not shown is of no use, even when another flow has its number.
        let hidden = handles.remove(0);
        assert_eq!(rig.adapter.reclaim_flows(&handles).unwrap(), 1);
        let places: Vec<_> = (0..4)
            .map(|index| {
                let port = 5000 + index;
                let flow = Flow::new(mac, "fe80::1", "fe80::2", (port, 80));
                rig.adapter
                    .add_flow(connection(&flow), FlowAction::Drop)
                    .unwrap()
            })
            .collect();
        assert!(places.iter().any(|new| new.number() == hidden.number()));
        let shown = handles.iter().chain(&places).chain([&hidden]);
        assert!(matches!(
            rig.adapter.reclaim_flows(shown),
            Err(Cause::Misuse(Misuse::NoSuchFlow(_)))
        ));
        let (_, cause) = rig.adapter.remove_flow(hidden).unwrap_err();
        assert!(matches!(cause, Cause::Misuse(Misuse::NoSuchFlow(_))));
        assert_eq!(rig.adapter.flows(), 8);

        // All of them, so that the queue pair can be closed; another profile is possible then.
        drop((handles, places));
        let queue = rig.queues.remove(1);
        let failed = rig.adapter.close_queue_pair(queue.port).unwrap_err();
        assert!(matches!(
            failed.cause,
            Cause::Misuse(Misuse::QueuePairSteered { .. })
        ));
        assert_eq!(rig.adapter.reclaim_flows([]).unwrap(), 8);
        rig.adapter.close_queue_pair(failed.port).unwrap();
        drop(queue.memory);
        let all = FlowMatch::SourceAddress(flows[0].source);
        let handle = rig.adapter.add_flow(all, FlowAction::Drop).unwrap();
        assert_eq!(queue_of(&mut rig, &flows[0]), None);
        rig.adapter.remove_flow(handle).unwrap();
        assert!(queue_of(&mut rig, &flows[0]).is_some());
        rig.finish();
    }
    let mut plain = Rig::new(Setup::default());
    assert!(matches!(
        plain.adapter.reclaim_flows([]),
        Err(Cause::Misuse(Misuse::NoSteering))
    ));
    plain.finish();
}

#[test]
fn a_flow_that_was_added_without_an_answer_ends_whether_it_is_there_or_not() {
    let mut rig = steering(Chip::K2);
    let id = rig.queues[2].port.id();
    let flow = |port| Flow::new(rig.mac, "10.0.0.1", "10.0.0.2", (port, 80));
    let (first, second) = (flow(1), flow(2));
    let kept = rig
        .adapter
        .add_flow(connection(&first), FlowAction::Queue(id))
        .unwrap();
    rig.host.faults().vanish();
    let failed = rig
        .adapter
        .add_flow(connection(&second), FlowAction::Queue(id))
        .unwrap_err();
    assert!(
        matches!(failed, Cause::Ramrod(RamrodError::DeviceGone { .. })),
        "{failed}"
    );
    // Nor can anything be removed meanwhile.
    let (kept, cause) = rig.adapter.remove_flow(kept).unwrap_err();
    assert!(matches!(cause, Cause::Ramrod(_)), "{cause}");
    rig.host.faults().clear();
    // Both count as steered, until it is known better.
    assert_eq!(rig.adapter.flows(), 2);
    rig.adapter.reclaim_flows([&kept]).unwrap();
    assert_eq!(rig.adapter.flows(), 1);
    assert_eq!(queue_of(&mut rig, &first), Some(2));
    assert_eq!(rig.adapter.reclaim_flows([]).unwrap(), 1);
    let handle = rig
        .adapter
        .add_flow(connection(&second), FlowAction::Drop)
        .unwrap();
    rig.adapter.remove_flow(handle).unwrap();
    rig.finish();
}
