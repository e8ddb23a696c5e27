//! The spans of a group commit: the events' persist spans, and one span for each statement on each trace.
//!
//! A statement carries rows of several events and of several traces. Each trace shows it once, under its
//! first persist span and linked to its other ones, with the statement's true times and with how many traces
//! show it, so that sums over traces can weigh it. A statement that takes long is shown unfinished meanwhile.

use std::collections::HashMap;
use std::sync::Arc;

use hopline_state::group::{Committed, StatementTiming, Statements};
use hopline_state::{CommandBatch, StateError};
use hopline_telemetry::contract::keys;
use hopline_telemetry::{Hop, TraceContext, Tracer, tracer};
use hopline_wire::baggage::Baggage;
use hopline_wire::span::{Attribute, EventKeys, Links, Span, Text};
use hopline_wire::{SpanId, Timestamp, TraceId};

/// Which tables a batch writes, so that a trace shows only statements that carry rows of its own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Touched {
    todos_deleted: bool,
    todos: bool,
    tool_calls: bool,
    notes: bool,
    decisions: bool,
    session: bool,
    project: bool,
    created: bool,
}

impl Touched {
    pub(crate) fn of(batch: &CommandBatch) -> Self {
        let session = batch.session.as_ref();
        Self {
            todos_deleted: session.is_some_and(|session| session.todos_removed_from.is_some()),
            todos: session.is_some_and(|session| !session.todos.is_empty()),
            tool_calls: session.is_some_and(|session| !session.tool_calls.is_empty()),
            notes: session.is_some_and(|session| !session.notes.is_empty()),
            decisions: session.is_some_and(|session| !session.decisions.is_empty()),
            session: session.is_some(),
            project: batch.project.is_some(),
            created: batch.command.create.is_some(),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            todos_deleted: self.todos_deleted || other.todos_deleted,
            todos: self.todos || other.todos,
            tool_calls: self.tool_calls || other.tool_calls,
            notes: self.notes || other.notes,
            decisions: self.decisions || other.decisions,
            session: self.session || other.session,
            project: self.project || other.project,
            created: self.created || other.created,
        }
    }

    fn by(self, statement: &StatementTiming) -> bool {
        match (statement.operation, statement.table) {
            ("DELETE", "generation_todos") => self.todos_deleted,
            (_, "generation_todos") => self.todos,
            (_, "generation_tool_calls") => self.tool_calls,
            (_, "generation_notes") => self.notes,
            (_, "session_decisions") => self.decisions,
            (_, "generation_sessions") => self.session,
            (_, "projects") => self.project,
            ("INSERT", "commands") => self.created,
            _ => true,
        }
    }
}

/// How long the wait for the database must be to be told, in nanoseconds, if it was not shown while it lasted.
const WORTH_TELLING: u64 = 100_000_000;

/// One trace's part in a group.
struct Share {
    context: TraceContext,
    /// What its events have in common.
    event: EventKeys,
    links: Links,
    others: Vec<SpanId>,
    touched: Touched,
}

/// The traces of a group.
pub(crate) struct Shares(Vec<Share>);

impl Shares {
    /// Those of these persist spans, a command's together with what it writes.
    pub(crate) fn of<'s>(told: impl Iterator<Item = (&'s [Span], Touched)>) -> Self {
        let mut shares: Vec<Share> = Vec::new();
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        for (spans, touched) in told {
            for span in spans {
                note(&mut shares, &mut places, span, touched);
            }
        }
        for share in &mut shares {
            if !share.others.is_empty() {
                share.links = Links::SameTrace(std::mem::take(&mut share.others).into());
            }
        }
        Self(shares)
    }
}

/// A statement that was shown unfinished on all traces of its group.
struct Shown {
    statement: StatementTiming,
    spans: Vec<Span>,
}

/// Tells the spans of one group commit.
pub(crate) struct Teller<'t> {
    tracer: &'t Tracer,
    system: &'static str,
    shown: Vec<Shown>,
}

impl<'t> Teller<'t> {
    pub(crate) fn new(tracer: &'t Tracer, system: &'static str) -> Self {
        Self {
            tracer,
            system,
            shown: Vec::new(),
        }
    }

    /// The spans of a statement that has been under way for long, to be shown unfinished; none if they were.
    pub(crate) fn unfinished(&mut self, shares: &Shares, statement: StatementTiming) -> Vec<Span> {
        let mut spans = Vec::new();
        if self.shown(&statement).is_none() {
            self.statement(shares, &statement, &mut spans);
            self.shown.push(Shown {
                statement,
                spans: spans.clone(),
            });
        }
        spans
    }

    /// Ends the persist spans of a committed group and makes the statements' spans.
    pub(crate) fn committed(
        mut self,
        told: Vec<(Vec<Span>, Touched)>,
        committed: &Committed,
        [start, end]: [Timestamp; 2],
    ) -> Vec<Span> {
        let shares = Shares::of(told.iter().map(|(spans, touched)| (&spans[..], *touched)));
        let count = told.iter().map(|(spans, _)| spans.len()).sum::<usize>();
        let mut all = Vec::with_capacity(count + 64);
        for mut span in told.into_iter().flat_map(|(spans, _)| spans) {
            let waiting = start.nanos_since(span.start);
            tracer::waited(&mut span, waiting);
            span.end = end;
            all.push(span);
        }
        self.ran(&shares, &committed.statements, &mut all);
        all
    }

