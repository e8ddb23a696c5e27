//! Which events of a trace went all the way. Told from the bare facts of its spans, so that it can be said of traces
//! whose spans are too many to be held.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use hopline_wire::span::Text;
use hopline_wire::{SpanId, Timestamp, ops, text};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::makers::{Makers, Reason};
use crate::overview::Facts;

/// The most gaps that are told one by one; all are counted.
pub const TOLD_GAPS: usize = 1_000;

/// How a trace's events have fared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arrivals {
    /// Events of which the trace has a hop.
    pub events: u64,
    /// Those that have all.
    pub complete: u64,
    /// Those that miss a hop and are still on their way: a hop of theirs has not finished.
    pub under_way: u64,
    /// Those that miss only what comes after a hop that failed.
    pub failed: u64,
    /// Those that miss a hop that they should have.
    pub gap_count: u64,
    /// The first of these, at most [`TOLD_GAPS`], by command and `seq`.
    pub gaps: Vec<Gap>,
}

/// An event that misses a hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// `event.commandId`.
    #[serde(serialize_with = "put_text", deserialize_with = "get_text")]
    pub command_id: Text,
    /// `event.seq`.
    pub seq: u64,
    /// `event.type`, as the first hop that is there has it.
    #[serde(serialize_with = "put_text", deserialize_with = "get_text")]
    pub event_type: Text,
    /// The hops that are missing, in order.
    pub missing: Vec<Missing>,
}

/// The op of a hop. Under a name, since serde takes a plain reference for one into its input.
type Op = &'static str;

/// A hop that an event misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its op; [`ops::PERSIST_EVENT`] stands for the last.
    #[serde(deserialize_with = "get_op")]
    pub op: Op,
    /// Why it is not there.
    pub reason: Reason,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.op, self.reason.as_str())
    }
}

impl Gap {
    /// The missing hops as one line.
    #[must_use]
    pub fn missing_hops(&self) -> String {
        let hops: Vec<_> = self.missing.iter().map(Missing::to_string).collect();
        hops.join(", ")
    }
}

/// Commands and types are told apart by so many of their bytes.
const NAME_BYTES: usize = 1_024;

/// How many hops an event has.
const HOPS: usize = ops::EVENT_HOPS.len();

/// The hops of events, gathered span by span. Takes a few dozen bytes for each event, none for each span.
#[derive(Default)]
pub(crate) struct Journeys {
    /// By command, as its place in `texts`, and `seq`.
    journeys: HashMap<(u32, u64), Journey>,
    /// The processes that made the spans, and for each hop one of those that made it.
    makers: Makers,
    maker_of: [Option<u8>; HOPS],
    /// Hops of events before these had a number.
    unnumbered: HashMap<SpanId, Unnumbered>,
    /// The commands and event types that were met.
    texts: Vec<Text>,
    places: HashMap<Arc<str>, u32>,
    /// The command and the type that came last, which are mostly those that come next.
    last: [u32; 2],
}

/// What is known of one event.
#[derive(Clone, Copy, Default)]
struct Journey {
    /// For each hop, by its place in [`ops::EVENT_HOPS`], the bits below.
    hops: [u8; HOPS],
    /// Who made the unfinished span of each hop that has one.
    pending_by: [Option<u8>; HOPS],
    /// The parent of the hop that may have been the first to know the number.
    parent: Option<SpanId>,
    /// When the first of them began.
    made: Timestamp,
    /// The type, as the first hop has it: its place in the texts.
    event_type: u32,
}

/// The hop at which the server gives a number to an event that has none: the place of [`ops::EVENT_PROCESS`].
const NUMBERED_FROM: usize = 2;

/// A hop of an event before that had a number.
#[derive(Clone, Copy)]
struct Unnumbered {
    hop: usize,
    bits: u8,
    parent: Option<SpanId>,
}

const PRESENT: u8 = 1;
const PENDING: u8 = 2;
const FAILED: u8 = 4;

/// How one event has fared.
enum Fate {
    /// It has no hops but its persisting, since its kind is only carried.
    Carried,
    Complete,
    UnderWay,
    Failed,
    Gap,
}

impl Journeys {
    /// Takes note of a span. Each is to come once.
    pub(crate) fn add(&mut self, facts: &Facts<'_>) {
        let maker = self.makers.add(facts);
        let (Some(hop), Some(event)) = (hop_of(facts.op), &facts.event) else {
            return;
        };
        let pending = if facts.pending { PENDING } else { 0 };
        let failed = if facts.failed { FAILED } else { 0 };
        let bits = PRESENT | pending | failed;
        self.maker_of[hop] = maker.or(self.maker_of[hop]);
        if event.seq == 0 {
            let parent = facts.parent_id;
            let unnumbered = Unnumbered { hop, bits, parent };
            self.unnumbered.insert(facts.span_id, unnumbered);
            return;
        }
        let command = self.place_of(event.command_id, 0);
        let event_type = self.place_of(event.event_type, 1);
        let journey = self.journeys.entry((command, event.seq));
        let journey = journey.or_insert_with(|| Journey {
            made: facts.start,
            ..Journey::default()
        });
        journey.made = journey.made.min(facts.start);
        if journey.hops[..hop].iter().all(|before| *before == 0) {
            journey.event_type = event_type;
        }
        if facts.pending {
            journey.pending_by[hop] = maker;
        }
        if hop == NUMBERED_FROM {
            journey.parent = facts.parent_id;
        }
        let known = &mut journey.hops[hop];
        // A hop that was made again, after a retry, is there if any of its spans is well, whichever came first.
        *known = match (*known, bits) {
            (PRESENT, _) | (_, PRESENT) => PRESENT,
            (known, more) => known | more,
        };
    }

