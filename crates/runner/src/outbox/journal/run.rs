//! Where events stand.

use crate::outbox::PIECE_BYTES;

/// Where consecutive events of a command stand: a stretch of a segment that has them in its frames, with more perhaps. Who
/// reads it picks them out, by the command's number and theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(in crate::outbox) segment: u64,
    pub(in crate::outbox) offset: u64,
    /// The stretch's length in bytes.
    pub(in crate::outbox) length: usize,
    pub(in crate::outbox) first_seq: u64,
    pub(in crate::outbox) last_seq: u64,
}

impl Run {
    /// How many events it has.
    pub(in crate::outbox) fn events(&self) -> u64 {
        self.last_seq + 1 - self.first_seq
    }

    /// Whether it has this one.
    pub(super) fn has(&self, seq: u64) -> bool {
        (self.first_seq..=self.last_seq).contains(&seq)
    }

    /// Those of its events that are among these, if any are.
    pub(in crate::outbox) fn part(&self, first_seq: u64, last_seq: u64) -> Option<Self> {
        let part = Self {
            first_seq: self.first_seq.max(first_seq),
            last_seq: self.last_seq.min(last_seq),
            ..*self
        };
        (part.first_seq <= part.last_seq).then_some(part)
    }

    /// Both as one, where `next` goes on behind it: what is known of each is some memory for every event that waits. It
    /// is read in one go, so it has a bound, and less in it of others than of these.
    pub(in crate::outbox) fn joined(&self, next: &Self) -> Option<Self> {
        let end = self.offset + self.length as u64;
        let follows = self.segment == next.segment && self.last_seq + 1 == next.first_seq;
        let gap = next.offset.checked_sub(end).filter(|_| follows)?;
        let length = usize::try_from(gap).ok()? + self.length + next.length;
        let fits = gap <= next.length as u64 && length <= PIECE_BYTES;
        fits.then_some(Self {
            length,
            last_seq: next.last_seq,
            ..*self
        })
    }
}

/// Puts a run among those of its command, in order. Of an event that stands in several places the one given last counts.
pub(super) fn put(runs: &mut Vec<Run>, place: Run) {
    let begin = runs.partition_point(|run| run.last_seq < place.first_seq);
    let end = runs.partition_point(|run| run.first_seq <= place.last_seq);
    if begin == runs.len() {
        match runs
            .last_mut()
            .and_then(|last| Some((last.joined(&place)?, last)))
        {
            Some((joined, last)) => *last = joined,
            None => runs.push(place),
        }
        return;
    }
    let before = runs.get(begin).filter(|_| begin < end);
    let before = before.and_then(|run| run.part(0, place.first_seq.checked_sub(1)?));
    let behind = end.checked_sub(1).filter(|last| *last >= begin);
    let behind = behind.and_then(|last| runs[last].part(place.last_seq + 1, u64::MAX));
    let between = before.into_iter().chain([place]).chain(behind);
    runs.splice(begin..end, between);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(segment: u64, offset: u64, length: usize, first_seq: u64, last_seq: u64) -> Run {
        Run {
            segment,
            offset,
            length,
            first_seq,
            last_seq,
        }
    }

    #[test]
    fn runs_that_follow_each_other_are_one_while_little_of_others_is_between() {
        let first = run(1, 100, 50, 1, 3);
        let joined = first.joined(&run(1, 180, 40, 4, 4));
        assert_eq!(joined, Some(run(1, 100, 120, 1, 4)));
        for other in [
            run(2, 150, 40, 4, 4),
            run(1, 150, 40, 5, 5),
            run(1, 191, 40, 4, 4),
            run(1, 60, 40, 4, 4),
            run(1, 150, PIECE_BYTES, 4, 4),
        ] {
            assert_eq!(first.joined(&other), None, "{other:?}");
        }
    }

    #[test]
    fn the_place_given_last_counts() {
        let mut runs = Vec::new();
        for place in [
            run(1, 0, 10, 1, 9),
            run(2, 0, 10, 10, 19),
            run(3, 0, 10, 8, 11),
            run(3, 90, 10, 14, 15),
            run(4, 0, 10, 20, 20),
            run(4, 90, 10, 0, 0),
        ] {
            put(&mut runs, place);
        }
        let places: Vec<_> = runs
            .iter()
            .map(|run| (run.segment, run.first_seq, run.last_seq))
            .collect();
        let expected = [
            (4, 0, 0),
            (1, 1, 7),
            (3, 8, 11),
            (2, 12, 13),
            (3, 14, 15),
            (2, 16, 19),
            (4, 20, 20),
        ];
        assert_eq!(places, expected);
    }
}
