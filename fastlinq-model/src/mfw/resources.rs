//! Partition of the chip's resources between the functions of an engine.
//!
//! Protocol version 2.0: the driver names a resource, the firmware answers how many and from which index on. Every
//! function of an engine gets the same number.

use super::codes::response;
use super::reply::{Reply, Request, payload_of};
use super::topology::Topology;
use crate::Chip;

/// Protocol version of the allocation commands, major in the upper half.
pub(crate) const PROTOCOL_VERSION: u32 = 0x0002_0000;
/// Vectors of a function's MSI-X table that the partition of status blocks will not exceed.
const VECTORS_PER_FUNCTION: u32 = 128;
const FLAG_STRICT: u32 = 1;

/// Resources by the id used in the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum Resource {
    StatusBlocks = 0,
    L2Queues = 1,
    Vports = 2,
    Vmq = 3,
    RssFactorPf = 4,
    RssFactorVf = 5,
    RateLimiters = 6,
    TxPqs = 7,
    Vfs = 8,
    MacFilters = 9,
    IltLines = 10,
    CommandQueues = 11,
    GftProfiles = 12,
    TrafficClasses = 13,
    RssEngines = 14,
    Ll2Queues = 15,
    RdmaStatistics = 16,
    Bdq = 17,
    Qcn = 18,
    LlhFilters = 19,
    VfMacs = 20,
    Ll2Contexts = 21,
    VfCommandQueues = 22,
}

impl Resource {
    const ALL: [Resource; 23] = [
        Resource::StatusBlocks,
        Resource::L2Queues,
        Resource::Vports,
        Resource::Vmq,
        Resource::RssFactorPf,
        Resource::RssFactorVf,
        Resource::RateLimiters,
        Resource::TxPqs,
        Resource::Vfs,
        Resource::MacFilters,
        Resource::IltLines,
        Resource::CommandQueues,
        Resource::GftProfiles,
        Resource::TrafficClasses,
        Resource::RssEngines,
        Resource::Ll2Queues,
        Resource::RdmaStatistics,
        Resource::Bdq,
        Resource::Qcn,
        Resource::LlhFilters,
        Resource::VfMacs,
        Resource::Ll2Contexts,
        Resource::VfCommandQueues,
    ];

    fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// How many one engine has to give away. Status blocks: what is left after one for each VF.
    fn engine_total(self, chip: Chip) -> u32 {
        let by_chip = |bb: u32, k2: u32| match chip {
            Chip::Bb => bb,
            Chip::K2 => k2,
        };
        match self {
            Resource::StatusBlocks => by_chip(288 - 120, 368 - 192),
            Resource::L2Queues => by_chip(256, 320),
            Resource::Vports => by_chip(160, 208),
            Resource::RateLimiters => 256,
            Resource::TxPqs => by_chip(448, 512),
            Resource::Vfs => by_chip(120, 192),
            Resource::MacFilters => 512,
            Resource::IltLines => by_chip(7600, 11000),
            Resource::RssEngines => by_chip(127, 207),
            Resource::CommandQueues => 128,
            Resource::RdmaStatistics => by_chip(160, 208),
            Resource::Bdq => 4,
            Resource::LlhFilters => 16 * by_chip(8, 16),
            Resource::Ll2Queues => 32,
            Resource::Ll2Contexts => 208,
            Resource::GftProfiles => by_chip(8, 16),
            Resource::TrafficClasses => 4,
            Resource::Vmq
            | Resource::RssFactorPf
            | Resource::RssFactorVf
            | Resource::Qcn
            | Resource::VfMacs
            | Resource::VfCommandQueues => 0,
        }
    }
}

/// A function's share of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceRange {
    /// First index.
    pub start: u32,
    /// Number of items.
    pub count: u32,
}

/// The partition, and the soft maxima that drivers set for it.
pub(crate) struct Resources {
    topology: Topology,
    soft_maximum: [[Option<u32>; 23]; 2],
}

impl Resources {
    pub(crate) fn new(topology: Topology) -> Self {
        Self {
            topology,
            soft_maximum: [[None; 23]; 2],
        }
    }

    fn total(&self, path: u8, resource: Resource) -> u32 {
        let hard = resource.engine_total(self.topology.chip);
        self.soft_maximum[usize::from(path & 1)][resource as usize]
            .map_or(hard, |soft| soft.min(hard))
    }

    /// The share of a function, by mailbox index.
    pub(crate) fn range(&self, function: u8, resource: Resource) -> ResourceRange {
        let path = self.topology.path(function);
        let total = self.total(path, resource);
        if resource == Resource::TrafficClasses {
            return ResourceRange {
                start: 0,
                count: total,
            };
        }
        let mut count = total / u32::from(self.topology.functions_on(path).max(1));
        match resource {
            Resource::StatusBlocks => count = count.min(VECTORS_PER_FUNCTION),
            Resource::TxPqs => count &= !7,
            _ => {}
        }
        ResourceRange {
            start: count * u32::from(self.topology.relative(function)),
            count,
        }
    }

