//! What a room has sent lately, for clients that come back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::batch::Batch;

/// How many bytes are kept.
const RECENT_BYTES: usize = 256 << 10;

/// What was sent last, for those who come back.
#[derive(Default)]
pub(super) struct Recent {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    last: HashMap<Uuid, u64>,
}

impl Recent {
    /// Keeps a batch that was sent.
    pub(super) fn keep(&mut self, batch: Arc<Batch>) {
        self.last.insert(batch.session_id, batch.seq);
        self.bytes += batch.bytes();
        self.batches.push_back(batch);
        while self.bytes > RECENT_BYTES {
            let Some(oldest) = self.batches.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
    }

    /// The last event of a build that was sent.
    pub(super) fn last_seq(&self, session_id: Uuid) -> Option<u64> {
        self.last.get(&session_id).copied()
    }

    /// What came after an event of a build; none if that is not known for sure.
    pub(super) fn after(&self, session_id: Uuid, seq: u64) -> Option<Vec<Arc<Batch>>> {
        let is_missed = |batch: &&Arc<Batch>| batch.seq > seq || batch.is_decided_after(seq);
        let missed: Vec<_> = self
            .batches
            .iter()
            .filter(|batch| batch.session_id == session_id)
            .filter(is_missed)
            .map(Arc::clone)
            .collect();
        let is_complete = match missed.first() {
            Some(first) => first.after == Some(seq),
            None => self.last_seq(session_id) == Some(seq),
        };
        is_complete.then_some(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::hub::testing::change;

    fn batch(session: u128, seq: u64, after: Option<u64>) -> Arc<Batch> {
        let change = Arc::new(change(Uuid::from_u128(session), seq, "x"));
        Arc::new(Batch::new(vec![change], after, None).unwrap())
    }

    #[test]
    fn what_was_missed_is_given_only_if_it_is_known_for_sure() {
        let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut recent = Recent::default();
        assert!(recent.after(mine, 0).is_none());
        for (session, seq, after) in [
            (1, 5, None),
            (2, 3, None),
            (1, 9, Some(5)),
            (1, 12, Some(9)),
        ] {
            recent.keep(batch(session, seq, after));
        }
        let seqs = |seq| {
            let missed = recent.after(mine, seq)?;
            Some(missed.iter().map(|batch| batch.seq).collect::<Vec<_>>())
        };
        assert_eq!(seqs(5), Some(vec![9, 12]));
        assert_eq!(seqs(9), Some(vec![12]));
        assert_eq!(seqs(12), Some(vec![]));
        assert_eq!(seqs(7), None, "no batch ends there");
        assert_eq!(seqs(2), None, "what came before is not known");
        assert!(recent.after(other, 2).is_none());
        recent.keep(batch(1, 12, Some(12)));
        let decided = recent.after(mine, 12).unwrap();
        assert_eq!(decided.len(), 1, "a decision has no event of its own");
    }
}
