//! Load and unload arbitration between the drivers of a card's functions.
//!
//! A function goes unloaded -> loading (LOAD_REQ) -> loaded (LOAD_DONE) -> unloaded (UNLOAD_DONE or a reset). The first
//! function on an engine is told so, the first on a port likewise; those drivers run more initialisation phases. Between
//! LOAD_REQ and LOAD_DONE a function holds its engine's load lock and the answer to any other function's request waits.

use super::codes::response;
use super::reply::{Reply, Request, payload_of};
use super::topology::Topology;

/// Load lock timeout when a driver leaves it to the firmware. What real firmware uses is not known.
pub(crate) const DEFAULT_LOAD_LOCK_NS: u64 = 5_000_000_000;

const LOCK_NONE: u8 = 255;
const FORCE_FUNCTION: u8 = 1;
const FORCE_ALL: u8 = 2;
const DRIVER_TYPE_DIAG: u8 = 3;
const FLAG_DRIVER_EXISTS: u32 = 1 << 16;

/// Where a function's driver is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadState {
    /// No driver.
    #[default]
    Unloaded,
    /// Between LOAD_REQ and LOAD_DONE.
    Loading,
    /// After LOAD_DONE.
    Loaded,
}

/// What a driver said about itself in its LOAD_REQ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverIdentity {
    /// PDA compatibility version: major in the low byte, minor in the high byte.
    pub pda: u16,
    /// Version of the mailbox interface.
    pub hsi: u8,
    /// Operating system: 1 Linux, 2 Windows, 3 diagnostics, 4 pre-boot and so on.
    pub driver_type: u8,
    /// Version words.
    pub version: [u32; 2],
    /// Storm firmware version, major in bits 31:24.
    pub firmware_version: u32,
    /// Role: 0 none, 1 pre-boot, 2 operating system, 3 crash kernel.
    pub role: u8,
}

/// Which interface versions the firmware accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HsiPolicy {
    /// Versions 1 and 2; others are refused as a mismatch.
    #[default]
    Current,
    /// Only version 1: an old firmware that asks newer drivers to repeat the request with it.
    OnlyVersion1,
}

struct LoadRequest {
    driver: DriverIdentity,
    lock_timeout_s: u8,
    force: u8,
}

