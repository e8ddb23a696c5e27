//! What files add to answers, kept from one question to the next.
//!
//! A dashboard asks the same every few seconds, of spans of which nearly all are the same: a file never changes. So of a
//! question that comes again it is kept what each file adds to its answer: a partial answer for each slot of time, which is
//! enough for any stretch of time that begins and ends between slots. When files are merged, and no span was there twice,
//! what the new one adds is what they added.
//!
//! Only when a question comes the second time: the first time it is answered the quickest way, which keeps nothing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use hopline_columns::SegmentFile;
use parking_lot::Mutex;

use crate::language::{Query, Time};
use crate::states::Unfit;
use crate::words::Words;

/// How many questions are remembered.
const QUESTIONS: usize = 256;

/// A file's partial answer may have one row for so many of its spans: with more it is hardly less work than the spans are.
const SPANS_FOR_A_ROW: u64 = 8;

/// How many rows a partial answer may have however few the spans are.
const ROWS: usize = 4 << 10;

/// The partial answers of all questions.
pub(crate) struct Partials {
    /// The last asked last.
    asked: Mutex<Vec<Asked>>,
    /// How many bytes all of them may take.
    most: usize,
}

struct Asked {
    /// Without what it says of time and of how many rows it wants.
    query: Query,
    keeping: Keeping,
}

#[derive(Clone)]
enum Keeping {
    /// It may never come again.
    Nothing,
    Kept(Arc<Kept>),
    /// Its partial answers are hardly less than the spans.
    GivenUp,
}

impl Keeping {
    fn bytes(&self) -> usize {
        match self {
            Self::Kept(kept) => kept.bytes(),
            Self::Nothing | Self::GivenUp => 0,
        }
    }
}

impl Partials {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            asked: Mutex::default(),
            most,
        }
    }

    /// What is kept of a question, if it has been asked before and its partial answers are worth keeping.
    pub(crate) fn of(&self, query: &Query) -> Option<Arc<Kept>> {
        let query = Query {
            time: Time::All,
            limit: None,
            ..query.clone()
        };
        let mut asked = self.asked.lock();
        let keeping = match asked.iter().position(|other| other.query == query) {
            Some(at) => match asked.remove(at).keeping {
                Keeping::Nothing => Keeping::Kept(Arc::new(Kept::new(self.most))),
                keeping => keeping,
            },
            None => Keeping::Nothing,
        };
        if asked.len() == QUESTIONS {
            asked.remove(0);
        }
        asked.push(Asked {
            query,
            keeping: keeping.clone(),
        });
        match keeping {
            Keeping::Kept(kept) => Some(kept),
            Keeping::Nothing | Keeping::GivenUp => None,
        }
    }

    /// Lets go of what was given up, and of what was not asked for longest, until all takes no more than it may.
    pub(crate) fn trim(&self) {
        let mut asked = self.asked.lock();
        for asked in asked.iter_mut() {
            if matches!(&asked.keeping, Keeping::Kept(kept) if kept.is_given_up()) {
                asked.keeping = Keeping::GivenUp;
            }
        }
        let mut all: usize = asked.iter().map(|asked| asked.keeping.bytes()).sum();
        for asked in asked.iter_mut() {
            if all <= self.most {
                return;
            }
            let bytes = asked.keeping.bytes();
            if bytes > 0 {
                all -= bytes;
                asked.keeping = Keeping::Nothing;
            }
        }
    }
}

/// What is kept of a question.
pub(crate) struct Kept {
    /// By whose numbers its groups are kept.
    pub(crate) words: Words,
    state: Mutex<State>,
    /// How many bytes it may take.
    most: usize,
}

#[derive(Default)]
struct State {
    /// By the first segment of the log that their spans come from.
    pieces: BTreeMap<u64, Piece>,
    is_given_up: bool,
}

/// What a file adds to an answer.
#[derive(Clone)]
pub(crate) struct Piece {
    /// The segments of the log that the file's spans come from.
    origin: RangeInclusive<u64>,
    /// How many spans the file has.
    rows: u64,
    /// How long its slots are, in nanoseconds.
    pub(crate) slot: i64,
    /// Slot, groups, and the state of each aggregate.
    pub(crate) states: RecordBatch,
}

impl Piece {
    pub(crate) fn of(file: &SegmentFile, slot: i64, states: RecordBatch) -> Self {
        Self {
            origin: file.first..=file.last,
            rows: file.rows,
            slot,
            states,
        }
    }

    fn bytes(&self) -> usize {
        self.states.get_array_memory_size()
    }

    /// Whether it is much less than the spans that it was made of.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        let rows = self.states.num_rows();
        rows <= ROWS || rows as u64 <= self.rows / SPANS_FOR_A_ROW
    }
}

/// What is kept of a file.
pub(crate) enum Found {
    Piece(Piece),
    /// Of the files that it was merged from.
    Parts(Vec<Piece>),
    Nothing,
}

impl Kept {
    fn new(most: usize) -> Self {
        Self {
            words: Words::within(most / 4),
            state: Mutex::default(),
            most,
        }
    }

