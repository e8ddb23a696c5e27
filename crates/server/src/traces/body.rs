//! An answer that is written by a thread while it is sent: however long it is, a few pieces of it are in memory.
//!
//! The writer is held up by a client that is slow, and ended by one that has gone or has taken nothing for
//! [`STALLED`]. What fails before the first byte is answered with its status; afterwards the connection is cut, so
//! that a client never takes a part for the whole.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hopline_traces::TracesError;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::errors::{ApiError, ApiResult, Chain};
use crate::representation::{Coding, Tag};

/// The header that says how many spans the trace has.
const TOTAL_HEADER: &str = "hopline-total-spans";

/// How large the pieces are, in bytes.
const PIECE: usize = 64 << 10;

/// How many pieces may wait for the client.
const WAITING: usize = 2;

/// How long a client may take nothing.
const STALLED: Duration = Duration::from_secs(30);

/// Why an answer was not written, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    /// There is no such trace.
    #[error("there is no such trace")]
    NotFound,
    /// The spans could not be read.
    #[error(transparent)]
    Store(#[from] TracesError),
    /// The client takes no more.
    #[error("write the spans: {0}")]
    Client(#[from] io::Error),
}

/// An answer that has not begun.
pub(super) struct Answer {
    begun: oneshot::Sender<Begun>,
    pieces: Pieces,
}

/// What an answer is.
enum Begun {
    /// A document about a trace of so many spans.
    Trace(u64),
    /// Lines of spans.
    Lines,
    /// A document about a trace of so many spans, which has a name.
    Tagged(u64, Tag, Coding),
    /// Nothing: the client has the document of this name.
    Known(Tag),
}

/// An answer that is being written. It is whole only after [`Self::finish`].
pub(super) struct Pieces {
    client: mpsc::Sender<Piece>,
    piece: Vec<u8>,
    runtime: Handle,
}

/// What goes to the client: bytes, or none for the end. A writer that fails never sends that.
type Piece = Option<Bytes>;

impl Answer {
    /// Begins the answer: success, and the trace has so many spans.
    pub(super) fn begin(self, total: u64) -> io::Result<Pieces> {
        self.begin_as(Begun::Trace(total))
    }

    /// Begins the answer: success, and lines of spans follow.
    pub(super) fn begin_lines(self) -> io::Result<Pieces> {
        self.begin_as(Begun::Lines)
    }

    /// Begins the answer: success, the trace has so many spans, and what follows has this name and is in this coding.
    pub(super) fn begin_tagged(self, total: u64, tag: Tag, coding: Coding) -> io::Result<Pieces> {
        self.begin_as(Begun::Tagged(total, tag, coding))
    }

    /// Answers that the client has it already.
    pub(super) fn not_again(self, tag: Tag) -> io::Result<()> {
        self.begin_as(Begun::Known(tag))?.finish()
    }

    fn begin_as(self, begun: Begun) -> io::Result<Pieces> {
        self.begun.send(begun).map_err(|_| gone())?;
        Ok(self.pieces)
    }
}

impl Pieces {
    /// Ends the answer.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.hand_on()?;
        self.send(None)
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.send(Some(piece.into()))
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        let sent = self.client.send_timeout(piece, STALLED);
        self.runtime.block_on(sent).map_err(|_| gone())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.hand_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the client takes no more")
}

/// The headers of a document that a client may keep, and asks about before it takes it for current.
fn named(tag: Tag) -> [(HeaderName, HeaderValue); 3] {
    let fixed = HeaderValue::from_static;
    [
        (header::ETAG, tag.into_value()),
        (header::CACHE_CONTROL, fixed("private, no-cache")),
        (header::VARY, fixed("Accept-Encoding")),
    ]
}

/// Answers with what `work`, on a thread of its own, writes.
pub(super) async fn answer(
    work: impl FnOnce(Answer) -> Result<(), Unwritten> + Send + 'static,
) -> ApiResult<Response> {
    let (client, mut pieces) = mpsc::channel(WAITING);
    let (begun, has_begun) = oneshot::channel();
    let answer = Answer {
        begun,
        pieces: Pieces {
            client,
            piece: Vec::with_capacity(PIECE),
            runtime: Handle::current(),
        },
    };
    let working = tokio::task::spawn_blocking(move || work(answer));
    let Ok(begun) = has_begun.await else {
        return Err(match working.await {
            Ok(Err(Unwritten::NotFound)) => ApiError::not_found("trace"),
            Ok(Err(Unwritten::Store(error))) => ApiError::internal("read spans", &error),
            Ok(Err(error)) => ApiError::internal("write spans", &error),
            Ok(Ok(())) => ApiError::internal("write spans", &gone()),
            Err(error) => ApiError::internal("read spans", &error),
        });
    };
    tokio::spawn(async move {
        match working.await {
            Ok(Err(Unwritten::Store(error))) => {
                tracing::error!(error = %Chain(&error), "spans were sent in part");
            }
            Err(error) => tracing::error!(%error, "spans were sent in part"),
            Ok(_) => {}
        }
    });
    let body = futures_util::stream::poll_fn(move |context| {
        let piece = pieces.poll_recv(context);
        piece.map(|piece| match piece {
            Some(piece) => piece.map(Ok),
            None => Some(Err(io::Error::other("the spans could not be read on"))),
        })
    });
    let body = Body::from_stream(body);
    let kind = |kind| [(header::CONTENT_TYPE, kind)];
    Ok(match begun {
        Begun::Trace(total) => {
            let total = [(TOTAL_HEADER, total.to_string())];
            (kind("application/json"), total, body).into_response()
        }
        Begun::Lines => (kind("application/jsonl"), body).into_response(),
        Begun::Tagged(total, tag, coding) => {
            let total = [(TOTAL_HEADER, total.to_string())];
            let coding = coding.name().map(|name| [(header::CONTENT_ENCODING, name)]);
            (kind("application/json"), total, coding, named(tag), body).into_response()
        }
        Begun::Known(tag) => (StatusCode::NOT_MODIFIED, named(tag)).into_response(),
    })
}
