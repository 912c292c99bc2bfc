//! The test of hosts, tested: a good host passes it, and each defect fails its own check.

use fastlinq_hal::adapter::{Adapter, AdapterConfig, AnyAdapter, InterruptMode};
use fastlinq_hal::host::conformance::{self, Check, Failure, Outcome, Report};
use fastlinq_model_host::ModelHost;
use fastlinq_model_host::model::Chip;

mod broken;
#[allow(unused, reason = "shared with other tests")]
mod common;

use broken::{Broken, Defect};

#[test]
fn the_model_host_passes_on_every_shape_of_card() {
    for (chip, ports) in common::PORTS {
        for scramble in [false, true] {
            let hosts = ModelHost::builder()
                .chip(chip)
                .ports(ports)
                .functions(2)
                .scramble_addresses(scramble)
                .build_all();
            for host in hosts {
                let (report, _) = conformance::check(host.clone());
                assert!(report.passed(), "{chip:?} {ports}:\n{report}");
                let idle: Vec<_> = report.not_run().collect();
                assert_eq!(idle, [Check::Interrupt, Check::AllOnes, Check::LostWrites]);
                common::assert_clean(&host, "conformance");
            }
        }
    }
}

#[test]
fn a_bring_up_works_after_the_checks() {
    let host = ModelHost::builder().build();
    let (report, given_back) = conformance::check(host.clone());
    assert!(report.passed(), "{report}");
    let bytes = common::image();
    let up = common::up(Adapter::new(given_back, AdapterConfig::default()), &bytes);
    let Ok(AnyAdapter::UpWithImages(adapter)) = up else {
        panic!("not up")
    };
    adapter.down().map_err(|failed| failed.cause).unwrap();
    common::assert_clean(&host, "up after conformance");
}

/// The check that a defect must fail, and it alone unless others cannot but fail with it.
fn run(defect: Defect) -> Report {
    let host = ModelHost::builder().chip(Chip::K2).build();
    conformance::check(Broken::new(host, defect)).0
}

#[test]
fn every_defect_fails_its_check() {
    use Defect as D;
    assert!(run(D::Nothing).passed(), "{}", run(D::Nothing));
    let cases: &[(Defect, &[Check])] = &[
        (D::ForeignIdentity, &[Check::Identity]),
        (D::SmallRegisterBar, &[Check::RegisterBar]),
        (D::OddDoorbellBar, &[Check::DoorbellBar]),
        (D::UnmappedBar, &[Check::RegisterBar, Check::DoorbellBar]),
        (D::FlickeringIdentity, &[Check::Answers]),
        (D::SwappedBytes, &[Check::ByteOrder]),
        (D::OffsetBitLost, &[Check::Offsets, Check::Width32]),
        (D::UpperHalfLost, &[Check::Width32, Check::Width16]),
        (D::LowBitStuck, &[Check::ByteOrder, Check::Width32]),
        (D::Write16Lost, &[Check::Width16]),
        (D::Write16AsWrite32, &[Check::Width16]),
        (D::Write16InUpperHalf, &[Check::Width16]),
        (D::LateWrites, &[Check::Width32, Check::Order]),
        (D::ClockGoesBack, &[Check::ClockMonotonic]),
        (D::ClockInNanoseconds, &[Check::ClockUnit]),
        (D::ShortMilliseconds, &[Check::Delay]),
        (D::NoDelay, &[Check::Delay]),
        (D::NoMemory, &[Check::Allocation]),
        (D::ShortRegions, &[Check::Allocation]),
        (D::UnalignedBus, &[Check::Alignment]),
        (D::NotZeroed, &[Check::Zeroed]),
        (D::SameBusAddress, &[Check::Disjoint]),
        (D::NullBusAddress, &[Check::Disjoint]),
        (D::CpuMemoryNotShared, &[Check::Mastership]),
        (D::WrongBusAddress, &[Check::Mastership]),
        (D::NoBusMaster, &[Check::Mastership]),
        (D::PageReadElsewhere, &[Check::DeviceReads]),
        (D::PageWrittenElsewhere, &[Check::DeviceWrites]),
        (D::WritesTooMuch, &[Check::DeviceWrites]),
        (D::ReuseNotZeroed, &[Check::Reuse]),
        (D::EndlessMemory, &[Check::Refusal]),
    ];
    for (defect, expected) in cases {
        let report = run(*defect);
        let failed: Vec<_> = report.failures().map(|(check, _)| check).collect();
        for check in *expected {
            assert!(
                failed.contains(check),
                "{defect:?} passes {check:?}:\n{report}"
            );
        }
        println!("{defect:?}: {failed:?}");
        assert!(!report.passed());
    }
}

