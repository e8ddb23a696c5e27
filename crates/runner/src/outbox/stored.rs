//! The events of one command that are on disk only, and what a settlement frees.

use std::collections::VecDeque;

use super::journal::Run;

/// So many bytes are loaded at a time, about.
pub(super) const LOAD_BYTES: u64 = 256 << 10;

/// Events that are not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// They stand in the journal.
    Run(Run),
    /// They are gone.
    Lost { first_seq: u64, last_seq: u64 },
}

impl Stored {
    pub(super) fn first_seq(&self) -> u64 {
        match self {
            Self::Run(run) => run.first_seq,
            Self::Lost { first_seq, .. } => *first_seq,
        }
    }

    pub(super) fn last_seq(&self) -> u64 {
        match self {
            Self::Run(run) => run.last_seq,
            Self::Lost { last_seq, .. } => *last_seq,
        }
    }

    /// The segment in which they stand; 0 for none.
    pub(super) fn segment(&self) -> u64 {
        match self {
            Self::Run(run) => run.segment,
            Self::Lost { .. } => 0,
        }
    }

    /// Those from `seq` on, if there are any.
    fn from(self, seq: u64) -> Option<Self> {
        match self {
            Self::Run(run) => run.part(seq, u64::MAX).map(Self::Run),
            Self::Lost {
                first_seq,
                last_seq,
            } => (seq <= last_seq).then_some(Self::Lost {
                first_seq: first_seq.max(seq),
                last_seq,
            }),
        }
    }
}

/// The events behind those in memory, oldest first.
#[derive(Default)]
pub(super) struct Back(VecDeque<Stored>);

impl Back {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of the first.
    pub(super) fn first_seq(&self) -> Option<u64> {
        self.0.front().map(Stored::first_seq)
    }

    /// Adds what comes behind all others.
    pub(super) fn push(&mut self, stored: Stored) {
        if let Stored::Run(run) = &stored
            && let Some(Stored::Run(last)) = self.0.back_mut()
            && let Some(joined) = last.joined(run)
        {
            *last = joined;
            return;
        }
        self.0.push_back(stored);
    }

    /// Adds that these are gone, if there are any.
    pub(super) fn push_lost(&mut self, first_seq: u64, last_seq: u64) {
        if first_seq <= last_seq {
            self.push(Stored::Lost {
                first_seq,
                last_seq,
            });
        }
    }

    /// Takes out what is to be loaded next: a load's worth, or the least there is.
    pub(super) fn take(&mut self, least: bool) -> Vec<Stored> {
        let mut bytes = 0;
        let mut taken = Vec::new();
        while bytes < LOAD_BYTES
            && let Some(next) = self.0.pop_front()
        {
            if let Stored::Run(run) = &next {
                bytes += if least { LOAD_BYTES } else { run.length as u64 };
            }
            taken.push(next);
        }
        taken
    }

    /// Forgets the events up to `seq`.
    pub(super) fn settle(&mut self, seq: u64, settled: &mut Settled) {
        while let Some(next) = self.0.front_mut().filter(|next| next.first_seq() <= seq) {
            if let Stored::Run(run) = next {
                settled.add(run.segment, seq.min(run.last_seq) + 1 - run.first_seq);
            }
            match next.from(seq + 1) {
                Some(rest) => *next = rest,
                None => drop(self.0.pop_front()),
            }
        }
    }
}

/// What a settlement frees.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Whether more is settled than before.
    pub(super) is_more: bool,
    pub(super) events: u64,
    /// How many of them stood in which segment.
    pub(super) by_segment: Vec<(u64, u64)>,
    /// How many bytes are no longer in memory.
    pub(super) bytes: u64,
}

impl Settled {
    pub(super) fn add(&mut self, segment: u64, events: u64) {
        self.events += events;
        self.add_lost(segment, events);
    }

    /// Events that the segment is said to have, and has not.
    pub(super) fn add_lost(&mut self, segment: u64, events: u64) {
        match self.by_segment.last_mut() {
            Some((last, count)) if *last == segment => *count += events,
            _ => self.by_segment.push((segment, events)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_side_by_side_takes_no_memory_for_each() {
        let mut back = Back::default();
        for seq in 1..=1_000 {
            back.push(Stored::Run(Run {
                segment: 1,
                offset: seq * 400,
                length: 300,
                first_seq: seq,
                last_seq: seq,
            }));
        }
        let mut settled = Settled::default();
        back.settle(10, &mut settled);
        assert_eq!((settled.events, back.first_seq()), (10, Some(11)));
        let loaded = back.take(false);
        assert!(loaded.len() < 6, "{loaded:?}");
        let next = loaded.last().unwrap().last_seq() + 1;
        assert_eq!(back.first_seq(), Some(next));
        assert!(next > 500);
    }
}
