#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod numbers;
mod steps;

use std::boxed::Box;
use std::vec::Vec;

use fastlinq_pac::versions::{RuntimeId, V8_59_1};
use fastlinq_pac::{BusAddress, Chip, GrcAddress};

use super::*;
use crate::host::Host;
use crate::init::fake::{FakeHost, identity};
use crate::init::{RuntimeArray, RuntimeWriter};
use crate::mfw::nvm_config::MultiFunctionMode;
use crate::mfw::resources::{Resource, Share, Shares};

/// An even share of everything for function `index` of `functions`.
fn even(chip: Chip, functions: u32, index: u32) -> Shares {
    let mut shares = Shares::default();
    for resource in Resource::ALL {
        let mut count = resource.engine_total(chip) / functions;
        if resource == Resource::TxPqs {
            count -= count % 8;
        }
        let share = Share {
            start: count * index,
            count,
            granted: resource != Resource::StatusBlocks,
        };
        shares.set(resource, share);
    }
    shares
}

fn status_blocks(first: u16, queues: u16) -> StatusBlocks {
    StatusBlocks {
        default: first,
        queues: (first + 1..=first + queues).collect(),
    }
}

const REQUEST: PlanRequest = PlanRequest {
    queue_pairs: 4,
    multi_function: MultiFunctionMode::Default,
    outer_vlan: None,
    bandwidth: Bandwidth { min: 1, max: 100 },
    flow_steering: false,
};

fn plan_for(chip: Chip, ports: u8, functions: u32, index: u8) -> Plan {
    let shares = even(chip, functions, index.into());
    Plan::new(
        &identity(chip, ports, index),
        &shares,
        status_blocks(10 * u16::from(index), 8),
        &FakeHost::new().doorbells(),
        &REQUEST,
    )
    .expect("a plan")
}

/// Stores with `fill` and gives back what is where.
fn stored(fill: impl FnOnce(&mut RuntimeWriter<'_>)) -> Box<dyn Fn(RuntimeId, u16) -> Option<u32>> {
    let mut array = Box::new(RuntimeArray::new());
    fill(&mut array.writer(&V8_59_1));
    Box::new(move |id, offset| array.get(V8_59_1.runtime(id).entry(offset)?))
}