#[test]
fn interrupts_are_waited_for_again_and_again() {
    let bytes = common::image();
    let host = ModelHost::builder().interrupt_vectors(4).build();
    let config = AdapterConfig {
        interrupts: InterruptMode::MsiX,
        ..AdapterConfig::default()
    };
    let Ok(AnyAdapter::UpWithImages(mut adapter)) =
        common::up(Adapter::new(host.clone(), config), &bytes)
    else {
        panic!("not up")
    };
    let report =
        conformance::check_interrupts(&mut adapter, |vector| host.take_interrupts(vector) > 0);
    assert!(report.passed(), "{report}");
    let deaf = conformance::check_interrupts(&mut adapter, |_| false);
    let expected = Failure::NoInterrupt { vector: 0 };
    assert_eq!(deaf.outcome(Check::Interrupt), Outcome::Failed(expected));
    // Fires once and is never armed again.
    let mut once = 2;
    let report = conformance::check_interrupts(&mut adapter, |vector| {
        once -= 1;
        once >= 0 && host.take_interrupts(vector) > 0
    });
    assert_eq!(report.outcome(Check::Interrupt), Outcome::Failed(expected));
    adapter.down().map_err(|failed| failed.cause).unwrap();
    common::assert_clean(&host, "interrupts");
}

#[test]
fn a_function_that_is_gone_reads_as_all_ones() {
    let gone = |defect| {
        let host = ModelHost::builder().build();
        host.faults().vanish();
        let mut broken = Broken::new(host, defect);
        conformance::check_gone(&mut broken)
    };
    let good = gone(Defect::Nothing);
    assert!(good.passed(), "{good}");
    assert_eq!(good.outcome(Check::LostWrites), Outcome::Passed);
    for defect in [Defect::ZerosWhenGone, Defect::DoorbellsZeroWhenGone] {
        let report = gone(defect);
        let failed = report.outcome(Check::AllOnes);
        assert!(
            matches!(failed, Outcome::Failed(_)),
            "{defect:?}:\n{report}"
        );
    }
    // A function that is still there does not pass for one that is gone.
    let mut alive = ModelHost::builder().build();
    let report = conformance::check_gone(&mut alive);
    let failed = report.outcome(Check::AllOnes);
    assert!(matches!(failed, Outcome::Failed(_)), "{report}");
}

#[test]
fn reports_add_up_and_print_every_check() {
    let (mut report, host) = conformance::check(ModelHost::builder().build());
    host.faults().vanish();
    let mut host = host;
    report.merge(&conformance::check_gone(&mut host));
    assert!(report.passed());
    let idle: Vec<_> = report.not_run().collect();
    assert_eq!(idle, [Check::Interrupt]);
    report.merge(&run(Defect::NoDelay));
    assert!(!report.passed());
    let text = report.to_string();
    assert_eq!(text.lines().count(), Check::ALL.len());
    assert!(
        text.contains("FAILED   delays are long enough: 0 us passed in a wait of"),
        "{text}"
    );
    for (index, check) in Check::ALL.into_iter().enumerate() {
        assert_eq!(check as usize, index, "{check:?}");
    }
}
