//! `hopline import`: spans from files.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hopline_traces::{Durability, TraceStore as _, TracesError};
use hopline_wire::otlp::{self, decode_json, from_request, to_request};
use hopline_wire::secret::Secret;
use hopline_wire::span::Span;
use serde_json::value::RawValue;
use tokio::runtime::Handle;

use super::target;
use crate::api::{ApiClient, ApiError};
use crate::cli::Context;
use crate::cli::exchange::ImportArgs;
use crate::data::{DataFolder, Guest, Hold};
use crate::exit::{self, Failure};
use crate::parts::parquet;
use crate::parts::stores::Stores;
use crate::settings::Settings;

/// What stands for standard input.
const STANDARD: &str = "-";

/// What a Parquet file begins with (Parquet, "File format").
const PARQUET: &[u8] = b"PAR1";

/// How many spans are sent to a server at once, and how many bytes of them, about: much less than it takes.
const SENT_SPANS: usize = 2_000;
const SENT_BYTES: usize = 8 << 20;

/// How large a document may be, in bytes.
const DOCUMENT: u64 = 256 << 20;

/// How long one that has no room for more is waited for, and how long between two tries.
const FULL_FOR: Duration = Duration::from_secs(60);
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Takes spans in.
pub(crate) async fn import(args: ImportArgs, context: Context) -> anyhow::Result<ExitCode> {
    let place = Place::open(&context.settings).await?;
    // Whoever keeps spans may have to wait, and whoever reads files does.
    let (place, took, ended) = tokio::task::spawn_blocking(move || {
        let mut took = Took::default();
        let read = args
            .files
            .iter()
            .try_for_each(|path| took.file(path, &place));
        let ended = read.and(place.flush());
        (place, took, ended)
    })
    .await?;
    place.close().await;
    let mut told = format!("took {} spans in", took.kept);
    if took.refused > 0 {
        told.push_str(&format!(", refused {} that are no spans", took.refused));
    }
    writeln!(io::stderr(), "{told}")?;
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// What was taken in.
#[derive(Default)]
struct Took {
    kept: u64,
    refused: u64,
}

impl Took {
    fn file(&mut self, path: &Path, place: &Place) -> anyhow::Result<()> {
        let name = path.display();
        if path.as_os_str() == STANDARD {
            return self.documents(io::stdin(), "standard input", place);
        }
        let cannot = |error| Failure::new(exit::NOT_FOUND, format!("read {name}: {error}"));
        let mut begin = Vec::new();
        let mut file = File::open(path).map_err(cannot)?;
        let mut first = (&mut file).take(PARQUET.len() as u64);
        first.read_to_end(&mut begin).map_err(cannot)?;
        if begin != PARQUET {
            // It may be a pipe, of which nothing can be read again.
            return self.documents(begin.as_slice().chain(file), &name.to_string(), place);
        }
        parquet::read(path, &mut |spans| self.keep(&spans, place))
    }

    /// Reads documents of OTLP in JSON, one behind the other.
    fn documents(&mut self, from: impl Read, name: &str, place: &Place) -> anyhow::Result<()> {
        let bad = |error: &dyn std::fmt::Display| {
            let told = format!(
                "{name}: expected OTLP in JSON, as `hopline export` writes it, or Parquet: {error}"
            );
            Failure::new(exit::USAGE, told)
        };
        let mut from = BufReader::new(from).take(DOCUMENT);
        loop {
            from.set_limit(DOCUMENT);
            let mut documents =
                serde_json::Deserializer::from_reader(&mut from).into_iter::<Box<RawValue>>();
            let document = match documents.next() {
                None => return Ok(()),
                Some(document) => document.map_err(|error| bad(&error))?,
            };
            let request = decode_json(document.get().as_bytes()).map_err(|error| bad(&error))?;
            let mut spans = Vec::new();
            let refused = from_request(request, &mut spans);
            let lost = refused.iter().filter(|refused| refused.reason.loses_span());
            self.refused += lost.map(|refused| refused.count).sum::<u64>();
            self.keep(&spans, place)?;
        }
    }

    fn keep(&mut self, spans: &[Span], place: &Place) -> anyhow::Result<()> {
        for spans in spans.chunks(SENT_SPANS) {
            place.keep(spans)?;
            self.kept += spans.len() as u64;
        }
        Ok(())
    }
}

/// Where spans are kept.
enum Place {
    /// By a running server.
    Server {
        api: ApiClient,
        key: Secret,
        _guest: Option<Guest>,
    },
    /// In the data folder, which is held.
    Folder(Box<Stores>, Hold),
}

impl Place {
    async fn open(settings: &Settings) -> anyhow::Result<Self> {
        if let Some(target) = target::find(settings).await? {
            return Ok(Self::Server {
                api: target.api,
                key: target.ingest_key?,
                _guest: target.guest,
            });
        }
        let hold = target::take(&DataFolder::at(settings.data_folder())).await?;
        let stores = Stores::open(settings).await?;
        // Else the log would be full one day.
        stores.start_settling(settings)?;
        Ok(Self::Folder(Box::new(stores), hold))
    }

    fn keep(&self, spans: &[Span]) -> anyhow::Result<()> {
        match self {
            Self::Server { api, key, .. } => send(api, key, spans),
            Self::Folder(stores, _) => until_there_is_room(
                || {
                    Ok(stores
                        .traces
                        .append(spans, Durability::Buffered)
                        .map(|_| ())?)
                },
                |error| error.downcast_ref().is_some_and(TracesError::is_transient),
            ),
        }
    }

    /// Makes durable what was kept.
    fn flush(&self) -> anyhow::Result<()> {
        match self {
            // What a server has acknowledged is.
            Self::Server { .. } => Ok(()),
            Self::Folder(stores, _) => Ok(stores.traces.flush()?),
        }
    }

    async fn close(self) {
        if let Self::Folder(stores, hold) = self {
            stores.close_rows().await;
            stores.close_traces().await;
            drop(hold);
        }
    }
}

/// Sends spans to a server, in as many requests as their size wants.
fn send(api: &ApiClient, key: &Secret, spans: &[Span]) -> anyhow::Result<()> {
    let body = otlp::encode(&to_request(spans));
    if body.len() > SENT_BYTES && spans.len() > 1 {
        let (first, rest) = spans.split_at(spans.len() / 2);
        send(api, key, first)?;
        return send(api, key, rest);
    }
    // Each request by itself, so that what was taken is not sent again.
    until_there_is_room(
        || Handle::current().block_on(api.keep_spans(key, body.clone())),
        |error| error.downcast_ref().is_some_and(ApiError::is_overloaded),
    )
}

/// Tries again, for a while, where there is no room.
fn until_there_is_room(
    mut keep: impl FnMut() -> anyhow::Result<()>,
    is_full: impl Fn(&anyhow::Error) -> bool,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        match keep() {
            Err(error) if is_full(&error) && begun.elapsed() < FULL_FOR => {
                std::thread::sleep(AGAIN_AFTER);
            }
            kept => return kept,
        }
    }
}