impl LoadRequest {
    fn parse(request: &Request) -> Self {
        let hsi = (request.param >> 16) as u8;
        let structured = hsi >= 2;
        let word = |index| if structured { request.word(index) } else { 0 };
        Self {
            driver: DriverIdentity {
                pda: request.param as u16,
                hsi,
                driver_type: (request.param >> 24) as u8,
                version: [word(0), word(1)],
                firmware_version: word(2),
                role: word(3) as u8,
            },
            lock_timeout_s: (word(3) >> 8) as u8,
            force: (word(3) >> 16 & 0xf) as u8,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Entry {
    state: LoadState,
    driver: DriverIdentity,
}

#[derive(Clone, Copy)]
struct LoadLock {
    holder: u8,
    expires_ns: u64,
}

/// Answer to a LOAD_REQ.
pub(crate) enum LoadAnswer {
    Reply(Reply),
    /// Another function of the engine is loading.
    Wait,
}

/// Load state of all functions.
pub(crate) struct LoadArbiter {
    topology: Topology,
    policy: HsiPolicy,
    entries: [Entry; 16],
    locks: [Option<LoadLock>; 2],
}

impl LoadArbiter {
    pub(crate) fn new(topology: Topology, policy: HsiPolicy) -> Self {
        Self {
            topology,
            policy,
            entries: [Entry::default(); 16],
            locks: [None; 2],
        }
    }

    fn entry(&self, function: u8) -> Entry {
        self.entries
            .get(usize::from(function))
            .copied()
            .unwrap_or_default()
    }

    fn entry_mut(&mut self, function: u8) -> &mut Entry {
        &mut self.entries[usize::from(function & 0xf)]
    }

    fn lock_mut(&mut self, function: u8) -> &mut Option<LoadLock> {
        &mut self.locks[usize::from(self.topology.path(function) & 1)]
    }

    pub(crate) fn state(&self, function: u8) -> LoadState {
        self.entry(function).state
    }

    pub(crate) fn driver(&self, function: u8) -> Option<DriverIdentity> {
        let entry = self.entry(function);
        (entry.state != LoadState::Unloaded).then_some(entry.driver)
    }

    fn others_loaded(&self, function: u8, same: impl Fn(Topology, u8) -> u8) -> bool {
        let place = same(self.topology, function);
        (0..16).any(|other| {
            other != function
                && self.state(other) != LoadState::Unloaded
                && same(self.topology, other) == place
        })
    }

    /// LOAD_REQ. `evicted` collects other functions whose drivers were removed by force.
    pub(crate) fn request(
        &mut self,
        function: u8,
        request: &Request,
        now_ns: u64,
        evicted: &mut Vec<u8>,
    ) -> LoadAnswer {
        let wanted = LoadRequest::parse(request);
        if let Some(code) = self.hsi_refusal(wanted.driver.hsi) {
            return LoadAnswer::Reply(Reply::code(code).with_payload([0; 32]));
        }
        let diagnosed = (0..16).any(|other| {
            other != function
                && self
                    .driver(other)
                    .is_some_and(|driver| driver.driver_type == DRIVER_TYPE_DIAG)
        });
        if diagnosed {
            return LoadAnswer::Reply(
                Reply::code(response::LOAD_REFUSED_DIAG).with_payload([0; 32]),
            );
        }
        if let Some(holder) = *self.lock_mut(function) {
            if holder.holder != function && now_ns < holder.expires_ns && wanted.force != FORCE_ALL
            {
                return LoadAnswer::Wait;
            }
        }
        let existing = self.entry(function);
        if existing.state != LoadState::Unloaded {
            if wanted.force != FORCE_FUNCTION && wanted.force != FORCE_ALL {
                let answer = Reply::code(response::LOAD_REQUIRES_FORCE);
                return LoadAnswer::Reply(answer.with_payload(load_response(&existing)));
            }
            self.reset(function);
        }
        if wanted.force == FORCE_ALL {
            for other in 0..16 {
                if self.state(other) != LoadState::Unloaded
                    && self.topology.path(other) == self.topology.path(function)
                {
                    self.reset(other);
                    evicted.push(other);
                }
            }
        }
        let code = if !self.others_loaded(function, Topology::path) {
            response::LOAD_ENGINE
        } else if !self.others_loaded(function, Topology::port) {
            response::LOAD_PORT
        } else {
            response::LOAD_FUNCTION
        };
        let previous = self.entry(function);
        *self.entry_mut(function) = Entry {
            state: LoadState::Loading,
            driver: wanted.driver,
        };
        *self.lock_mut(function) = match wanted.lock_timeout_s {
            LOCK_NONE => None,
            0 => Some(LoadLock {
                holder: function,
                expires_ns: now_ns.saturating_add(DEFAULT_LOAD_LOCK_NS),
            }),
            seconds => Some(LoadLock {
                holder: function,
                expires_ns: now_ns.saturating_add(u64::from(seconds) * 1_000_000_000),
            }),
        };
        LoadAnswer::Reply(Reply::code(code).with_payload(load_response(&previous)))
    }

    fn hsi_refusal(&self, hsi: u8) -> Option<u16> {
        match (self.policy, hsi) {
            (HsiPolicy::OnlyVersion1, 1) | (HsiPolicy::Current, 1 | 2) => None,
            (HsiPolicy::OnlyVersion1, _) => Some(response::LOAD_REFUSED_HSI_1),
            (HsiPolicy::Current, _) => Some(response::LOAD_REFUSED_HSI),
        }
    }

    /// When the load lock of a function's engine times out, if it is held.
    pub(crate) fn lock_expires_ns(&self, function: u8) -> Option<u64> {
        let lock = self.locks.get(usize::from(self.topology.path(function)))?;
        lock.map(|lock| lock.expires_ns)
    }

    /// LOAD_DONE: the load lock is free, whatever the driver managed to initialise.
    pub(crate) fn done(&mut self, function: u8) {
        self.unlock(function);
        let entry = self.entry_mut(function);
        if entry.state == LoadState::Loading {
            entry.state = LoadState::Loaded;
        }
    }

    /// CANCEL_LOAD_REQ: gives up a load that is not done.
    pub(crate) fn cancel(&mut self, function: u8) {
        self.unlock(function);
        let entry = self.entry_mut(function);
        if entry.state == LoadState::Loading {
            *entry = Entry::default();
        }
    }

    /// UNLOAD_REQ: which phases this function is the last to use.
    pub(crate) fn unload_request(&self, function: u8) -> u16 {
        if !self.others_loaded(function, Topology::path) {
            response::UNLOAD_ENGINE
        } else if !self.others_loaded(function, Topology::port) {
            response::UNLOAD_PORT
        } else {
            response::UNLOAD_FUNCTION
        }
    }

    /// UNLOAD_DONE or a function level reset.
    pub(crate) fn reset(&mut self, function: u8) {
        self.unlock(function);
        *self.entry_mut(function) = Entry::default();
    }

    fn unlock(&mut self, function: u8) {
        let lock = self.lock_mut(function);
        if lock.is_some_and(|lock| lock.holder == function) {
            *lock = None;
        }
    }
}

fn load_response(existing: &Entry) -> [u8; 32] {
    if existing.state == LoadState::Unloaded {
        return [0; 32];
    }
    let driver = existing.driver;
    let misc = u32::from(driver.role) | u32::from(driver.hsi) << 8 | FLAG_DRIVER_EXISTS;
    payload_of(&[
        driver.version[0],
        driver.version[1],
        driver.firmware_version,
        misc,
    ])
}

#[cfg(test)]
mod tests {
    use super::super::codes::command;
    use super::super::reply::word;
    use super::*;
    use crate::Chip;

    const OS: u32 = 2;

    fn arbiter(chip: Chip, functions: u8, ports: u8) -> LoadArbiter {
        LoadArbiter::new(Topology::new(chip, functions, ports), HsiPolicy::Current)
    }

    fn request(hsi: u32, misc: u32) -> Request {
        Request {
            command: command::LOAD_REQUEST,
            sequence: 1,
            param: 0x0100_0000 | hsi << 16 | 0x0a0a,
            payload: payload_of(&[0, 0x41, 0x083b_0100, misc]),
        }
    }

    fn load(arbiter: &mut LoadArbiter, function: u8, misc: u32, now: u64) -> Option<Reply> {
        match arbiter.request(function, &request(2, misc), now, &mut Vec::new()) {
            LoadAnswer::Reply(reply) => Some(reply),
            LoadAnswer::Wait => None,
        }
    }

    fn up(arbiter: &mut LoadArbiter, function: u8) -> u16 {
        let reply = load(arbiter, function, OS, 0).unwrap();
        arbiter.done(function);
        reply.response
    }

    #[test]
    fn engine_port_and_function_are_told_apart() {
        let mut k2 = arbiter(Chip::K2, 4, 2);
        assert_eq!(up(&mut k2, 0), response::LOAD_ENGINE);
        assert_eq!(up(&mut k2, 1), response::LOAD_PORT);
        assert_eq!(up(&mut k2, 2), response::LOAD_FUNCTION);
        assert_eq!(k2.unload_request(2), response::UNLOAD_FUNCTION);
        k2.reset(2);
        assert_eq!(k2.unload_request(1), response::UNLOAD_PORT);
        k2.reset(1);
        assert_eq!(k2.unload_request(0), response::UNLOAD_ENGINE);
        k2.reset(0);
        assert_eq!(up(&mut k2, 3), response::LOAD_ENGINE);
    }

    #[test]
    fn the_engines_of_bb_are_counted_apart() {
        let mut bb = arbiter(Chip::Bb, 4, 1);
        assert_eq!(up(&mut bb, 0), response::LOAD_ENGINE);
        assert_eq!(up(&mut bb, 8), response::LOAD_ENGINE);
        assert_eq!(up(&mut bb, 1), response::LOAD_FUNCTION);
    }

    #[test]
    fn a_fresh_load_does_not_claim_an_existing_driver() {
        let mut k2 = arbiter(Chip::K2, 1, 1);
        let reply = load(&mut k2, 0, OS, 0).unwrap();
        assert_eq!(reply.payload, Some([0; 32]));
        k2.done(0);
        assert_eq!(k2.state(0), LoadState::Loaded);
        k2.reset(0);
        assert_eq!(load(&mut k2, 0, OS, 0).unwrap().payload, Some([0; 32]));
    }

    #[test]
    fn a_second_driver_needs_force_and_learns_who_is_there() {
        let mut k2 = arbiter(Chip::K2, 2, 1);
        up(&mut k2, 1);
        load(&mut k2, 0, 1, 0).unwrap();
        k2.done(0);
        let refused = load(&mut k2, 0, OS, 0).unwrap();
        assert_eq!(refused.response, response::LOAD_REQUIRES_FORCE);
        let payload = refused.payload.unwrap();
        assert_eq!(word(&payload, 2), 0x083b_0100);
        assert_eq!(word(&payload, 3), 1 | 2 << 8 | FLAG_DRIVER_EXISTS);
        let mut evicted = Vec::new();
        let forced = k2.request(0, &request(2, OS | 2 << 16), 0, &mut evicted);
        let LoadAnswer::Reply(forced) = forced else {
            panic!("waits")
        };
        assert_eq!(forced.response, response::LOAD_ENGINE);
        assert_eq!(forced.payload, Some([0; 32]));
        assert_eq!(evicted, [1]);
        assert_eq!(k2.state(1), LoadState::Unloaded);
    }

    #[test]
    fn force_on_one_function_leaves_the_others() {
        let mut k2 = arbiter(Chip::K2, 2, 1);
        up(&mut k2, 1);
        up(&mut k2, 0);
        assert_eq!(
            load(&mut k2, 0, OS | 1 << 16, 0).unwrap().response,
            response::LOAD_FUNCTION
        );
        assert_eq!(k2.state(1), LoadState::Loaded);
    }

    #[test]
    fn the_load_lock_holds_others_back_until_done_cancelled_or_timed_out() {
        let mut k2 = arbiter(Chip::K2, 4, 1);
        load(&mut k2, 0, OS, 0).unwrap();
        assert!(load(&mut k2, 1, OS, 1).is_none());
        k2.done(0);
        load(&mut k2, 1, OS, 2).unwrap();
        k2.cancel(1);
        assert_eq!(k2.state(1), LoadState::Unloaded);
        load(&mut k2, 2, OS | 7 << 8, 10).unwrap();
        assert!(load(&mut k2, 3, OS, 7_000_000_009).is_none());
        assert!(load(&mut k2, 3, OS, 7_000_000_010).is_some());
    }

    #[test]
    fn a_driver_may_decline_the_lock() {
        let mut k2 = arbiter(Chip::K2, 2, 1);
        load(&mut k2, 0, OS | 255 << 8, 0).unwrap();
        assert!(load(&mut k2, 1, OS, 0).is_some());
    }

    #[test]
    fn interface_versions_are_refused_by_name() {
        let mut k2 = arbiter(Chip::K2, 1, 1);
        for (hsi, expected) in [
            (0, response::LOAD_REFUSED_HSI),
            (3, response::LOAD_REFUSED_HSI),
        ] {
            let LoadAnswer::Reply(reply) = k2.request(0, &request(hsi, OS), 0, &mut Vec::new())
            else {
                panic!()
            };
            assert_eq!(reply.response, expected);
        }
        let mut old = LoadArbiter::new(Topology::new(Chip::K2, 1, 1), HsiPolicy::OnlyVersion1);
        let LoadAnswer::Reply(reply) = old.request(0, &request(2, OS), 0, &mut Vec::new()) else {
            panic!()
        };
        assert_eq!(reply.response, response::LOAD_REFUSED_HSI_1);
        let LoadAnswer::Reply(reply) = old.request(0, &request(1, OS), 0, &mut Vec::new()) else {
            panic!()
        };
        assert_eq!(reply.response, response::LOAD_ENGINE);
        assert_eq!(reply.payload, Some([0; 32]));
    }

    #[test]
    fn diagnostics_keep_other_drivers_out() {
        let mut k2 = arbiter(Chip::K2, 2, 1);
        let mut diagnostics = request(2, OS);
        diagnostics.param = diagnostics.param & 0x00ff_ffff | 3 << 24;
        assert!(matches!(
            k2.request(1, &diagnostics, 0, &mut Vec::new()),
            LoadAnswer::Reply(_)
        ));
        k2.done(1);
        assert_eq!(
            load(&mut k2, 0, OS, 0).unwrap().response,
            response::LOAD_REFUSED_DIAG
        );
    }
}
