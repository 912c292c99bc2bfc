//! Slow path: ramrods, events, return codes, wrap-around.

use fastlinq_pac::doorbell::{Aggregation, Destination, Doorbell as Word};
use fastlinq_pac::hsi::{
    CommonRamrodCmdId, EthFilterAction, EthFilterType, EthRamrodCmdId, ProtocolId,
    RxQueueStartRamrodData, TxQueueStartRamrodData, VportFilterUpdateRamrodData,
};

use super::super::TYPE_CORE;
use super::harness::{Bench, Driver, pair, pf_start_data, vport_data};
use crate::fabric::{Fabric, Function, StormId};

const EMPTY: u8 = CommonRamrodCmdId::EMPTY.value();

#[test]
fn every_common_ramrod_has_its_event() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 2);
    for (command, event, code) in [(5, 6, 0), (6, 8, 0), (7, 9, 0), (3, 2, 1), (4, 3, 1)] {
        driver.post(&mut bench, ProtocolId::COMMON, command, 0, &[0u8; 80]);
        let entry = driver.event(&mut bench).unwrap();
        assert_eq!(
            (entry.opcode, entry.fw_return_code, entry.vf_id),
            (event, code, 0xff)
        );
    }
    assert_eq!(
        bench.fabric.violations.len(),
        2,
        "VF_START and VF_STOP are refused by name"
    );
}

#[test]
fn pf_start_and_stop() {
    let mut bench = Bench::new();
    let mut driver = Driver::prepare(&mut bench, 0);
    let mut old = pf_start_data();
    old.hsi_fp_ver.major_ver_arr = [2, 0];
    assert_eq!(
        driver.start(&mut bench, old),
        1,
        "an unknown major version is refused"
    );
    let mut driver = Driver::started(&mut bench, 1);
    let again = driver.ramrod(&mut bench, ProtocolId::COMMON, 1, 0, &pf_start_data());
    assert_eq!(again, 1, "a second start is refused");
    driver.start_vport(&mut bench, 0);
    assert_eq!(
        driver.ramrod(&mut bench, ProtocolId::COMMON, 2, 0, &[0u8; 8]),
        1,
        "a vport is still there"
    );
    assert_eq!(driver.stop_vport(&mut bench, 0), 0);
    assert_eq!(
        driver.ramrod(&mut bench, ProtocolId::COMMON, 2, 0, &[0u8; 8]),
        0
    );
    // After PF_STOP everything starts anew, producers included.
    bench.fabric.violations.clear();
    bench.fabric.set_ram(StormId::U, 8, &[0, 0]);
    let mut driver = Driver::started(&mut bench, 1);
    assert_eq!(
        driver.ramrod(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]),
        0
    );
    bench.assert_quiet();
}

#[test]
fn a_ramrod_before_pf_start_is_an_assertion() {
    let mut bench = Bench::new();
    let mut driver = Driver::prepare(&mut bench, 0);
    driver.post(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]);
    assert_eq!(bench.fabric.assertions, ["ramrod before PF_START"]);
}

#[test]
fn an_unprepared_context_is_reported() {
    let mut bench = Bench::new();
    let driver = Driver::prepare(&mut bench, 0);
    bench.fabric.memory[379] = 0;
    driver.ring(&mut bench, TYPE_CORE, 0, Word::slow_path(1));
    assert_eq!(bench.fabric.violations.len(), 1);
    assert!(bench.fabric.violations[0].contains("does not enable the doorbell flags"));
}

#[test]
fn indices_wrap_at_65536() {
    let mut bench = Bench::new();
    let mut driver = Driver::prepare(&mut bench, 0);
    // Three pages: the ring's size does not divide the range of the index.
    let data = fastlinq_pac::hsi::PfStartRamrodData {
        event_ring_num_pages: 3,
        ..pf_start_data()
    };
    assert_eq!(driver.start(&mut bench, data), 0);
    for _ in 0..70_000 {
        assert_eq!(
            driver.ramrod(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]),
            0
        );
    }
    bench.assert_quiet();
}

