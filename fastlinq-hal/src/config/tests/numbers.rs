//! The numbers, against those of the hardware reference.

use super::*;
use crate::firmware::Modes;

#[test]
fn contexts_are_51_to_a_page() {
    assert_eq!(CONTEXTS_PER_PAGE, 51);
    assert_eq!(cid_parameters(), 0x3310_0500);
    assert_eq!(task_parameters(), [0x5020_0066, 0x2820_00cc]);
}

#[test]
fn connections_come_in_ranges_of_16() {
    let connections = Connections::new(1);
    assert_eq!((connections.core, connections.eth), (16, 16));
    assert_eq!((connections.slow_path(), connections.first_eth()), (0, 16));
    assert_eq!(connections.last_ranges(), [0, 0, 0, 1, 2, 2, 2, 2]);
    let connections = Connections::new(64);
    assert_eq!(connections.total(), 144);
    assert_eq!(connections.context_pages(), 3);
    assert_eq!(Connections::new(9).eth, 32);
    assert_eq!(
        Connections::new(u16::MAX).eth,
        640,
        "no more than the chip has"
    );
}

#[test]
fn physical_queues_are_rounded() {
    use crate::config::queue_manager::{pq_size, pq_units};
    assert_eq!([0, 1, 1022, 1023, 1024].map(pq_units), [0, 1, 1, 1, 2]);
    assert_eq!([0, 1, 256, 257, 512, 513].map(pq_size), [0, 0, 0, 1, 1, 2]);
}

#[test]
fn virtual_queues_of_all_ports_are_apart() {
    for (chip, ports) in [
        (Chip::Bb, 1),
        (Chip::Bb, 2),
        (Chip::K2, 1),
        (Chip::K2, 2),
        (Chip::K2, 4),
    ] {
        let queues = PortQueues::new(chip, ports);
        let mut all = Vec::new();
        for port in 0..ports {
            all.extend((0..queues.classes).map(|class| virtual_queue(port, class, queues.classes)));
            all.push(virtual_queue(port, 8, queues.classes));
        }
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
        assert!(all.iter().all(|queue| *queue < 20), "{all:?}");
    }
    assert_eq!(virtual_queue(1, 3, 8), 11);
    assert_eq!(virtual_queue(3, 8, 4), 19);
}

#[test]
fn ports_share_lines_and_blocks() {
    let numbers = |chip, ports| {
        let queues = PortQueues::new(chip, ports);
        (
            queues.active,
            queues.lines,
            queues.blocks,
            queues.loopback_blocks,
        )
    };
    assert_eq!(numbers(Chip::K2, 1), (0x9f, 529, 294, 38));
    assert_eq!(numbers(Chip::K2, 2), (0x9f, 252, 140, 38));
    assert_eq!(numbers(Chip::K2, 4), (0xf, 170, 96, 38));
    assert_eq!(numbers(Chip::Bb, 1), (0x9f, 529, 227, 38));
    assert_eq!(numbers(Chip::Bb, 2), (0x9f, 252, 107, 38));
}

#[test]
fn lines_become_credit() {
    use crate::config::port_queues::line_credit;
    assert_eq!(line_credit(150), 0x8124);
    assert_eq!(line_credit(529), 0x841a);
}

#[test]
fn rates_become_increments() {
    use crate::config::rates::{increment, limiter_bound};
    assert_eq!(increment(100_000), 63_125);
    assert_eq!(increment(0), 63_125);
    assert_eq!(increment(1), 1);
    assert_eq!(increment(25_000), 15_781);
    assert_eq!(limiter_bound(10_000), 10_700);
    assert_eq!(limiter_bound(100_000), 63_125);
}

