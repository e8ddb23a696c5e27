//! What a request is owed on its way in and out: to be counted as long as it is worked on, so that the server's
//! end waits for it, and, if it is refused, to be heard out, within bounds, before it gets its answer.
//!
//! A client writes its whole request before it reads. If the server answers and closes while much is unread, the
//! system resets the connection, and the client sees that in place of the answer: a broker would not learn
//! that its batch is too large, or its secret wrong.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::app::App;

/// How much of a body is heard out, in bytes, and for how long.
const MAX_BYTES: usize = 32 << 20;
const MAX_TIME: Duration = Duration::from_secs(2);

/// Counts a request as under way until its answer is made, and a streamed answer until it is written.
pub(crate) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let under_way = app.requests.token();
    let response = next.run(request).await;
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let pieces = body.into_data_stream().map(move |piece| {
        let _held = &under_way;
        piece
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Passes a request on; reads what is left of its body if it is refused.
pub(crate) async fn hear_out(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Such a client sends nothing until it is asked to, which reading its body would do.
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let shared = Arc::new(Mutex::new(Shared {
        body: body.into_data_stream(),
        asked: !waits,
        ended: false,
    }));
    let body = Body::from_stream(Reading(Arc::clone(&shared)));
    let response = next.run(Request::from_parts(parts, body)).await;
    let status = response.status();
    let is_refused = status.is_client_error() || status.is_server_error();
    if is_refused && shared.lock().is_unread() {
        // A client that sends more than that, or for longer, may not get its answer.
        let _ = tokio::time::timeout(MAX_TIME, discard(Reading(shared))).await;
    }
    response
}

async fn discard(mut body: Reading) {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = body.next().await {
        bytes += chunk.len();
        if bytes > MAX_BYTES {
            return;
        }
    }
}

/// A body that the handler reads, and what it leaves the rest of.
struct Shared {
    body: BodyDataStream,
    asked: bool,
    ended: bool,
}

impl Shared {
    fn is_unread(&self) -> bool {
        self.asked && !self.ended
    }
}

struct Reading(Arc<Mutex<Shared>>);

impl Stream for Reading {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.0.lock();
        shared.asked = true;
        let polled = shared.body.poll_next_unpin(context);
        shared.ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }
}
