//! Which frame that came back is which that was sent.

use std::collections::VecDeque;

/// Bytes on the wire below which frames are padded.
const MIN_FRAME: usize = 60;
/// Frames whose fate was told last, by which a doubled one is known.
const RECENT: usize = 64;

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It came back as it was sent, and in its turn.
    Unchanged,
    /// It came back as it was sent, after one that was sent later. Its number.
    Late(u64),
    /// One like it had come back before.
    Doubled,
    /// It came back with other bytes: its number, and what is wrong.
    Changed(u64, Difference),
    /// Nobody sent it; its bytes.
    Stranger(usize),
    /// It did not come back. Its number.
    Lost(u64),
}

/// What is wrong with a frame that came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// Other bytes from here on.
    From(usize),
    /// So many bytes were sent, and so many came back.
    Length(usize, usize),
}

#[derive(Debug)]
struct Sent {
    number: u64,
    frame: Vec<u8>,
    /// A frame that was sent later is back already.
    overtaken: bool,
}

/// Frames that were sent and are not back yet.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    waiting: VecDeque<Sent>,
    /// Those that are, as they were sent.
    recent: VecDeque<Vec<u8>>,
}

impl Ledger {
    /// Frames that are waited for.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A frame was sent. Numbers rise.
    pub(super) fn sent(&mut self, number: u64, frame: Vec<u8>) {
        self.waiting.push_back(Sent {
            number,
            frame,
            overtaken: false,
        });
    }

    /// Which frame came back, and how. One whose bytes are those of no other is the one that it is most like, when it is like
    /// any.
    pub(super) fn came(&mut self, received: &[u8]) -> Fate {
        let same = |overtaken| {
            let fits = |sent: &Sent| sent.overtaken == overtaken && is_same(&sent.frame, received);
            self.waiting.iter().position(fits)
        };
        // Of equal frames the one whose turn it is.
        if let Some(sent) = same(false)
            .or_else(|| same(true))
            .and_then(|at| self.take(at))
        {
            let fate = if sent.overtaken {
                Fate::Late(sent.number)
            } else {
                Fate::Unchanged
            };
            self.remember(sent.frame);
            return fate;
        }
        if self.recent.iter().any(|frame| is_same(frame, received)) {
            return Fate::Doubled;
        }
        // Of frames that are as like it the first.
        let likeness = |sent: &Sent| likeness(&sent.frame, received);
        let candidates = self.waiting.iter().enumerate().rev();
        let best = candidates
            .filter_map(|(at, sent)| Some((likeness(sent)?, at)))
            .max_by_key(|(likeness, _)| *likeness);
        let Some(sent) = best.and_then(|(_, at)| self.take(at)) else {
            return Fate::Stranger(received.len());
        };
        let fate = Fate::Changed(sent.number, difference(&sent.frame, received));
        self.remember(sent.frame);
        fate
    }

    /// Nothing comes any more: what is waited for is lost.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Fate> {
        self.waiting.drain(..).map(|sent| Fate::Lost(sent.number))
    }

    /// The frame at a place is back, before those that were sent earlier.
    fn take(&mut self, at: usize) -> Option<Sent> {
        let sent = self.waiting.remove(at)?;
        for earlier in self.waiting.iter_mut().take(at) {
            earlier.overtaken = true;
        }
        Some(sent)
    }

    fn remember(&mut self, frame: Vec<u8>) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(frame);
    }
}

fn on_the_wire(sent: &[u8]) -> usize {
    sent.len().max(MIN_FRAME)
}

/// Whether this is the frame, with its padding.
fn is_same(sent: &[u8], received: &[u8]) -> bool {
    received.len() == on_the_wire(sent)
        && received.starts_with(sent)
        && received[sent.len()..].iter().all(|byte| *byte == 0)
}

/// Whether the length is that on the wire, and how many bytes are equal; nothing when less than half of the shorter one's are.
fn likeness(sent: &[u8], received: &[u8]) -> Option<(bool, usize)> {
    let equal = sent.iter().zip(received).filter(|(a, b)| a == b).count();
    let enough = equal * 2 >= sent.len().min(received.len());
    enough.then_some((on_the_wire(sent) == received.len(), equal))
}

