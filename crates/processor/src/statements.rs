//! The spans of a group commit: the events' persist spans, and one span for each statement on each trace.
//!
//! A statement carries rows of several events and of several traces. Each trace shows it once, under its
//! first persist span and linked to its other ones, with the statement's true times and with how many traces
//! show it, so that sums over traces can weigh it.

use std::collections::HashMap;
use std::sync::Arc;

use hopline_state::group::{Committed, StatementTiming};
use hopline_state::{CommandBatch, StateError};
use hopline_telemetry::contract::keys;
use hopline_telemetry::{Hop, TraceContext, Tracer, tracer};
use hopline_wire::baggage::Baggage;
use hopline_wire::span::{Attribute, Links, Span, Text};
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

/// One trace's part in a group.
struct Share {
    context: TraceContext,
    others: Vec<SpanId>,
    touched: Touched,
}

/// Ends the persist spans of a committed group and makes the statements' spans.
pub(crate) fn spans(
    tracer: &Tracer,
    system: &'static str,
    told: Vec<(Vec<Span>, Touched)>,
    committed: &Committed,
    [start, end]: [Timestamp; 2],
) -> Vec<Span> {
    let count = told.iter().map(|(spans, _)| spans.len()).sum::<usize>();
    if count == 0 {
        return Vec::new();
    }
    let mut all = Vec::with_capacity(count + 64);
    let mut shares: Vec<Share> = Vec::new();
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    for (spans, touched) in told {
        for mut span in spans {
            note(&mut shares, &mut places, &span, touched);
            let waiting = start.nanos_since(span.start);
            tracer::waited(&mut span, waiting);
            span.end = end;
            all.push(span);
        }
    }
    let links: Vec<Links> = shares.iter_mut().map(take_links).collect();
    for statement in &committed.statements {
        let touched = |share: &&Share| share.touched.by(statement);
        let shared_by = shares.iter().filter(touched).count();
        let attributes = attributes(system, statement, shared_by);
        for (share, links) in shares.iter().zip(&links) {
            if share.touched.by(statement) {
                let mut span = statement_span(tracer, &share.context, statement);
                span.attributes.clone_from(&attributes);
                span.links = links.clone();
                all.push(span);
            }
        }
    }
    all
}

/// The spans of statements that carry the rows of one trace alone.
pub(crate) fn of_one_trace(
    tracer: &Tracer,
    system: &'static str,
    parent: &TraceContext,
    committed: &Committed,
) -> Vec<Span> {
    let span = |statement| {
        let mut span = statement_span(tracer, parent, statement);
        span.attributes = attributes(system, statement, 1);
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
        return;
    }
    places.insert(span.trace_id, shares.len());
    let trace_state = match &span.trace_state {
        Text::Shared(state) => Some(Arc::clone(state)),
        Text::Static(_) => None,
    };
    shares.push(Share {
        context: TraceContext {
            trace_id: span.trace_id,
            span_id: span.span_id,
            sampled: Some(true),
            baggage: Baggage::default(),
            trace_state,
        },
        others: Vec::new(),
        touched,
    });
}

fn take_links(share: &mut Share) -> Links {
    if share.others.is_empty() {
        return Links::None;
    }
    Links::SameTrace(std::mem::take(&mut share.others).into())
}

fn statement_span(tracer: &Tracer, parent: &TraceContext, statement: &StatementTiming) -> Span {
    let mut span = tracer.begin(
        Hop::DatabaseQuery,
        summary(statement),
        parent,
        statement.start,
    );
    span.end = statement.end;
    span
}

fn attributes(
    system: &'static str,
    statement: &StatementTiming,
    shared_by: usize,
) -> Vec<Attribute> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut attributes = Vec::with_capacity(6);
    attributes.push(Attribute::new(keys::DB_SYSTEM, system));
    attributes.push(Attribute::new(keys::DB_OPERATION, statement.operation));
    if !statement.table.is_empty() {
        attributes.push(Attribute::new(keys::DB_COLLECTION, statement.table));
        attributes.push(Attribute::new(keys::BATCH_SIZE, number(statement.rows)));
    }
    attributes.push(Attribute::new(keys::DB_SUMMARY, summary(statement)));
    attributes.push(Attribute::new(keys::SHARED_BY, number(shared_by)));
    attributes
}

/// Operation and table.
fn summary(statement: &StatementTiming) -> Text {
    if statement.table.is_empty() {
        Text::Static(statement.operation)
    } else {
        Text::from(format!("{} {}", statement.operation, statement.table))
    }
}

/// Ends the persist spans of a group that failed, with the statement that did.
pub(crate) fn failed_spans(
    tracer: &Tracer,
    system: &'static str,
    told: Vec<Vec<Span>>,
    error: &StateError,
    start: Timestamp,
) -> Vec<Span> {
    let now = Timestamp::now();
    let mut all = Vec::new();
    let mut shares: Vec<Share> = Vec::new();
    let mut places = HashMap::new();
    let error_type = if error.is_transient() {
        "database_unavailable"
    } else {
        "database_refused"
    };
    for mut span in told.into_iter().flatten() {
        note(&mut shares, &mut places, &span, Touched::default());
        tracer::fail(&mut span, error_type, error.to_string(), now);
        span.end = now;
        all.push(span);
    }
    for share in &shares {
        let mut span = tracer.begin(Hop::DatabaseQuery, error.operation(), &share.context, start);
        span.end = now;
        tracer::set(&mut span, keys::DB_SYSTEM, system);
        tracer::set(&mut span, keys::DB_SUMMARY, error.operation());
        if let Some(code) = error.code() {
            tracer::set(&mut span, keys::DB_STATUS_CODE, code.to_string());
        }
        tracer::fail(&mut span, error_type, error.to_string(), now);
        all.push(span);
    }
    all
}