#[test]
fn the_engine_gets_its_schedulers() {
    let queues = PortQueues::new(Chip::Bb, 2);
    let bandwidth = Bandwidth { min: 1, max: 100 };
    let at = stored(|runtime| queues.fill(runtime, bandwidth).expect("fits"));
    use RuntimeId as R;
    assert_eq!(at(R::QM_REG_AFULLOPRTNSTCCRDMASK, 0), Some(0x13f));
    assert_eq!(at(R::QM_REG_RLPFENABLE, 0), Some(1));
    assert_eq!(at(R::QM_REG_RLPFVOQENABLE, 0), Some(0xf_ffff));
    assert_eq!(at(R::QM_REG_RLPFPERIOD, 0), Some(125));
    assert_eq!(at(R::QM_REG_AFULLQMBYPTHRPFWFQ, 0), Some(62_500_000));
    assert_eq!(at(R::QM_REG_AFULLQMBYPTHRGLBLRL, 0), Some(10_699));
    assert_eq!(at(R::QM_REG_AFULLQMBYPTHRVPWFQ, 0), Some(10_700));
    assert_eq!(at(R::QM_REG_RLGLBLUPPERBOUND, 255), Some(0x8000_f695));
    assert_eq!(at(R::QM_REG_RLGLBLINCVAL, 0), Some(63_125));
    // Port 1, class 7 and loopback are in use; class 5 of port 0 is not.
    assert_eq!(at(R::QM_REG_VOQCRDLINE, 15), Some(0x81f0));
    assert_eq!(at(R::QM_REG_VOQINITCRDLINE, 17), Some(0x8124));
    assert_eq!(at(R::QM_REG_VOQCRDLINE, 5), None);
    assert_eq!(at(R::PBF_REG_YCMD_QS_NUM_LINES_VOQ15, 0), Some(252));
    assert_eq!(at(R::PBF_REG_YCMD_QS_NUM_LINES_VOQ5, 0), Some(0));
    assert_eq!(at(R::PBF_REG_BTB_GUARANTEED_VOQ15, 0), Some(107));
    assert_eq!(at(R::PBF_REG_BTB_GUARANTEED_VOQ16, 0), Some(38));
    let at = stored(|runtime| queues.fill(runtime, Bandwidth::default()).expect("fits"));
    assert_eq!(at(R::QM_REG_AFULLOPRTNSTCCRDMASK, 0), Some(0x12b));
    assert_eq!(at(R::QM_REG_RLPFENABLE, 0), Some(0));
    assert_eq!(at(R::QM_REG_RLPFPERIOD, 0), None);
}

#[test]
fn a_physical_queue_is_packed() {
    let pq = TxPq {
        id: 0x1a8,
        class: 8,
        virtual_queue: 17,
    };
    assert_eq!(pq.map_word(), 1 | 0x1a8 << 9 | 17 << 18 | 1 << 23);
    assert_eq!(pq.info_word(5, 1), 0x1a8 | 5 << 12 | 8 << 16 | 1 << 20);
}

#[test]
fn functions_of_an_engine_get_queues_apart() {
    for (chip, ports, functions) in [(Chip::K2, 4, 16), (Chip::K2, 2, 8), (Chip::Bb, 2, 8)] {
        let mut pqs = Vec::new();
        let mut lines = Vec::new();
        for index in 0..functions {
            let plan = plan_for(chip, ports, functions.into(), index);
            pqs.extend(plan.queues.pqs().iter().map(|pq| pq.id));
            let contexts = plan.translation.lines(IltClient::Contexts);
            let queues = plan.translation.lines(IltClient::QueueManager);
            assert_eq!(contexts.first + contexts.count, queues.first);
            lines.extend(contexts.first..queues.first + queues.count);
            assert_eq!(plan.queues.pqs()[0].id % PQ_GROUP, 0);
        }
        for numbers in [&pqs, &lines] {
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        }
        assert!(pqs.last() < Some(&chip.limits().tx_pqs));
        assert!(lines.last() < Some(&chip.limits().ilt_lines));
    }
}

