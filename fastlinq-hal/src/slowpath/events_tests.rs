use super::*;
use crate::slowpath::test_memory::{HeapRegion, buffer};

fn queue() -> EventQueue<HeapRegion> {
    EventQueue::new(buffer(EQ_RING_BYTES), buffer(8))
        .ok()
        .unwrap()
}

fn write(queue: &mut EventQueue<HeapRegion>, index: u16, bytes: [u8; 16]) {
    queue
        .ring
        .write(usize::from(index % EQ_ELEMENTS) * 16, &bytes)
        .unwrap();
}

#[test]
fn the_page_table_names_the_ring() {
    let queue = queue();
    assert_eq!(
        queue.page_table().read::<[u8; 8]>(0),
        Ok(queue.ring.bus_address().0.to_le_bytes())
    );
}

#[test]
fn elements_come_in_ring_order_across_the_wrap() {
    let mut queue = queue();
    for index in 0..u32::from(u16::MAX) + 300 {
        let index = index as u16;
        let [low, high] = index.to_le_bytes();
        write(
            &mut queue,
            index,
            [4, 9, 0, 0xff, low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        let element = queue.next(index.wrapping_add(1)).unwrap().unwrap();
        assert_eq!(
            (element.echo, element.protocol, element.opcode),
            (index, 4, 9)
        );
        assert_eq!(queue.next(index.wrapping_add(1)), Ok(None));
    }
}

#[test]
fn a_producer_more_than_a_ring_ahead_consumes_nothing() {
    let mut queue = queue();
    for producer in [257, 300, 0x8000, u16::MAX] {
        assert_eq!(
            queue.next(producer),
            Err(ProducerJump {
                consumer: 0,
                producer
            })
        );
    }
    assert_eq!(queue.producer_jumps(), 4);
    assert_eq!(queue.consumer(), 0);
    assert!(queue.next(256).unwrap().is_some(), "a full ring is no jump");
}

#[test]
fn every_byte_pattern_is_an_event() {
    let mut state = 0x1234_5678_9abc_def0u64;
    for _ in 0..10_000 {
        let mut bytes = [0u8; 16];
        for byte in &mut bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
        let element = EventElement::decode(&bytes);
        assert_eq!(element.asynchronous, bytes[7] & 1 == 1);
        let _ = AsynchronousEvent::from_element(&element);
    }
}

#[test]
fn firmware_errors_are_decoded() {
    let element = EventElement::decode(&[8, 7, 0, 0xff, 0, 0, 1, 1, 1, 14, 0x34, 0x12, 0, 0, 0, 0]);
    assert_eq!(
        AsynchronousEvent::from_element(&element),
        AsynchronousEvent::FirmwareError(FirmwareError {
            scope: 1,
            error: 14,
            entity: 0x1234
        })
    );
}
