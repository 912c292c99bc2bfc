use super::*;
use crate::slowpath::test_memory::buffer;

fn queue() -> SlowPathQueue<crate::slowpath::test_memory::HeapRegion> {
    SlowPathQueue::new(buffer(SPQ_RING_BYTES), buffer(RAMROD_AREA_BYTES))
}

fn post(
    queue: &mut SlowPathQueue<crate::slowpath::test_memory::HeapRegion>,
    ramrod: Ramrod,
) -> Echo {
    queue.post(ramrod, 3, 0, &[0xa5u8; 440]).unwrap()
}

fn complete(
    queue: &mut SlowPathQueue<crate::slowpath::test_memory::HeapRegion>,
    echo: Echo,
    ramrod: Ramrod,
    code: u8,
) -> Result<Ramrod, CompletionFault> {
    queue.complete(echo.0, ramrod.protocol().0, ramrod.completing_event(), code)
}

#[test]
fn an_element_is_written_as_the_interface_defines_it() {
    let mut queue = queue();
    let echo = queue
        .post(Ramrod::VportStart, 0x1234, 7, &[1u8, 2, 3, 4])
        .unwrap();
    assert_eq!(echo, Echo(0));
    assert_eq!(queue.producer(), 1);
    let element: [u8; 16] = queue.ring().read(0).unwrap();
    let address = queue.data.bus_address().0;
    assert_eq!(element[..8], [7, 0, 0x34, 0x12, 1, 4, 0, 0]);
    assert_eq!(element[8..], address.to_le_bytes());
    assert_eq!(queue.data.read::<[u8; 4]>(0), Ok([1, 2, 3, 4]));
}

#[test]
fn a_ramrod_without_data_has_a_null_pointer() {
    let mut queue = queue();
    queue.post(Ramrod::PfStop, 0, 0, &[]).unwrap();
    assert_eq!(queue.ring().read::<[u8; 8]>(8), Ok([0; 8]));
}

#[test]
fn out_of_order_completions_free_slots_in_order() {
    let mut queue = queue();
    let first = post(&mut queue, Ramrod::VportUpdate);
    let second = post(&mut queue, Ramrod::FiltersUpdate);
    let third = post(&mut queue, Ramrod::VportUpdate);
    assert_eq!(
        complete(&mut queue, third, Ramrod::VportUpdate, 0),
        Ok(Ramrod::VportUpdate)
    );
    assert_eq!(
        complete(&mut queue, second, Ramrod::FiltersUpdate, 0x03),
        Ok(Ramrod::FiltersUpdate)
    );
    assert_eq!(queue.outstanding(), 1);
    assert_eq!(queue.consumer, 0, "the first slot is still the firmware's");
    assert_eq!(queue.progress(first), Progress::Outstanding);
    assert_eq!(queue.progress(third), Progress::Done);
    assert!(matches!(queue.progress(second), Progress::Refused(code) if code.raw() == 3));
    assert_eq!(
        complete(&mut queue, first, Ramrod::VportUpdate, 0),
        Ok(Ramrod::VportUpdate)
    );
    assert_eq!((queue.outstanding(), queue.consumer), (0, 3));
}

#[test]
fn a_late_first_ramrod_keeps_its_data_until_it_completes() {
    let mut queue = queue();
    let stuck = post(&mut queue, Ramrod::Empty);
    for _ in 1..RAMRODS_IN_FLIGHT {
        let echo = post(&mut queue, Ramrod::VportUpdate);
        complete(&mut queue, echo, Ramrod::VportUpdate, 0).unwrap();
    }
    assert_eq!(
        queue.post(Ramrod::Empty, 0, 0, &[]),
        Err(PostFault::Full),
        "the data buffer of the stuck ramrod would be the next"
    );
    complete(&mut queue, stuck, Ramrod::Empty, 0).unwrap();
    assert_eq!(queue.outstanding(), 0);
    assert!(queue.post(Ramrod::Empty, 0, 0, &[]).is_ok());
}

#[test]
fn hostile_completions_change_nothing() {
    let mut queue = queue();
    for echo in [0, 1, 31, 32, 255, 256, u16::MAX] {
        assert_eq!(
            queue.complete(echo, 8, 0, 0),
            Err(CompletionFault::UnknownEcho(echo))
        );
    }
    let echo = post(&mut queue, Ramrod::VportStart);
    for (protocol, opcode) in [(8, 1), (4, 2), (0, 0), (255, 255)] {
        assert!(matches!(
            queue.complete(echo.0, protocol, opcode, 0),
            Err(CompletionFault::WrongEvent { .. })
        ));
    }
    assert_eq!(
        queue.complete(32, 4, 1, 0),
        Err(CompletionFault::UnknownEcho(32))
    );
    assert_eq!(queue.progress(echo), Progress::Outstanding);
    complete(&mut queue, echo, Ramrod::VportStart, 0).unwrap();
    assert_eq!(
        complete(&mut queue, echo, Ramrod::VportStart, 0),
        Err(CompletionFault::UnknownEcho(0)),
        "a completion counts once"
    );
}

#[test]
fn indices_wrap() {
    let mut queue = queue();
    for round in 0..70_000u32 {
        let echo = post(&mut queue, Ramrod::FiltersUpdate);
        assert_eq!(u32::from(echo.0), round & 0xffff);
        complete(&mut queue, echo, Ramrod::FiltersUpdate, 0).unwrap();
        assert_eq!(queue.progress(echo), Progress::Done);
        assert_eq!(queue.outstanding(), 0);
    }
}

#[test]
fn too_large_data_is_refused() {
    let mut queue = queue();
    assert_eq!(
        queue.post(Ramrod::Empty, 0, 0, &[0u8; 513]),
        Err(PostFault::Memory)
    );
    assert_eq!(queue.producer(), 0);
    let mut small = SlowPathQueue::new(buffer(8), buffer(RAMROD_AREA_BYTES));
    assert_eq!(small.post(Ramrod::Empty, 0, 0, &[]), Err(PostFault::Memory));
}