#[test]
fn a_function_stores_its_queues() {
    let plan = plan_for(Chip::K2, 2, 16, 9);
    assert_eq!((plan.transmit_pq(0), plan.loopback_pq()), (Some(288), 292));
    assert_eq!(plan.transmit_pq(8), None);
    assert_eq!(plan.queues.memory_bytes(), 9 * 4096);
    let at = stored(|runtime| plan.queues.fill(runtime).expect("fits"));
    use RuntimeId as R;
    assert_eq!(at(R::QM_REG_PQOTHER2PF_9, 0), Some(9));
    assert_eq!(at(R::QM_REG_PQTX2PF_36, 0), Some(9));
    assert_eq!(at(R::QM_REG_BASEADDROTHERPQ, 75), Some(3));
    assert_eq!(at(R::QM_REG_BASEADDROTHERPQ, 76), None);
    assert_eq!(at(R::QM_REG_BASEADDRTXPQ, 288), Some(4));
    assert_eq!(at(R::QM_REG_BASEADDRTXPQ, 292), Some(8));
    assert_eq!(at(R::QM_REG_PTRTBLTX, 2 * 292 + 1), Some(0));
    // Port 1: classes from 8 on; loopback is 17.
    assert_eq!(at(R::QM_REG_WFQVPMAP, 289), Some(9 | 9 << 5));
    assert_eq!(at(R::QM_REG_WFQVPMAP, 292), Some(17 | 9 << 5));
    assert_eq!(
        at(R::QM_REG_TXPQMAP, 288),
        Some(plan.queues.pqs()[0].map_word())
    );
    assert_eq!(at(R::QM_REG_WFQVPWEIGHT, 288), Some(10_800));
    assert_eq!(at(R::QM_REG_WFQVPUPPERBOUND, 288), Some(0x8000_2a30));
    // The ninth function of K2 has its credits in the second array.
    assert_eq!(at(R::QM_REG_WFQPFCRD_MSB, 17 * 8 + 1), Some(1 << 31));
    assert_eq!(at(R::QM_REG_WFQPFCRD, 17 * 8 + 1), None);
    assert_eq!(at(R::QM_REG_WFQPFWEIGHT, 9), Some(0x9000));
    assert_eq!(at(R::QM_REG_RLPFINCVAL, 9), Some(63_125));
    assert_eq!(at(R::QM_REG_RLPFUPPERBOUND, 9), Some(0x83b9_aca0));
}

#[test]
fn the_translation_table_names_pages() {
    let share = Share {
        start: 1375,
        count: 1375,
        granted: true,
    };
    let translation = Translation::new(share, 3, 1, 0).expect("fits");
    assert_eq!(translation.pages(), 4);
    let pages = (0..4).map(|page| BusAddress(0x12_3450_0000 + page * 0x1_0000));
    let at = stored(|runtime| translation.fill(runtime, pages).expect("fits"));
    use RuntimeId as R;
    assert_eq!(at(R::PSWRQ2_REG_CDUC_P_SIZE, 0), Some(4));
    assert_eq!(at(R::PSWRQ2_REG_CDUC_FIRST_ILT, 0), Some(1375));
    assert_eq!(at(R::PSWRQ2_REG_CDUC_LAST_ILT, 0), Some(1377));
    assert_eq!(at(R::PSWRQ2_REG_CDUC_BLOCKS_FACTOR, 0), Some(6));
    assert_eq!(at(R::PSWRQ2_REG_CDUC_NUMBER_OF_PF_BLOCKS, 0), Some(3));
    assert_eq!(at(R::PSWRQ2_REG_QM_FIRST_ILT, 0), Some(1378));
    assert_eq!(at(R::PSWRQ2_REG_QM_LAST_ILT, 0), Some(1378));
    assert_eq!(
        at(R::PSWRQ2_REG_CDUT_FIRST_ILT, 0),
        None,
        "no tasks, no lines"
    );
    assert_eq!(at(R::PSWRQ2_REG_ILT_MEMORY, 2 * 1376), Some(0x0123_4510));
    assert_eq!(at(R::PSWRQ2_REG_ILT_MEMORY, 2 * 1376 + 1), Some(1 << 20));
    assert_eq!(at(R::PSWRQ2_REG_SRC_FIRST_ILT, 0), None);
    let steering = Translation::new(share, 3, 1, 1).expect("fits");
    let pages = (0..5).map(|page| BusAddress(0x12_3450_0000 + page * 0x1_0000));
    let at = stored(|runtime| steering.fill(runtime, pages).expect("fits"));
    assert_eq!(at(R::PSWRQ2_REG_SRC_P_SIZE, 0), Some(4));
    assert_eq!(at(R::PSWRQ2_REG_SRC_FIRST_ILT, 0), Some(1379));
    assert_eq!(at(R::PSWRQ2_REG_SRC_LAST_ILT, 0), Some(1379));
    assert_eq!(at(R::PSWRQ2_REG_ILT_MEMORY, 2 * 1379), Some(0x0123_4540));
    let tight = Share { count: 3, ..share };
    assert!(matches!(
        Translation::new(tight, 3, 1, 0),
        Err(ConfigError::TooFew { needed: 4, .. })
    ));
    let beyond = Share {
        start: 10_998,
        ..share
    };
    assert!(matches!(
        Translation::new(beyond, 3, 1, 0),
        Err(ConfigError::BeyondChip { .. })
    ));
}

