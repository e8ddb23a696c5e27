//! The seam between forwarding and how events travel: HTTP today, a message log later.
//!
//! A transport carries one batch and says what became of it. It neither retries nor keeps anything: order
//! and second attempts are the forwarder's.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hopline_wire::span::Text;

use super::reply::Reply;

/// One batch, ready to travel.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// One event as a JSON object, or an array of events.
    pub(crate) body: Bytes,
    /// The trace headers of a single event.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// The far side judged each command.
    Judged(Reply),
    /// It took the batch, and knows nothing of acknowledgements.
    Taken,
    /// The batch is too large for it.
    TooLarge,
    /// It cannot take anything just now; this passes by itself.
    Unavailable {
        /// When it wants to be asked again.
        after: Option<Duration>,
        /// The class of the failure.
        error: Text,
    },
    /// It takes nothing from this broker until somebody mends something.
    Forbidden {
        /// The class of the failure.
        error: Text,
    },
    /// It could not take this batch; another may do better.
    Failed {
        /// The class of the failure.
        error: Text,
        /// Whether it is unlikely to pass by itself.
        lasting: bool,
    },
}

impl Delivered {
    /// The class of the failure, if the batch was not taken.
    pub(crate) fn error(&self) -> Option<&Text> {
        match self {
            Self::Judged(_) | Self::Taken => None,
            Self::TooLarge => Some(&Text::Static("413")),
            Self::Unavailable { error, .. }
            | Self::Forbidden { error }
            | Self::Failed { error, .. } => Some(error),
        }
    }

    /// Whether somebody has to mend something before it goes on.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Forbidden { .. } | Self::Failed { lasting: true, .. }
        )
    }
}

/// Carries batches to whoever commits them.
pub(crate) trait Transport: Send + Sync {
    /// Carries one batch. Whatever goes wrong is one of the outcomes.
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Delivered>;
}
