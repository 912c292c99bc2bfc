//! A driver that writes anything anywhere: nothing panics, nothing runs on for ever.

use fastlinq_pac::doorbell::Doorbell as Word;
use fastlinq_pac::hsi::ProtocolId;

use super::super::{TYPE_CORE, TYPE_ETH};
use super::frames::{OURS, plain, tcp4, vxlan};
use super::harness::{Bench, Driver, one_bd, vport_data};
use crate::fabric::{Fabric, Function, STORM_RAM_BYTES, StormId};

/// A small generator of numbers without pattern; the seed is the test's.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn random_ramrods() {
    for seed in 1..=200 {
        let mut noise = Noise(seed * 0x9e37_79b9);
        let mut bench = Bench::new_small();
        let mut driver = Driver::started(&mut bench, 0);
        driver.start_vport(&mut bench, 0);
        for _ in 0..200 {
            let mut data = noise.bytes(440);
            if noise.below(2) == 0 {
                // Mostly zeros: nearer to what is accepted.
                for byte in data.iter_mut().skip(8) {
                    if noise.below(8) != 0 {
                        *byte = 0;
                    }
                }
            }
            let data: [u8; 440] = data.try_into().unwrap();
            let command = 1 + noise.below(22) as u8;
            let cid = noise.below(40) as u32;
            driver.post(&mut bench, ProtocolId::ETH, command, cid, &data);
            while driver.event(&mut bench).is_some() {}
            bench.receive(&plain([0xff; 6], 60));
        }
    }
}

#[test]
fn random_doorbells_and_ram_writes() {
    let mut noise = Noise(77);
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    driver.start_vport(&mut bench, 0);
    driver.add_mac(&mut bench, 0, OURS);
    let mut ring = driver.start_rx(&mut bench, 0, 0, 1536, 1, 1);
    ring.fill(&mut bench, 100);
    let _tx = driver.start_tx(&mut bench, 40, 0, 1);
    for _ in 0..20_000 {
        let kind = [TYPE_CORE, TYPE_ETH, 7][noise.below(3) as usize];
        let cid = [0, 40, 41][noise.below(3) as usize];
        if noise.below(50) == 0 {
            driver.ring(&mut bench, kind, cid, Word::from_word(noise.next() as u32));
        }
        let storm = StormId::ALL[noise.below(6) as usize];
        let offset = noise.below(0x1000) as u32;
        let len = 1 << noise.below(4);
        let bytes = noise.bytes(len as usize);
        bench.fabric.set_ram(storm, offset, &bytes);
        bench
            .storm
            .ram_written(&mut bench.fabric, Function::pf(0), storm, offset, len);
        bench.receive(&plain(OURS, 60));
    }
    for (offset, len) in [
        (0, STORM_RAM_BYTES as u32),
        (u32::MAX, u32::MAX),
        (STORM_RAM_BYTES as u32, 0),
    ] {
        for storm in StormId::ALL {
            bench
                .storm
                .ram_written(&mut bench.fabric, Function::pf(0), storm, offset, len);
        }
    }
}

#[test]
fn random_descriptors() {
    for seed in 1..=300 {
        let mut noise = Noise(seed * 77_777);
        let mut bench = Bench::new_small();
        let mut driver = Driver::started(&mut bench, 0);
        driver.start_vport(&mut bench, 0);
        bench.fabric.set_register(Function::pf(0), 0xd8_0518, 4789);
        let mut ring = driver.start_tx(&mut bench, 40, 0, 1);
        for _ in 0..20 {
            let mut bds = one_bd(&vxlan(1, &tcp4(1, "", 100)), noise.next() as u8);
            for _ in 0..noise.below(5) {
                let len = noise.below(300) as usize;
                bds.push(super::harness::Bd {
                    data: noise.bytes(len),
                    parameters: [0; 6],
                });
            }
            let total: usize = bds.iter().map(|bd| bd.data.len()).sum();
            super::harness::set_first(
                &mut bds,
                5,
                noise.next() as u8 | 1,
                total,
                noise.below(2) == 1,
            );
            for bd in bds.iter_mut().skip(1) {
                bd.parameters = noise.bytes(6).try_into().unwrap();
            }
            bench.scratch(|bench| ring.send(bench, &driver, &bds));
            assert!(bench.fabric.wire.len() < 20_000);
            bench.fabric.wire.clear();
        }
    }
}

#[test]
fn random_frames() {
    let mut noise = Noise(4242);
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    driver.start_vport(&mut bench, 0);
    driver.set_rx_mode(&mut bench, 0, 0x36);
    bench.fabric.set_register(Function::pf(0), 0x1f_0730, 0x3f);
    bench.fabric.set_register(Function::pf(0), 0x1f_0738, 4789);
    bench.fabric.set_register(Function::pf(0), 0x1f_086c, 6081);
    let mut ring = driver.start_rx(&mut bench, 0, 0, 1536, 1, 1);
    ring.fill(&mut bench, 100);
    let template = vxlan(1, &tcp4(1, "", 100));
    for _ in 0..50_000 {
        let mut frame = if noise.below(4) == 0 {
            let length = noise.below(200) as usize;
            noise.bytes(length)
        } else {
            template.clone()
        };
        for _ in 0..noise.below(4) {
            if !frame.is_empty() {
                let at = noise.below(frame.len() as u64) as usize;
                frame[at] = noise.next() as u8;
            }
        }
        frame.truncate(noise.below(250) as usize);
        bench.receive(&frame);
        while let Some((cqe, bytes)) = ring.packet(&bench) {
            assert!(bytes.len() <= frame.len());
            bench.scratch(|bench| ring.fill(bench, cqe.bd_num.into()));
        }
    }
}

#[test]
fn random_segments_keep_the_rings_in_step() {
    let mut noise = Noise(99);
    let mut bench = Bench::new();
    let mut driver = Driver::started(&mut bench, 0);
    let mut data = vport_data(0);
    let tpa = &mut data.tpa_param;
    (
        tpa.tpa_ipv4_en_flg,
        tpa.tpa_pkt_split_flg,
        tpa.tpa_max_aggs_num,
        tpa.max_buff_num,
    ) = (1, 1, 64, 16);
    tpa.tpa_max_size = 0xffff.into();
    driver.start_vport_with(&mut bench, data);
    driver.add_mac(&mut bench, 0, OURS);
    let mut ring = driver.start_rx(&mut bench, 0, 0, 700, 1, 1);
    bench.scratch(|bench| ring.fill(bench, 100));
    let mut kinds = [0u32; 6];
    for _ in 0..30_000 {
        let flags = ["", "", "", "P", "F"][noise.below(5) as usize];
        let frame = tcp4(
            noise.below(8) as u32 * 500,
            flags,
            [500, 500, 0, 1400][noise.below(4) as usize],
        );
        bench.receive(&frame);
        bench.fabric.now_ns += noise.below(50_000);
        bench.storm.advance(&mut bench.fabric);
        while let Some(cqe) = ring.completion(&bench) {
            kinds[usize::from(cqe[0])] += 1;
            let buffers = match cqe[0] {
                1 => cqe[16].into(),
                3 | 4 => 1,
                5 => 0,
                other => panic!("completion of type {other}"),
            };
            for _ in 0..buffers {
                ring.take_buffer();
            }
            bench.scratch(|bench| ring.fill(bench, buffers));
        }
    }
    assert!(kinds[1] > 0 && kinds[3] > 0 && kinds[4] > 0);
    assert!(kinds[3] - kinds[5] <= 1, "every start has its end");
    bench.assert_quiet();
}