    /// Ends the persist spans of a group that failed, and makes the spans of what had run and of what failed.
    pub(crate) fn failed(
        mut self,
        told: Vec<(Vec<Span>, Touched)>,
        statements: &Statements,
        error: &StateError,
        start: Timestamp,
    ) -> Vec<Span> {
        let now = Timestamp::now();
        let error_type = error.error_type();
        let shares = Shares::of(told.iter().map(|(spans, touched)| (&spans[..], *touched)));
        let mut all = Vec::new();
        for mut span in told.into_iter().flat_map(|(spans, _)| spans) {
            let waiting = start.nanos_since(span.start);
            tracer::waited(&mut span, waiting);
            tracer::fail(&mut span, error_type, error.to_string(), now);
            span.end = now;
            all.push(span);
        }
        self.ran(&shares, &statements.ran, &mut all);
        let Some(failed) = &statements.under_way else {
            return all;
        };
        let ran = all.len();
        self.statement(&shares, failed, &mut all);
        for span in &mut all[ran..] {
            span.end = now;
            if let Some(code) = error.code() {
                tracer::set(span, keys::DB_STATUS_CODE, code.to_owned());
            }
            tracer::fail(span, error_type, error.to_string(), now);
        }
        all
    }

    /// The spans of statements that have run.
    fn ran(&mut self, shares: &Shares, statements: &[StatementTiming], all: &mut Vec<Span>) {
        for statement in statements {
            let is_wait = statement.operation == "BEGIN";
            let lasted = statement.end.nanos_since(statement.start);
            if is_wait && lasted < WORTH_TELLING && self.shown(statement).is_none() {
                continue;
            }
            let before = all.len();
            self.statement(shares, statement, all);
            if !statement.table.is_empty() {
                let rows = Attribute::new(keys::BATCH_SIZE, number(statement.rows));
                for span in &mut all[before..] {
                    span.attributes.push(rows.clone());
                }
            }
        }
    }

    /// Where among those shown this statement is.
    fn shown(&self, statement: &StatementTiming) -> Option<usize> {
        self.shown.iter().position(|shown| {
            let shown = shown.statement;
            (shown.operation, shown.table) == (statement.operation, statement.table)
        })
    }

    /// The spans of a statement, one for each trace that it carries rows of: those that were shown, if it was.
    fn statement(&mut self, shares: &Shares, statement: &StatementTiming, all: &mut Vec<Span>) {
        if let Some(place) = self.shown(statement) {
            let shown = self.shown.swap_remove(place);
            let ended = |span| Span {
                end: statement.end,
                ..span
            };
            all.extend(shown.spans.into_iter().map(ended));
            return;
        }
        let shares = || shares.0.iter().filter(|share| share.touched.by(statement));
        let attributes = attributes(self.system, statement, shares().count());
        for share in shares() {
            let mut span = statement_span(self.tracer, &share.context, &share.event, statement);
            span.attributes.reserve_exact(attributes.len() + 1);
            span.attributes.extend_from_slice(&attributes);
            span.links = share.links.clone();
            all.push(span);
        }
    }
}

/// The spans of statements that carry the rows of one trace alone.
pub(crate) fn of_one_trace(
    tracer: &Tracer,
    system: &'static str,
    parent: &TraceContext,
    event: &EventKeys,
    committed: &Committed,
) -> Vec<Span> {
    let span = |statement| {
        let mut span = statement_span(tracer, parent, event, statement);
        span.attributes = attributes(system, statement, 1);
        let rows = Attribute::new(keys::BATCH_SIZE, number(statement.rows));
        span.attributes.push(rows);
        span
    };
    committed.statements.iter().map(span).collect()
}

fn note(
    shares: &mut Vec<Share>,
    places: &mut HashMap<TraceId, usize>,
    span: &Span,
    touched: Touched,
) {
    // Events of one command come one after the other, so the last trace is nearly always the right one.
    let last = shares.len().wrapping_sub(1);
    let place = match shares.last() {
        Some(share) if share.context.trace_id == span.trace_id => Some(last),
        _ => places.get(&span.trace_id).copied(),
    };
    if let Some(place) = place {
        let share = &mut shares[place];
        share.others.push(span.span_id);
        share.touched = share.touched.or(touched);
        if let Some(event) = &span.event {
            share.event.keep_common(event);
        }
        return;
    }
    places.insert(span.trace_id, shares.len());
    let trace_state = match &span.trace_state {
        Text::Shared(state) => Some(Arc::clone(state)),
        Text::Static(_) => None,
    };
    let event = span.event.as_ref();
    shares.push(Share {
        context: TraceContext {
            trace_id: span.trace_id,
            span_id: span.span_id,
            sampled: Some(true),
            baggage: Baggage::default(),
            trace_state,
        },
        event: event.map(EventKeys::of_command).unwrap_or_default(),
        links: Links::None,
        others: Vec::new(),
        touched,
    });
}

fn statement_span(
    tracer: &Tracer,
    parent: &TraceContext,
    event: &EventKeys,
    statement: &StatementTiming,
) -> Span {
    let (hop, rest) = (Hop::DatabaseQuery, summary(statement));
    let mut span = tracer.begin_event(hop, rest, parent, statement.start, event.clone());
    span.end = statement.end;
    span
}

fn attributes(
    system: &'static str,
    statement: &StatementTiming,
    shared_by: usize,
) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(6);
    attributes.push(Attribute::new(keys::DB_SYSTEM, system));
    attributes.push(Attribute::new(keys::DB_OPERATION, statement.operation));
    if !statement.table.is_empty() {
        attributes.push(Attribute::new(keys::DB_COLLECTION, statement.table));
    }
    attributes.push(Attribute::new(keys::DB_SUMMARY, summary(statement)));
    attributes.push(Attribute::new(keys::SHARED_BY, number(shared_by)));
    attributes
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Operation and table.
fn summary(statement: &StatementTiming) -> Text {
    if statement.table.is_empty() {
        Text::Static(statement.operation)
    } else {
        Text::from(format!("{} {}", statement.operation, statement.table))
    }
}