#[test]
fn events_wait_for_room_and_keep_their_order() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    let echoes: Vec<u16> = (0..300)
        .map(|_| driver.post(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]))
        .collect();
    let mut seen = Vec::new();
    while let Some(event) = driver.peek_event(&bench) {
        seen.push(event.echo.get());
    }
    assert_eq!(seen.len(), 256, "as many as the ring holds");
    driver.return_events(&mut bench);
    while let Some(event) = driver.event(&mut bench) {
        seen.push(event.echo.get());
    }
    assert_eq!(seen, echoes);
    bench.assert_quiet();
}

#[test]
fn max_ignores_an_old_producer_and_far_ones_halt() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    driver.ring(&mut bench, TYPE_CORE, 0, Word::slow_path(0));
    assert_eq!(
        driver.ramrod(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]),
        0
    );
    bench.assert_quiet();
    let set = Word::new(Destination::Xcm, Aggregation::Set, 2, 0x10, 5000);
    driver.ring(&mut bench, TYPE_CORE, 0, set);
    assert!(bench.fabric.violations[0].contains("beyond the ring"));
    driver.post(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]);
    assert_eq!(
        driver.event(&mut bench),
        None,
        "a halted queue stays halted"
    );
}

#[test]
fn an_impossible_event_consumer_is_reported_once() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    bench.fabric.set_ram(StormId::U, 0, &9999u16.to_le_bytes());
    driver.post(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]);
    driver.post(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]);
    assert_eq!(bench.fabric.violations.len(), 1);
    assert!(bench.fabric.violations[0].contains("ahead of the producer"));
}

#[test]
fn state_checks_of_vports_and_queues() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    let vport = vport_data(0);
    let rx = RxQueueStartRamrodData {
        num_of_pbl_pages: 1.into(),
        bd_max_bytes: 2048.into(),
        sb_id: 1.into(),
        complete_event_flg: 1,
        ..Default::default()
    };
    let tx = TxQueueStartRamrodData {
        sb_id: 1.into(),
        sb_index: 1,
        pbl_size: 1.into(),
        ..Default::default()
    };
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::RX_QUEUE_START, 16, &rx),
        1,
        "no vport"
    );
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::TX_QUEUE_START, 17, &tx),
        1,
        "no vport"
    );
    assert_eq!(driver.stop_vport(&mut bench, 0), 1, "no vport");
    let unknown = fastlinq_pac::hsi::VportStartRamrodData {
        vport_id: 250,
        ..vport
    };
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::VPORT_START, 0, &unknown),
        1,
        "no such vport"
    );
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::VPORT_START, 0, &vport),
        0
    );
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::VPORT_START, 0, &vport),
        1,
        "twice"
    );
    for broken in [
        RxQueueStartRamrodData {
            num_of_pbl_pages: 0.into(),
            ..rx
        },
        RxQueueStartRamrodData {
            bd_max_bytes: 2.into(),
            ..rx
        },
        RxQueueStartRamrodData { sb_index: 12, ..rx },
        RxQueueStartRamrodData {
            sb_id: 368.into(),
            ..rx
        },
        RxQueueStartRamrodData {
            rx_queue_id: 320.into(),
            ..rx
        },
        RxQueueStartRamrodData { pmd_mode: 1, ..rx },
    ] {
        assert_eq!(
            driver.eth(&mut bench, EthRamrodCmdId::RX_QUEUE_START, 16, &broken),
            1
        );
    }
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::RX_QUEUE_START, 16, &rx),
        0
    );
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::RX_QUEUE_START, 16, &rx),
        1,
        "twice"
    );
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::TX_QUEUE_START, 17, &tx),
        0
    );
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::TX_QUEUE_START, 17, &tx),
        1,
        "twice"
    );
    assert_eq!(driver.stop_vport(&mut bench, 0), 1, "queues still run");
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::TX_QUEUE_STOP, 18, &[0u8; 8]),
        1,
        "another connection"
    );
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::TX_QUEUE_STOP, 17, &[0u8; 8]),
        0
    );
    assert_eq!(
        driver.eth(
            &mut bench,
            EthRamrodCmdId::RX_QUEUE_STOP,
            16,
            &[0u8, 0, 0, 1, 0, 0, 0, 0]
        ),
        0
    );
    assert_eq!(driver.stop_vport(&mut bench, 0), 0);
}

