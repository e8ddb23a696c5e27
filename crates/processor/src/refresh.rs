//! Writing an ended build's full state (`raw_state`), once it will not change any more or has been quiet.

use hopline_state::StateError;
use hopline_state::rows::Session;
use hopline_telemetry::contract::keys;
use hopline_telemetry::pending::while_open;
use hopline_telemetry::{Hop, TraceContext, tracer};
use hopline_wire::Timestamp;
use hopline_wire::span::{EventKeys, Span};
use uuid::Uuid;

use crate::service::Shared;
use crate::{generation, statements};

/// Writes the full state of a build as its rows are. `cause` is the persist span of the event that ended it.
pub(crate) async fn write(
    shared: &Shared,
    session: &Session,
    last_seq: u64,
    cause: Option<&TraceContext>,
) -> Result<(), StateError> {
    let mut refresh = cause.map(|cause| span(shared, session, cause));
    let writing = assemble_and_write(shared, session.id, last_seq);
    let written = match &refresh {
        Some(refresh) => {
            while_open(shared.tracer.pipeline(), writing, || vec![refresh.clone()]).await
        }
        None => writing.await,
    };
    if let (Some(mut span), Some(cause)) = (refresh.take(), cause) {
        span.end = Timestamp::now();
        let mut spans = Vec::with_capacity(2);
        match &written {
            Ok(committed) => {
                let parent = cause.child(span.span_id);
                let own = statements::of_one_trace(
                    &shared.tracer,
                    shared.store.system(),
                    &parent,
                    &span.event.clone().unwrap_or_default(),
                    committed,
                );
                spans.extend(own);
            }
            Err(error) => {
                let (end, told) = (span.end, error.to_string());
                tracer::fail(&mut span, error.error_type(), told, end);
            }
        }
        spans.push(span);
        shared.tracer.record_all(spans);
    }
    written.map(|_| ())
}

async fn assemble_and_write(
    shared: &Shared,
    session_id: Uuid,
    last_seq: u64,
) -> Result<hopline_state::Committed, StateError> {
    // A full state takes many times its size while it is made. The permit is given back with the state written.
    let _turn = shared.refreshing.acquire().await;
    let Some(state) = generation::assemble(&shared.store, session_id).await? else {
        return Ok(hopline_state::Committed {
            outcomes: Vec::new(),
            statements: Vec::new(),
        });
    };
    let (_, committed) = shared
        .store
        .write_raw_state(session_id, last_seq, state)
        .await?;
    Ok(committed)
}

fn span(shared: &Shared, session: &Session, cause: &TraceContext) -> Span {
    let event = EventKeys {
        project_id: session.project_id.to_string().into(),
        command_id: session.command_id.clone().into(),
        session_id: session.id.to_string().into(),
        ..EventKeys::default()
    };
    let start = Timestamp::now();
    let mut span = shared
        .tracer
        .begin_event(Hop::RefreshState, "", cause, start, event);
    tracer::set(&mut span, keys::DB_SYSTEM, shared.store.system());
    span
}
