//! Which processes made a trace's spans and which of them have ended, as far as the trace itself tells it.
//!
//! A process says who it is in its spans' resource. It is known to have ended once another shows in the trace that has its
//! place (`service.name`, `service.instance.id`) and says that it was started (`process.creation.time`) after the last that
//! is known of the first.

use hopline_wire::Timestamp;
use serde::{Deserialize, Serialize};

use crate::overview::{Facts, MakerId};

/// Why a hop has no span, as far as the trace tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The part that owes it has said that it had to drop spans of this trace.
    #[serde(rename = "dropped")]
    Dropped,
    /// A process of that part has ended, and with it the spans that it had not yet given away.
    #[serde(rename = "process ended")]
    ProcessEnded,
    /// Nothing in the trace tells.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Reason {
    /// As it is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::ProcessEnded => "process ended",
            Self::Unknown => "unknown",
        }
    }
}

/// The most processes that are told apart: more are in no trace of one build, but could be in one that was made up.
const MOST: usize = 255;

/// The processes met so far.
#[derive(Default)]
pub(super) struct Makers(Vec<Maker>);

struct Maker {
    id: MakerId,
    /// When the last span of its began or ended.
    last: Timestamp,
    has_dropped: bool,
    /// When the one was started that has taken its place.
    ended: Option<Timestamp>,
}

impl Makers {
    /// Takes note of who made a span, and answers its place; none if there are too many.
    pub(super) fn add(&mut self, facts: &Facts<'_>) -> Option<u8> {
        let known = self.0.iter().position(|maker| maker.id == *facts.maker);
        let place = known.unwrap_or(self.0.len());
        if place == self.0.len() && place < MOST {
            self.0.push(Maker {
                id: MakerId::clone(&facts.maker),
                last: Timestamp::default(),
                has_dropped: false,
                ended: None,
            });
        }
        let maker = self.0.get_mut(place)?;
        maker.last = maker.last.max(facts.start).max(facts.end);
        maker.has_dropped |= facts.tells_drops;
        u8::try_from(place).ok()
    }

    /// Finds out which have ended. Before that none has.
    pub(super) fn settle(&mut self) {
        let ended: Vec<_> = self.0.iter().map(|maker| self.successor(maker)).collect();
        for (maker, ended) in self.0.iter_mut().zip(ended) {
            maker.ended = ended;
        }
    }

    fn successor(&self, maker: &Maker) -> Option<Timestamp> {
        let others = self.0.iter();
        let others = others.filter(|other| other.id.is_in_place_of(&maker.id));
        let started = others.filter_map(|other| other.id.started);
        started.filter(|started| *started > maker.last).min()
    }

    /// Whether the process at this place is known to have ended.
    pub(super) fn has_ended(&self, place: u8) -> bool {
        let maker = self.0.get(usize::from(place));
        maker.is_some_and(|maker| maker.ended.is_some())
    }

    /// Why a span is missing that the service of the process at this place owes, of an event that was made then.
    pub(super) fn reason(&self, place: u8, made: Timestamp) -> Reason {
        let Some(maker) = self.0.get(usize::from(place)) else {
            return Reason::Unknown;
        };
        let mut reason = Reason::Unknown;
        for other in &self.0 {
            if other.id.service != maker.id.service {
                continue;
            }
            if other.has_dropped {
                return Reason::Dropped;
            }
            // What came after it had ended was another's to tell.
            if other.ended.is_some_and(|ended| made < ended) {
                reason = Reason::ProcessEnded;
            }
        }
        reason
    }
}
