//! Arbitrated resource locks with aging in model time.
//!
//! A driver asks for one of 32 locks and gets it, or learns who holds it. A lock taken with aging frees itself when
//! its time is over; the previous owner's later release is still a success for that owner.

/// Number of lock ids that fit the request.
pub(crate) const LOCKS: usize = 32;
/// The lock that serialises resource allocation between functions.
pub const RESOURCE_ALLOCATION_LOCK: u8 = 31;
/// Aging time of a default request. What real firmware uses is not known.
pub(crate) const DEFAULT_AGING_NS: u64 = 1_000_000_000;

const REQUEST: u32 = 1;
const REQUEST_WITHOUT_AGING: u32 = 2;
const REQUEST_WITH_AGING: u32 = 3;
const RELEASE: u32 = 4;
const FORCE_RELEASE: u32 = 5;

const GRANTED: u32 = 1;
const BUSY: u32 = 2;
const RELEASED: u32 = 3;
const RELEASED_PREVIOUS: u32 = 4;
const WRONG_OWNER: u32 = 5;
/// Answer parameter for an opcode that does not exist.
const UNKNOWN_COMMAND: u32 = 0xff;

#[derive(Clone, Copy, Default)]
struct Lock {
    owner: Option<u8>,
    expires_ns: Option<u64>,
    previous: Option<u8>,
}

/// The 32 locks of the card.
#[derive(Default)]
pub(crate) struct ResourceLocks {
    locks: [Lock; LOCKS],
}

impl ResourceLocks {
    fn age(&mut self, now_ns: u64) {
        for lock in &mut self.locks {
            if lock.owner.is_some() && lock.expires_ns.is_some_and(|at| at <= now_ns) {
                lock.previous = lock.owner.take();
                lock.expires_ns = None;
            }
        }
    }

    /// Executes a lock request and gives the answer parameter.
    pub(crate) fn execute(&mut self, requester: u8, param: u32, now_ns: u64) -> u32 {
        self.age(now_ns);
        let aging_s = u64::from(param >> 8 & 0xff);
        let Some(lock) = self.locks.get_mut((param & 0x1f) as usize) else {
            return UNKNOWN_COMMAND;
        };
        let expires_ns = match param >> 5 & 7 {
            REQUEST => Some(now_ns.saturating_add(DEFAULT_AGING_NS)),
            REQUEST_WITHOUT_AGING => None,
            REQUEST_WITH_AGING => Some(now_ns.saturating_add(aging_s * 1_000_000_000)),
            RELEASE => return lock.release(requester),
            FORCE_RELEASE => {
                lock.previous = lock.owner.take();
                lock.expires_ns = None;
                return RELEASED << 8 | u32::from(requester);
            }
            _ => return UNKNOWN_COMMAND,
        };
        match lock.owner {
            Some(owner) if owner != requester => BUSY << 8 | u32::from(owner),
            _ => {
                lock.owner = Some(requester);
                lock.expires_ns = expires_ns;
                GRANTED << 8 | u32::from(requester)
            }
        }
    }

    /// Who holds a lock at this time.
    pub(crate) fn owner(&mut self, lock: u8, now_ns: u64) -> Option<u8> {
        self.age(now_ns);
        self.locks
            .get(usize::from(lock))
            .and_then(|lock| lock.owner)
    }

    /// Gives a lock to somebody outside the mailboxes, or takes it away.
    pub(crate) fn set_owner(&mut self, lock: u8, owner: Option<u8>) {
        if let Some(lock) = self.locks.get_mut(usize::from(lock)) {
            *lock = Lock {
                owner,
                expires_ns: None,
                previous: lock.owner,
            };
        }
    }

    /// Frees everything that a function held when it was reset.
    pub(crate) fn release_all(&mut self, owner: u8) {
        for lock in &mut self.locks {
            if lock.owner == Some(owner) {
                lock.previous = lock.owner.take();
                lock.expires_ns = None;
            }
        }
    }
}

impl Lock {
    fn release(&mut self, requester: u8) -> u32 {
        if self.owner == Some(requester) {
            self.previous = self.owner.take();
            self.expires_ns = None;
            return RELEASED << 8 | u32::from(requester);
        }
        if self.previous == Some(requester) {
            return RELEASED_PREVIOUS << 8 | u32::from(self.owner.unwrap_or(requester));
        }
        WRONG_OWNER << 8 | u32::from(self.owner.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn request(opcode: u32, aging_s: u32) -> u32 {
        u32::from(RESOURCE_ALLOCATION_LOCK) | opcode << 5 | aging_s << 8
    }

    #[test]
    fn a_lock_is_exclusive_until_released() {
        let mut locks = ResourceLocks::default();
        assert_eq!(locks.execute(0, request(REQUEST, 0), 0), GRANTED << 8);
        assert_eq!(locks.execute(1, request(REQUEST, 0), 1), BUSY << 8);
        assert_eq!(locks.execute(1, request(RELEASE, 0), 1), WRONG_OWNER << 8);
        assert_eq!(locks.execute(0, request(RELEASE, 0), 2), RELEASED << 8);
        assert_eq!(locks.execute(1, request(REQUEST, 0), 3), GRANTED << 8 | 1);
    }

    #[test]
    fn the_first_request_of_the_reference_is_granted() {
        let mut locks = ResourceLocks::default();
        assert_eq!(locks.execute(0, 0x3f, 0), GRANTED << 8);
    }

    #[test]
    fn an_aged_lock_is_free_and_its_late_release_succeeds() {
        let mut locks = ResourceLocks::default();
        locks.execute(0, request(REQUEST_WITH_AGING, 3), 0);
        assert_eq!(
            locks.execute(1, request(REQUEST, 0), 3 * SECOND - 1),
            BUSY << 8
        );
        assert_eq!(
            locks.execute(1, request(REQUEST_WITHOUT_AGING, 0), 3 * SECOND),
            GRANTED << 8 | 1
        );
        assert_eq!(
            locks.execute(0, request(RELEASE, 0), 3 * SECOND),
            RELEASED_PREVIOUS << 8 | 1
        );
        assert_eq!(locks.owner(RESOURCE_ALLOCATION_LOCK, u64::MAX), Some(1));
    }

    #[test]
    fn a_permanent_lock_never_ages_but_can_be_forced() {
        let mut locks = ResourceLocks::default();
        locks.execute(4, request(REQUEST_WITHOUT_AGING, 0), 0);
        assert_eq!(
            locks.execute(5, request(REQUEST, 0), u64::MAX),
            BUSY << 8 | 4
        );
        assert_eq!(
            locks.execute(5, request(FORCE_RELEASE, 0), u64::MAX),
            RELEASED << 8 | 5
        );
        assert_eq!(
            locks.execute(5, request(REQUEST, 0), u64::MAX),
            GRANTED << 8 | 5
        );
    }

    #[test]
    fn opcodes_that_do_not_exist_are_named_so() {
        let mut locks = ResourceLocks::default();
        for opcode in [0, 6, 7] {
            assert_eq!(locks.execute(0, request(opcode, 0), 0), UNKNOWN_COMMAND);
        }
    }

    #[test]
    fn a_reset_function_loses_its_locks() {
        let mut locks = ResourceLocks::default();
        locks.execute(2, request(REQUEST_WITHOUT_AGING, 0), 0);
        locks.release_all(2);
        assert_eq!(locks.owner(RESOURCE_ALLOCATION_LOCK, 0), None);
    }
}