    /// GET_RESOURCE_ALLOC and SET_RESOURCE_VALUE.
    pub(crate) fn execute(&mut self, function: u8, request: &Request, set: bool) -> Reply {
        let answer = |code: u16| Reply::code(code).with_param(PROTOCOL_VERSION);
        if request.param >> 16 != PROTOCOL_VERSION >> 16 {
            return answer(response::RESOURCE_DEPRECATED);
        }
        let id = request.word(0);
        let Some(resource) = Resource::from_id(id) else {
            return answer(response::RESOURCE_UNKNOWN);
        };
        let path = self.topology.path(function);
        if set {
            let wanted = request.word(1);
            let hard = resource.engine_total(self.topology.chip);
            if wanted > hard && request.word(5) & FLAG_STRICT != 0 {
                return answer(response::RESOURCE_ERROR);
            }
            self.soft_maximum[usize::from(path & 1)][resource as usize] = Some(wanted);
        }
        let range = self.range(function, resource);
        answer(response::RESOURCE_OK).with_payload(payload_of(&[
            id,
            range.count,
            range.start,
            0,
            0,
            request.word(5),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::command;
    use super::super::reply::word;
    use super::*;

    fn request(id: u32, size: u32, flags: u32) -> Request {
        Request {
            command: command::GET_RESOURCE_ALLOC,
            sequence: 1,
            param: PROTOCOL_VERSION,
            payload: payload_of(&[id, size, 0, 0, 0, flags]),
        }
    }

    #[test]
    fn shares_never_overlap_and_fit_the_chip() {
        for chip in [Chip::Bb, Chip::K2] {
            for functions in 1..=16 {
                let topology = Topology::new(chip, functions, 2);
                let resources = Resources::new(topology);
                for resource in Resource::ALL
                    .into_iter()
                    .filter(|&one| one != Resource::TrafficClasses)
                {
                    for path in 0..topology.engines() {
                        let mut next = 0;
                        for function in topology.present().filter(|one| topology.path(*one) == path)
                        {
                            let range = resources.range(function, resource);
                            assert!(range.count == 0 || range.start >= next);
                            next = range.start + range.count;
                            assert!(next <= resource.engine_total(chip));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn queue_ranges_are_groups_of_eight() {
        for functions in 1..=16 {
            let resources = Resources::new(Topology::new(Chip::K2, functions, 1));
            let range = resources.range(functions - 1, Resource::TxPqs);
            assert_eq!((range.start % 8, range.count % 8), (0, 0));
            assert!(range.count > 0);
        }
    }

    #[test]
    fn the_answer_carries_the_share() {
        let mut resources = Resources::new(Topology::new(Chip::K2, 2, 2));
        let reply = resources.execute(1, &request(1, 0, 0), false);
        assert_eq!(
            (reply.response, reply.param),
            (response::RESOURCE_OK, PROTOCOL_VERSION)
        );
        let payload = reply.payload.unwrap();
        assert_eq!((word(&payload, 1), word(&payload, 2)), (160, 160));
    }

    #[test]
    fn soft_maxima_shrink_the_share() {
        let mut resources = Resources::new(Topology::new(Chip::K2, 2, 2));
        assert_eq!(
            resources.execute(0, &request(15, 8, 0), true).response,
            response::RESOURCE_OK
        );
        let payload = resources
            .execute(1, &request(15, 0, 0), false)
            .payload
            .unwrap();
        assert_eq!((word(&payload, 1), word(&payload, 2)), (4, 4));
        assert_eq!(
            resources.execute(0, &request(15, 9999, 1), true).response,
            response::RESOURCE_ERROR
        );
        resources.execute(0, &request(15, u32::MAX, 0), true);
        let payload = resources
            .execute(0, &request(15, 0, 0), false)
            .payload
            .unwrap();
        assert_eq!(word(&payload, 1), 16);
    }

    #[test]
    fn strangers_are_refused_by_name() {
        let mut resources = Resources::new(Topology::new(Chip::K2, 1, 1));
        assert_eq!(
            resources.execute(0, &request(23, 0, 0), false).response,
            response::RESOURCE_UNKNOWN
        );
        assert_eq!(
            resources
                .execute(0, &request(u32::MAX, 0, 0), false)
                .response,
            response::RESOURCE_UNKNOWN
        );
        let mut old = request(0, 0, 0);
        old.param = 0x0001_0000;
        assert_eq!(
            resources.execute(0, &old, false).response,
            response::RESOURCE_DEPRECATED
        );
    }
}
