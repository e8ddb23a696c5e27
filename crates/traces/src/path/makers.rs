//! Which processes made a trace's spans and which of them have ended, as far as the trace itself tells it.
//!
//! A process says who it is in its spans' resource. It is known to have ended once another of the same service shows in
//! the trace that was started after the last that is known of the first.

use hopline_wire::Timestamp;
use hopline_wire::span::{self, Resource, Text, Value};
use serde::{Deserialize, Serialize};

use crate::overview::Facts;

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
    resource: Resource,
    service: Text,
    /// When it was started; when its first span began, if it does not say.
    started: Timestamp,
    says_when_started: bool,
    /// When the last span of its began or ended.
    last: Timestamp,
    has_dropped: bool,
}

impl Makers {
    /// Takes note of who made a span, and answers its place; none if there are too many.
    pub(super) fn add(&mut self, facts: &Facts<'_>) -> Option<u8> {
        let mut makers = self.0.iter();
        let known = makers.position(|maker| maker.resource == *facts.resource);
        let place = known.unwrap_or(self.0.len());
        if place == self.0.len() && place < MOST {
            self.0.push(Maker::of(facts.resource));
        }
        let maker = self.0.get_mut(place)?;
        if !maker.says_when_started {
            maker.started = maker.started.min(facts.start);
        }
        maker.last = maker.last.max(facts.start).max(facts.end);
        maker.has_dropped |= facts.tells_drops;
        u8::try_from(place).ok()
    }

    /// Whether the process at this place is known to have ended.
    pub(super) fn has_ended(&self, place: u8) -> bool {
        self.0
            .get(usize::from(place))
            .is_some_and(|maker| self.is_over(maker))
    }

    fn is_over(&self, maker: &Maker) -> bool {
        self.of(&maker.service)
            .any(|other| other.started > maker.last && other.resource != maker.resource)
    }

    /// Why a span is missing that the service of the process at this place owes.
    pub(super) fn reason(&self, place: u8) -> Reason {
        let Some(maker) = self.0.get(usize::from(place)) else {
            return Reason::Unknown;
        };
        if self.of(&maker.service).any(|maker| maker.has_dropped) {
            Reason::Dropped
        } else if self.of(&maker.service).any(|maker| self.is_over(maker)) {
            Reason::ProcessEnded
        } else {
            Reason::Unknown
        }
    }

    fn of(&self, service: &Text) -> impl Iterator<Item = &Maker> {
        self.0.iter().filter(move |maker| maker.service == *service)
    }
}

impl Maker {
    fn of(resource: &Resource) -> Self {
        let said = resource.attributes.iter();
        let said = said.filter(|attribute| &*attribute.key == span::CREATION_TIME);
        let mut started = said.filter_map(|attribute| match &attribute.value {
            Value::Text(text) => text.parse::<Timestamp>().ok(),
            _ => None,
        });
        let started = started.next();
        Self {
            resource: resource.clone(),
            service: resource.service(),
            started: started.unwrap_or(Timestamp::from_nanos(u64::MAX)),
            says_when_started: started.is_some(),
            last: Timestamp::default(),
            has_dropped: false,
        }
    }
}