#[test]
fn the_doorbell_bar_is_cut_behind_the_connections() {
    let layout = DoorbellLayout::new(Connections::new(64), 512 * 1024).expect("fits");
    assert_eq!(
        (layout.normal_pages(), layout.page_shift(), layout.pages),
        (1, 0, 127)
    );
    assert!(DoorbellLayout::new(Connections::new(1), 5 * 4096).is_ok());
    assert_eq!(
        DoorbellLayout::new(Connections::new(1), 5 * 4096 - 1),
        Err(ConfigError::DoorbellBarTooSmall {
            bytes: 20_479,
            needed: 20_480
        })
    );
}

#[test]
fn the_host_may_map_less_of_the_doorbell_bar_than_there_is() {
    let mut identity = identity(Chip::Bb, 1, 0);
    let bar = FakeHost::new().doorbells();
    let pages = |identity: &_| {
        DoorbellLayout::of_function(identity, Connections::new(1), &bar)
            .expect("fits")
            .pages
    };
    assert_eq!(pages(&identity), 127);
    identity.coupled = true;
    assert_eq!(pages(&identity), 63, "each engine has half of it");
    identity.doorbell_bar_bytes = 8 << 20;
    assert_eq!(pages(&identity), 127, "the host mapped one megabyte");
}

#[test]
fn modes_say_what_the_chip_is() {
    use MultiFunctionMode as M;
    let of = |chip, ports, mode| modes(&identity(chip, ports, 0), mode);
    assert_eq!(of(Chip::K2, 4, M::Default).expect("modes").bits(), 0x240c);
    assert_eq!(of(Chip::Bb, 2, M::OuterVlan).expect("modes").bits(), 0x120a);
    assert_eq!(of(Chip::K2, 1, M::Npar).expect("modes").bits(), 0xc0c);
    assert_eq!(
        of(Chip::Bb, 4, M::Default),
        Err(ConfigError::Ports { ports: 4 })
    );
    assert_eq!(
        of(Chip::K2, 3, M::Default),
        Err(ConfigError::Ports { ports: 3 })
    );
    let mut old = identity(Chip::Bb, 1, 0);
    old.chip_revision = 0;
    assert_eq!(
        modes(&old, M::Default),
        Err(ConfigError::ChipRevision { revision: 0 })
    );
    old.chip_revision = 1;
    old.coupled = true;
    assert!(
        modes(&old, M::Default)
            .expect("modes")
            .contains(Modes::TWO_ENGINES)
    );
}

