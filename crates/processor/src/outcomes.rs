//! How a build's events have ended, each counted once.
//!
//! What was committed, rejected and given up follows from the log, and together is as many as the runner has numbered:
//! the last number. Duplicates are counted beside it, since the log knows nothing of them: as far as anything was committed
//! after them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fold::Fold;
use crate::metrics::EventOutcome;

/// Events by how they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcomes {
    /// Folded into rows and logged.
    pub committed: u64,
    /// Refused for good, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
    /// Given up by the runner.
    #[serde(skip_serializing_if = "is_none")]
    pub expired: u64,
    /// Settled before; changed nothing.
    #[serde(skip_serializing_if = "is_none")]
    pub duplicate: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Outcomes {
    /// Those of a build, as its stored fold has them; none before its first event, and of builds that an older version
    /// began.
    #[must_use]
    pub fn of_fold(fold: &str) -> Option<Self> {
        Fold::read(fold)?.outcomes
    }

    /// How many were refused for good.
    #[must_use]
    pub fn rejections(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// How many numbers they have used up.
    #[must_use]
    pub fn numbers(&self) -> u64 {
        self.committed + self.rejections() + self.expired
    }

    /// Counts events that ended so.
    pub(crate) fn count(&mut self, outcome: EventOutcome, count: u64) {
        match outcome {
            EventOutcome::Committed => self.committed += count,
            EventOutcome::Duplicate => self.duplicate += count,
            EventOutcome::Expired => self.expired += count,
            EventOutcome::Rejected(code) => {
                *self.rejected.entry(code.as_str().to_owned()).or_default() += count;
            }
        }
    }
}
