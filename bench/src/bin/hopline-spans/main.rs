//! The load of the trace store's benchmark: sends spans as the SDKs of others do, on several connections at once, as fast
//! as they are acknowledged or at a steady rate.
//!
//! Each span has 12 attributes, and each trace 16 spans. Ids are new in every request, times are those of its sending; all
//! else is written once, so that little of the machine goes into making spans. With `--trace` it is a real trace that is
//! sent instead, under new ids, as often as it takes.
//!
//! At its end it prints one line of JSON: `{"spans","requests","again","seconds"}`: what was acknowledged, how many times the
//! receiver asked to try again, and how long the whole took.

mod body;
mod connection;
mod made;
mod replay;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use body::{Ids, Request};
use connection::{Answer, Connection, Target};

/// Sends spans and counts those that are acknowledged.
#[derive(Debug, Parser)]
struct Args {
    /// Where to, such as http://127.0.0.1:4700/v1/traces
    url: String,
    /// As what they are sent
    #[arg(long = "as", value_enum, default_value_t = Form::Otlp)]
    form: Form,
    /// A key of the receiver's: as Bearer, or in X-Sentry-Auth
    #[arg(long)]
    key: Option<String>,
    /// How many connections send at once
    #[arg(long, default_value_t = 8)]
    connections: u64,
    /// Spans of a request
    #[arg(long, default_value_t = 512)]
    batch: usize,
    /// End after this many seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// End after this many spans, or a few more
    #[arg(long)]
    spans: Option<u64>,
    /// Spans a second of all connections together; as fast as they are acknowledged, if not given
    #[arg(long)]
    rate: Option<f64>,
    /// A trace as `hopline trace --json` prints it, to be sent under new ids
    #[arg(long, conflicts_with = "form")]
    trace: Option<PathBuf>,
    /// Print a trace id of each request that was acknowledged, and how many spans of it there were
    #[arg(long)]
    tell: bool,
    /// Which ids
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What requests are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// OTLP in protobuf.
    Otlp,
    /// Sentry's envelopes with spans of version 2.
    Sentry,
}

/// What all connections have done so far.
#[derive(Default)]
struct Sent {
    spans: AtomicU64,
    requests: AtomicU64,
    again: AtomicU64,
    ended: AtomicBool,
}

/// How long a receiver that is busy is left alone, where it does not say.
const PAUSE: Duration = Duration::from_millis(50);

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let target = Target::new(&args.url, args.form == Form::Sentry, args.key.as_deref())?;
    let trace = args.trace.as_deref().map(replay::read).transpose()?;
    let sent = Sent::default();
    let started = Instant::now();
    let ended = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..args.connections)
            .map(|number| {
                let (args, target, sent, trace) = (&args, &target, &sent, trace.as_ref());
                scope.spawn(move || {
                    let ids = Ids::new(args.seed, number);
                    let request: Box<dyn Request> = match (trace, args.form) {
                        (Some(trace), _) => Box::new(replay::Replayed::new(trace, ids, number)),
                        (None, Form::Otlp) => Box::new(made::otlp(args.batch, ids)),
                        (None, Form::Sentry) => Box::new(made::sentry(args.batch, ids)),
                    };
                    let ended = send(args, target, request, sent, started);
                    sent.ended.store(true, Ordering::Relaxed);
                    ended
                })
            })
            .collect();
        let joined = senders.into_iter().map(|sender| match sender.join() {
            Ok(ended) => ended,
            Err(_) => Err(anyhow::anyhow!("a sender panicked")),
        });
        joined.collect::<anyhow::Result<Vec<()>>>()
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let told = serde_json::json!({
        "spans": count(&sent.spans),
        "requests": count(&sent.requests),
        "again": count(&sent.again),
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{told}");
    ended.map(|_| ())
}

/// Sends on one connection until the end.
fn send(
    args: &Args,
    target: &Target,
    mut request: Box<dyn Request>,
    sent: &Sent,
    started: Instant,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(target)?;
    let end = args.seconds.map(Duration::from_secs_f64);
    #[expect(clippy::cast_precision_loss, reason = "connections are few")]
    let rate = args.rate.map(|rate| rate / args.connections as f64);
    let mut own = 0_u32;
    loop {
        let is_over = end.is_some_and(|end| started.elapsed() >= end)
            || args
                .spans
                .is_some_and(|most| sent.spans.load(Ordering::Relaxed) >= most)
            || sent.ended.load(Ordering::Relaxed);
        if is_over {
            return Ok(());
        }
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(f64::from(own) / rate);
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
        let body = request.next();
        loop {
            match connection.post(body.bytes).context("send spans")? {
                Answer::Taken => break,
                Answer::Busy(after) => {
                    sent.again.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(after.unwrap_or(PAUSE));
                }
            }
        }
        own += body.spans;
        sent.spans.fetch_add(body.spans.into(), Ordering::Relaxed);
        sent.requests.fetch_add(1, Ordering::Relaxed);
        if args.tell {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{} {}", body.trace, body.of_trace)?;
            out.flush()?;
        }
    }
}