    /// What this file adds, as far as it is kept.
    pub(crate) fn find(&self, file: &SegmentFile) -> Found {
        let state = self.state.lock();
        let parts: Vec<&Piece> = state
            .pieces
            .range(file.first..=file.last)
            .map(|(_, piece)| piece)
            .collect();
        let mut next = file.first;
        for part in &parts {
            if *part.origin.start() != next || *part.origin.end() > file.last {
                return Found::Nothing;
            }
            next = part.origin.end() + 1;
        }
        // With fewer rows than they had together, a span was there twice, and it counts once now.
        let rows: u64 = parts.iter().map(|part| part.rows).sum();
        match parts[..] {
            _ if next != file.last + 1 || rows != file.rows => Found::Nothing,
            [piece] => Found::Piece(piece.clone()),
            _ => Found::Parts(parts.into_iter().cloned().collect()),
        }
    }

    /// Keeps what a file adds, in the place of what the files added that it was merged from.
    ///
    /// # Errors
    /// If that is hardly less than the spans themselves, or more than may be kept of a question.
    pub(crate) fn keep(&self, piece: Piece) -> Result<(), Unfit> {
        if !piece.is_worth_keeping() {
            return Err(Unfit::ForParts);
        }
        let mut state = self.state.lock();
        let origin = piece.origin.clone();
        state.pieces.retain(|_, other| {
            other.origin.end() < origin.start() || origin.end() < other.origin.start()
        });
        if self.words.bytes() + state.bytes() + piece.bytes() > self.most {
            return Err(Unfit::ForParts);
        }
        if !state.is_given_up {
            state.pieces.insert(*origin.start(), piece);
        }
        Ok(())
    }

    /// Lets go of what files added that are no longer there.
    pub(crate) fn retain(&self, files: &[SegmentFile]) {
        let is_there = |piece: &Piece| {
            let at = files.partition_point(|file| file.last < *piece.origin.start());
            files.get(at).is_some_and(|file| {
                file.first <= *piece.origin.start() && *piece.origin.end() <= file.last
            })
        };
        self.state.lock().pieces.retain(|_, piece| is_there(piece));
    }

    /// Has it answered without partial answers from now on.
    pub(crate) fn give_up(&self) {
        let mut state = self.state.lock();
        state.pieces.clear();
        state.is_given_up = true;
    }

    fn is_given_up(&self) -> bool {
        self.state.lock().is_given_up
    }

    fn bytes(&self) -> usize {
        self.words.bytes() + self.state.lock().bytes()
    }
}

impl State {
    fn bytes(&self) -> usize {
        self.pieces.values().map(Piece::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Int64Array;

    use super::*;
    use crate::language::parse;

    /// What the file of this number adds, in so many rows of eight bytes.
    fn piece(number: u64, rows: usize) -> Piece {
        let column = Arc::new(Int64Array::from(vec![0; rows])) as _;
        Piece {
            origin: number..=number,
            rows: rows as u64 * SPANS_FOR_A_ROW,
            slot: 1,
            states: RecordBatch::try_from_iter([("a", column)]).unwrap(),
        }
    }

    fn question(name: &str) -> Query {
        parse(&format!("count(spans) where name:{name} since 5m")).unwrap()
    }

    #[test]
    fn what_is_kept_of_all_questions_ends_at_its_bound_and_the_last_asked_stay() {
        let partials = Partials::new(100_000);
        for name in ["a", "b", "c"] {
            assert!(partials.of(&question(name)).is_none(), "the first time");
            let kept = partials.of(&question(name)).unwrap();
            assert!(kept.keep(piece(1, 5_000)).is_ok());
            partials.trim();
        }
        let asked = partials.asked.lock();
        let bytes: Vec<_> = asked.iter().map(|asked| asked.keeping.bytes()).collect();
        assert!(bytes.iter().sum::<usize>() <= 100_000, "{bytes:?}");
        assert!(bytes[0] == 0 && bytes[1] > 0 && bytes[2] > 0, "{bytes:?}");
    }

    #[test]
    fn a_question_that_was_given_up_keeps_nothing_and_is_not_tried_again() {
        let partials = Partials::new(100_000);
        partials.of(&question("a"));
        let kept = partials.of(&question("a")).unwrap();
        assert!(kept.keep(piece(1, 5_000)).is_ok());
        assert!(kept.keep(piece(2, 10_000)).is_err(), "more than it may");
        kept.give_up();
        partials.trim();
        assert!(partials.of(&question("a")).is_none());
        assert_eq!(Arc::strong_count(&kept), 1, "nothing else holds it");
    }

    #[test]
    fn a_merged_file_takes_the_place_of_those_that_it_was_merged_from() {
        let kept = Kept::new(100_000);
        for number in 1..=3 {
            assert!(kept.keep(piece(number, 3_000)).is_ok());
        }
        let merged = Piece {
            origin: 1..=3,
            ..piece(1, 9_000)
        };
        assert!(kept.keep(merged).is_ok(), "it is no more than they were");
        assert_eq!(kept.state.lock().pieces.len(), 1);
    }
}