#[test]
fn a_plan_takes_what_there_is() {
    let wanted = PlanRequest {
        queue_pairs: 500,
        ..REQUEST
    };
    let make = |shares: &Shares, blocks| {
        Plan::new(
            &identity(Chip::K2, 2, 0),
            shares,
            status_blocks(0, blocks),
            &FakeHost::new().doorbells(),
            &wanted,
        )
    };
    let mut shares = even(Chip::K2, 2, 0);
    assert_eq!(make(&shares, 64).expect("a plan").queue_pairs, 64);
    assert_eq!(make(&shares, 3).expect("a plan").queue_pairs, 3);
    let two = Share {
        start: 100,
        count: 2,
        granted: true,
    };
    shares.set(Resource::L2Queues, two);
    let plan = make(&shares, 8).expect("a plan");
    assert_eq!((plan.queue_pairs, plan.first_queue), (2, 100));
    assert!(matches!(
        make(&shares, 0),
        Err(ConfigError::TooFew {
            resource: Resource::StatusBlocks,
            ..
        })
    ));
    shares.set(Resource::TxPqs, Share { start: 0, ..two });
    assert!(matches!(
        make(&shares, 8),
        Err(ConfigError::TooFew {
            resource: Resource::TxPqs,
            needed: 5,
            ..
        })
    ));
    let mut shares = even(Chip::K2, 2, 0);
    shares.set(Resource::Vports, Share { start: 207, ..two });
    assert!(matches!(
        make(&shares, 8),
        Err(ConfigError::BeyondChip { start: 207, .. })
    ));
    let mut shares = even(Chip::K2, 2, 0);
    shares.set(Resource::RssEngines, Share::default());
    assert_eq!(make(&shares, 8).expect("a plan").rss_engine, None);
}

#[test]
fn a_function_of_a_tagged_port_says_its_tag() {
    let mut plan = plan_for(Chip::K2, 2, 16, 3);
    let host = FakeHost::new();
    let memory = empty_memory(&host, &plan);
    let at = stored(|runtime| function_runtime(runtime, &plan, &memory).expect("fits"));
    use RuntimeId as R;
    assert_eq!(at(R::NIG_REG_LLH_FUNC_TAGMAC_CLS_TYPE, 0), Some(1));
    assert_eq!(at(R::NIG_REG_LLH_FUNC_TAG_EN, 0), None);
    assert_eq!(at(R::IGU_REG_PF_CONFIGURATION, 0), Some(1));
    assert_eq!(at(R::XCM_REG_CON_PHY_Q3, 0), Some(0x200 + 100));
    assert_eq!(at(R::TM_REG_CONFIG_CONN_MEM, 2 * (192 + 3)), Some(0));
    assert_eq!(at(R::DORQ_REG_PF_MAX_ICID_4, 0), Some(2));
    assert_eq!(
        at(R::CAU_REG_SB_VAR_MEMORY, 2 * 31 + 1),
        Some(0x3fff | 3 << 27)
    );
    assert_eq!(at(R::CAU_REG_SB_VAR_MEMORY, 2 * 31), Some(0));
    assert_eq!(
        at(R::IGU_REG_ATTN_MSG_ADDR_L, 0),
        None,
        "the driver has written it"
    );
    plan.modes = Modes::K2 | Modes::MF_SD;
    plan.outer_vlan = Some(100);
    let at = stored(|runtime| function_runtime(runtime, &plan, &memory).expect("fits"));
    assert_eq!(at(R::NIG_REG_LLH_FUNC_TAG_VALUE, 0), Some(100));
    assert_eq!(at(R::NIG_REG_LLH_FUNC_TAGMAC_CLS_TYPE, 0), None);
    memory.into_buffers().for_each(drop);
}

fn empty_memory(host: &FakeHost, plan: &Plan) -> FunctionMemory<crate::init::fake::FakeRegion> {
    let bytes = fastlinq_model::firmware_image::synthetic_image();
    let image = crate::firmware::FirmwareImage::parse(&bytes).expect("parses");
    FunctionMemory::allocate(&mut host.clone(), plan, &image).expect("memory")
}