#[test]
fn a_function_cannot_touch_the_vport_of_another() {
    let mut bench = Bench::new();
    let mut first = Driver::started(&mut bench, 0);
    let mut second = Driver::started(&mut bench, 1);
    first.start_vport(&mut bench, 7);
    assert_eq!(second.stop_vport(&mut bench, 7), 1);
    assert_eq!(
        second.filter(
            &mut bench,
            7,
            EthFilterType::MAC,
            EthFilterAction::ADD,
            [2, 0, 0, 0, 0, 9],
            0
        ),
        1
    );
    assert_eq!(first.stop_vport(&mut bench, 7), 0);
}

#[test]
fn filter_commands_run_in_order_up_to_the_first_refusal() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    driver.start_vport(&mut bench, 0);
    let mut data = VportFilterUpdateRamrodData::default();
    data.filter_cmd_hdr.rx = 1;
    data.filter_cmd_hdr.cmd_cnt = 3;
    for (command, mac) in data.filter_cmds.iter_mut().zip([1, 1, 2]) {
        command.type_ = EthFilterType::MAC.value();
        command.action = EthFilterAction::ADD.value();
        command.mac_msb = 0x0200.into();
        command.mac_lsb = mac.into();
    }
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::FILTERS_UPDATE, 0, &data),
        3,
        "the second is a duplicate"
    );
    let last = [2, 0, 0, 0, 0, 2];
    assert_eq!(
        driver.filter(
            &mut bench,
            0,
            EthFilterType::MAC,
            EthFilterAction::REMOVE,
            last,
            0
        ),
        5
    );
    data.filter_cmd_hdr.rx = 0;
    data.filter_cmd_hdr.tx = 1;
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::FILTERS_UPDATE, 0, &data),
        0x83,
        "in the transmit table"
    );
    data.filter_cmd_hdr.cmd_cnt = 11;
    assert_eq!(
        driver.eth(&mut bench, EthRamrodCmdId::FILTERS_UPDATE, 0, &data),
        1
    );
}

#[test]
fn final_cleanup_forgets_and_acknowledges() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 3);
    driver.start_vport(&mut bench, 9);
    bench
        .storm
        .final_cleanup(&mut bench.fabric, 3, Function::pf(3));
    assert_eq!(bench.fabric.ram32(StormId::U, 0xa80 + 8 * 3), 1);
    assert!(bench.storm.started_vports().next().is_none());
    bench.fabric.set_ram(StormId::U, 8 * 3, &[0, 0]);
    let mut driver = Driver::started(&mut bench, 3);
    driver.start_vport(&mut bench, 9);
    bench.assert_quiet();
}

#[test]
fn ramrod_data_that_is_not_mapped_is_refused() {
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    let mut old = pf_start_data();
    old.event_ring_pbl_addr = pair(0x10);
    let mut other = Driver::prepare(&mut bench, 1);
    other.post(&mut bench, ProtocolId::COMMON, 1, 0, &old);
    assert!(
        bench
            .fabric
            .violations
            .iter()
            .any(|text| text.contains("event queue page table"))
    );
    assert_eq!(
        driver.ramrod(&mut bench, ProtocolId::COMMON, EMPTY, 0, &[0u8; 8]),
        0,
        "others go on"
    );
}