    /// What the hops come to.
    pub(crate) fn arrivals(mut self) -> Arrivals {
        self.makers.settle();
        for journey in self.journeys.values_mut() {
            journey.find_unnumbered(&self.unnumbered);
        }
        let mut arrivals = Arrivals::default();
        let mut gaps = Vec::new();
        for (key, journey) in &self.journeys {
            arrivals.events += 1;
            match journey.fate(&self.makers) {
                Fate::Carried => arrivals.events -= 1,
                Fate::Complete => arrivals.complete += 1,
                Fate::UnderWay => arrivals.under_way += 1,
                Fate::Failed => arrivals.failed += 1,
                Fate::Gap => gaps.push((*key, *journey)),
            }
        }
        arrivals.gap_count = gaps.len() as u64;
        gaps.sort_unstable_by_key(|((command, seq), _)| (self.text(*command), *seq));
        let told = gaps.into_iter().take(TOLD_GAPS);
        arrivals.gaps = told
            .map(|((command, seq), journey)| Gap {
                command_id: self.texts[command as usize].clone(),
                seq,
                event_type: self.texts[journey.event_type as usize].clone(),
                missing: self.missing(&journey).collect(),
            })
            .collect();
        arrivals
    }

    fn missing(&self, journey: &Journey) -> impl Iterator<Item = Missing> {
        let made = journey.made;
        let hops = ops::EVENT_HOPS.iter().zip(self.maker_of).zip(journey.hops);
        hops.filter(|(_, hop)| *hop == 0)
            .map(move |((ops, maker), _)| Missing {
                op: ops[0],
                reason: maker.map_or(Reason::Unknown, |maker| self.makers.reason(maker, made)),
            })
    }

    fn text(&self, place: u32) -> &str {
        &self.texts[place as usize]
    }

    /// The place of a text, that of a command (`of` is 0) or a type (1).
    fn place_of(&mut self, text: &str, of: usize) -> u32 {
        // Whoever makes it longer means no command of ours.
        let text = text::prefix(text, NAME_BYTES);
        let last = self.last[of];
        if self
            .texts
            .get(last as usize)
            .is_some_and(|known| **known == *text)
        {
            return last;
        }
        let known = self.places.get(text).copied();
        let place = known.unwrap_or_else(|| {
            // Four thousand million of them would not fit into memory.
            let place = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
            let text: Arc<str> = text.into();
            self.texts.push(Text::Shared(Arc::clone(&text)));
            self.places.insert(text, place);
            place
        });
        self.last[of] = place;
        place
    }
}

impl Journey {
    /// Finds the hops that did not know the number: each is the parent of the one after it.
    fn find_unnumbered(&mut self, unnumbered: &HashMap<SpanId, Unnumbered>) {
        let mut parent = self.parent;
        for hop in (0..NUMBERED_FROM).rev() {
            let before = parent.and_then(|parent| unnumbered.get(&parent));
            let Some(before) = before.filter(|before| before.hop == hop) else {
                return;
            };
            if self.hops[hop] == 0 {
                self.hops[hop] = before.bits;
            }
            parent = before.parent;
        }
    }

    fn fate(&self, makers: &Makers) -> Fate {
        if self.hops[..HOPS - 1].iter().all(|hop| *hop == 0) {
            Fate::Carried
        } else if self.hops.iter().all(|hop| *hop != 0) {
            Fate::Complete
        } else if self.is_under_way(makers) {
            Fate::UnderWay
        } else if self.ends_with_failure() {
            Fate::Failed
        } else {
            Fate::Gap
        }
    }

    /// Whether a hop is unfinished whose process may yet finish it.
    fn is_under_way(&self, makers: &Makers) -> bool {
        let mut hops = self.hops.iter().zip(self.pending_by);
        hops.any(|(hop, by)| hop & PENDING != 0 && !by.is_some_and(|maker| makers.has_ended(maker)))
    }

    /// Whether all that is missing comes after a hop that failed.
    fn ends_with_failure(&self) -> bool {
        let reached = self.hops.iter().take_while(|hop| **hop != 0);
        let (count, failed) = reached.fold((0, false), |(count, failed), hop| {
            (count + 1, failed || hop & FAILED != 0)
        });
        failed && self.hops[count..].iter().all(|hop| *hop == 0)
    }
}

/// The place of an op among an event's hops.
pub(super) fn hop_of(op: &str) -> Option<usize> {
    ops::EVENT_HOPS.iter().position(|ops| ops.contains(&op))
}

fn put_text<S: Serializer>(text: &Text, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn get_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
    String::deserialize(deserializer).map(Text::from)
}

fn get_op<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Op, D::Error> {
    let named = String::deserialize(deserializer)?;
    let hop =
        hop_of(&named).ok_or_else(|| D::Error::custom("expected the op of an event's hop"))?;
    Ok(ops::EVENT_HOPS[hop][0])
}