fn difference(sent: &[u8], received: &[u8]) -> Difference {
    let other = sent.iter().zip(received).position(|(a, b)| a != b);
    // Of equal bytes and lengths it is the padding that differs.
    let padding = (received.len() == on_the_wire(sent)).then_some(sent.len());
    match other.or(padding) {
        Some(place) => Difference::From(place),
        None => Difference::Length(sent.len(), received.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64) -> Vec<u8> {
        let mut frame = number.to_be_bytes().to_vec();
        frame.resize(64 + number as usize, 7);
        frame
    }

    /// Ten frames are sent, these come back, and then nothing.
    fn back(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Fate> {
        let mut ledger = Ledger::default();
        for number in 1..=10 {
            ledger.sent(number, frame(number));
        }
        let mut fates: Vec<_> = frames
            .into_iter()
            .map(|frame| ledger.came(&frame))
            .collect();
        fates.extend(ledger.give_up());
        assert_eq!(ledger.waiting(), 0);
        fates
    }

    fn count(fates: &[Fate], fate: &Fate) -> usize {
        fates.iter().filter(|one| *one == fate).count()
    }

    fn changed(number: u64, place: usize) -> Vec<u8> {
        let mut frame = frame(number);
        frame[place] ^= 0x40;
        frame
    }

    #[test]
    fn a_lost_frame_is_the_only_one_that_is_lost() {
        let fates = back((1..=10).filter(|number| *number != 4).map(frame));
        assert_eq!(count(&fates, &Fate::Unchanged), 9);
        assert_eq!(fates[9..], [Fate::Lost(4)]);
    }

    #[test]
    fn a_changed_frame_is_the_only_one_that_is_changed() {
        for wrong in [1, 3, 10] {
            let fates = back((1..=10).map(|number| match number == wrong {
                true => changed(number, 20),
                false => frame(number),
            }));
            assert_eq!(count(&fates, &Fate::Unchanged), 9);
            assert_eq!(
                count(&fates, &Fate::Changed(wrong, Difference::From(20))),
                1
            );
        }
        let fates = back((1..=10).map(|number| changed(number, 9)));
        let all = (1..=10).map(|number| Fate::Changed(number, Difference::From(9)));
        assert_eq!(fates, all.collect::<Vec<_>>());
    }

    #[test]
    fn beside_a_lost_frame_a_changed_one_is_told_by_its_likeness() {
        let mut frames: Vec<_> = (1..=10).filter(|number| *number != 4).map(frame).collect();
        frames[4] = changed(6, 30);
        frames[7].truncate(50);
        let fates = back(frames);
        assert_eq!(count(&fates, &Fate::Unchanged), 7);
        assert_eq!(count(&fates, &Fate::Changed(6, Difference::From(30))), 1);
        assert_eq!(
            count(&fates, &Fate::Changed(9, Difference::Length(73, 50))),
            1
        );
        assert_eq!(count(&fates, &Fate::Lost(4)), 1);
        assert_eq!(fates.len(), 10);
    }

    #[test]
    fn late_doubled_and_foreign_frames_do_no_harm_to_others() {
        let fates = back([1, 3, 2, 2, 4, 5, 5, 6, 7, 8, 9, 10].map(frame));
        assert_eq!(count(&fates, &Fate::Unchanged), 9);
        assert_eq!(count(&fates, &Fate::Late(2)), 1);
        assert_eq!(count(&fates, &Fate::Doubled), 2);
        let foreign = std::iter::once(vec![9; 61]).chain((1..=10).map(frame));
        let fates = back(foreign);
        assert_eq!(fates[0], Fate::Stranger(61));
        assert_eq!(count(&fates, &Fate::Unchanged), 10);
    }

    #[test]
    fn a_frame_that_was_taken_for_another_one_is_no_third_one() {
        // The first comes changed so that it looks like the second; then the second comes.
        let mut first = frame(2);
        first[60] = 0;
        let fates = back([first].into_iter().chain((2..=10).map(frame)));
        assert_eq!(count(&fates, &Fate::Unchanged), 8);
        assert_eq!(
            fates[..2],
            [Fate::Changed(2, Difference::From(60)), Fate::Doubled]
        );
        assert_eq!(fates[10..], [Fate::Lost(1)]);
    }

    #[test]
    fn padding_counts_and_equal_frames_may_be_sent_twice() {
        let mut ledger = Ledger::default();
        for number in 1..=3 {
            ledger.sent(number, vec![1, 2, 3]);
        }
        let mut padded = vec![1, 2, 3];
        padded.resize(60, 0);
        assert_eq!(ledger.came(&padded), Fate::Unchanged);
        assert_eq!(ledger.came(&padded), Fate::Unchanged);
        padded[59] = 1;
        assert_eq!(ledger.came(&padded), Fate::Changed(3, Difference::From(3)));
        ledger.sent(4, vec![5; 70]);
        assert_eq!(
            ledger.came(&[5; 69]),
            Fate::Changed(4, Difference::Length(70, 69))
        );
    }
}
