//! Hopline's parts among those that others wrote: each in turn in TypeScript, with `ws` and Sentry's SDK. What they
//! build is right, and the trace is one, by what Sentry's SDK itself sends as well as by what Hopline keeps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};
use support::spans::{Span, Trace};
use support::{Place, Service, eventually, http};

const ANY: &str = "127.0.0.1:0";
const SECRET: &str = "the-secret-of-these-runners";

/// A peer, by the name of its file.
fn peer(name: &str, settings: &[(&str, &str)]) -> Service {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/peers/dist/{name}.js"));
    let mut command = Command::new("node");
    command
        .arg(file)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("SECRET", SECRET)
        .envs(settings.iter().copied())
        .stdin(Stdio::null());
    Service::start(command)
}

/// What a peer has told under this word.
fn told(peer: &Service, word: &str) -> Vec<Value> {
    let lines = peer.lines();
    let told = lines.iter().filter_map(|line| {
        let json = line.strip_prefix(word)?.strip_prefix(' ')?;
        serde_json::from_str(json).ok()
    });
    told.collect()
}

/// Takes what the peers' SDKs send.
struct Collector(Service);

impl Collector {
    fn start() -> Self {
        Self(peer("collector", &[]))
    }

    fn dsn(&self) -> String {
        format!("http://key@{}/1", self.0.address("collector"))
    }

    /// The spans of this op that came of a trace, by their ids, once there are at least so many.
    fn spans(&self, op: &str, trace: &str, count: usize) -> HashMap<String, Value> {
        eventually("the peer's spans have come", || {
            let spans = told(&self.0, "span").into_iter();
            let spans = spans.filter(|span| span["op"] == op && span["trace_id"] == trace);
            let spans: HashMap<_, _> = spans.map(|span| (text(&span["span_id"]), span)).collect();
            (spans.len() >= count).then_some(spans)
        })
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A part of Hopline that knows the secret.
fn part(place: &Place, args: &[&str], settings: &[(&str, &str)]) -> Service {
    let mut command = place.hopline(args);
    command.env("HOPLINE_RUNNER_SECRET", SECRET);
    command.envs(settings.iter().copied());
    Service::start(command)
}

/// Builds at the server once it knows the runner; answers what the build came to.
fn build(place: &Place, runner: &str, args: &[&str]) -> Value {
    let mut whole = vec!["build", "shop", "--runner", runner, "--json", "--"];
    whole.extend(args);
    let ended = eventually("the runner is known to the server", || {
        let ended = place.run(&whole);
        (ended.code() != 69).then_some(ended)
    });
    ended.expect(0).last_json()
}

/// The text that a build's rows have under this id.
fn row_text(place: &Place, build: &Value, id: &str) -> String {
    let rows = Connection::open(place.data().join("hopline.db")).unwrap();
    let mut parts = rows
        .prepare("SELECT content FROM generation_notes WHERE session_id = ? AND text_id = ? ORDER BY part")
        .unwrap();
    let session = text(&build["sessionId"]);
    let parts = parts
        .query_map((session, id), |row| row.get::<_, String>(0))
        .unwrap();
    parts.collect::<Result<String, _>>().unwrap()
}

/// The trace, once Hopline has so many finished spans of each of these names.
#[track_caller]
fn trace(place: &Place, id: &str, names: &[&str], count: usize) -> Trace {
    eventually("the trace has its spans", || {
        let shown = place.run(&["trace", id, "--json"]);
        let trace = (shown.code() == 0).then(|| Trace::read(&shown.stdout))?;
        let has = |name: &&str| {
            let finished = trace.named(name).filter(|span| span.end > span.start);
            finished.count() >= count
        };
        names.iter().all(has).then_some(trace)
    })
}

/// Sentry's entries of a baggage, and the others.
fn entries(baggage: &str) -> (BTreeMap<String, String>, Vec<&str>) {
    let (own, others): (Vec<_>, Vec<_>) = baggage
        .split(',')
        .partition(|entry| entry.starts_with("sentry-"));
    let own = own.iter().filter_map(|entry| {
        let (key, value) = entry.strip_prefix("sentry-")?.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    });
    (own.collect(), others)
}

fn ids<'s>(spans: impl Iterator<Item = &'s Span>) -> BTreeSet<String> {
    spans.map(|span| span.id.clone()).collect()
}

/// The parents of Hopline's spans of this name.
fn parents(trace: &Trace, name: &str) -> BTreeSet<String> {
    let parents = trace.named(name).filter_map(|span| span.parent.clone());
    parents.collect()
}

/// What both texts of the runner's script are.
fn script(id: &str, pieces: usize) -> String {
    (0..pieces).map(|n| format!("{id} {n}\n")).collect()
}

#[test]
fn a_runner_in_typescript_on_the_older_link_builds_for_hopline() {
    let (place, collector) = (Place::new(), Collector::start());
    // The SDK tells of a trace's context only if that names a key.
    let head = [("HOPLINE_SENTRY_DSN", "https://ours@o7.ingest.example.com/3")];
    let _server = part(&place, &["server", "--listen", ANY], &head);
    let broker = part(&place, &["broker", "--listen", ANY], &[]);
    let (url, dsn) = (broker.url("broker"), collector.dsn());
    let settings = [
        ("BROKER", &*url),
        ("SENTRY_DSN", &dsn),
        ("RUNNER_ID", "ts"),
        ("PIECES", "100"),
    ];
    let runner = peer("runner", &settings);
    let line = build(&place, "ts", &["true"]);
    for id in ["one", "two"] {
        assert_eq!(row_text(&place, &line, id), script(id, 100));
    }
    // Its events are: start, plan, tool call, answer, 2 × (start, 100, end), plan, finish, and the end.
    let id = text(&line["traceId"]);
    let sent = collector.spans("runner.event.send", &id, 211);
    assert_eq!(sent.len(), 211);
    let trace = trace(
        &place,
        &id,
        &["broker.forwardEvent.", "api.runner.events."],
        211,
    );
    let sent: BTreeSet<_> = sent.into_keys().collect();
    assert_eq!(parents(&trace, "broker.forwardEvent."), sent);
    assert_eq!(
        parents(&trace, "api.runner.events."),
        ids(trace.named("broker.forwardEvent."))
    );
    // The runner's spans are with Sentry; all other hops are found.
    let path = place.run(&["trace", &id]).expect(0).stdout;
    let lines: Vec<_> = path.lines().filter(|line| line.contains(" no ")).collect();
    let only = |line: &&str| line.ends_with("no runner.event.send (unknown)");
    assert!(!lines.is_empty() && lines.iter().all(only), "{path}");
    let commands = collector.spans("runner.command", &id, 1);
    let handled = commands.values().next().unwrap();
    assert_eq!(
        handled["parent_span_id"],
        *trace.only("broker.routeCommand.start-build").id
    );
    // What the SDK sends as the trace's context is what Hopline has decided at its head.
    let command = &told(&runner, "command")[0];
    let (mut decided, _) = entries(command["_sentry"]["baggage"].as_str().unwrap());
    let mut context: BTreeMap<_, String> =
        serde_json::from_value(handled["context"].clone()).unwrap();
    // The one entry with characters that a baggage encodes.
    assert_eq!(
        context.remove("transaction").unwrap(),
        "POST /api/projects/{id}/build"
    );
    assert!(decided.remove("transaction").is_some());
    // The SDK writes the number anew.
    let rands = [&mut context, &mut decided].map(|entries| entries.remove("sample_rand"));
    let [told, decided_rand] = rands.map(|rand| rand.unwrap().parse::<f64>().unwrap());
    assert_eq!(told.to_bits(), decided_rand.to_bits());
    assert_eq!(context, decided);
    assert_eq!(
        (&*decided["trace_id"], &*decided["sampled"]),
        (&*id, "true")
    );
}

#[test]
fn a_runner_in_typescript_on_the_newer_link_loses_nothing_to_a_killed_broker() {
    let (place, collector) = (Place::new(), Collector::start());
    let _server = part(&place, &["server", "--listen", ANY], &[]);
    let broker = part(&place, &["broker", "--listen", ANY], &[]);
    let (url, dsn) = (broker.url("broker"), collector.dsn());
    let at = broker.address("broker").to_string();
    let settings = [
        ("BROKER", &*url),
        ("SENTRY_DSN", &dsn),
        ("RUNNER_ID", "ts"),
        ("PIECES", "3000"),
        ("PROTOCOL", "hopline.v1"),
    ];
    let runner = peer("runner", &settings);
    let building = std::thread::scope(|scope| {
        let building = scope.spawn(|| build(&place, "ts", &["true"]));
        eventually("the build is on its way", || {
            let rows = Connection::open(place.data().join("hopline.db")).ok()?;
            let asked = "SELECT max(last_seq) FROM generation_sessions";
            let seq = rows.query_row(asked, [], |row| row.get(0));
            // Near its end, the kill could come too late to hit anything.
            seq.is_ok_and(|seq: i64| {
                assert!(seq < 5_000, "the build is over before the broker is killed");
                seq > 100
            })
            .then_some(())
        });
        broker.kill();
        let _again = part(&place, &["broker", "--listen", &at], &[]);
        building.join().unwrap()
    });
    assert!(!told(&runner, "closed").is_empty());
    for id in ["one", "two"] {
        assert_eq!(row_text(&place, &building, id), script(id, 3_000));
    }
    let rows = Connection::open(place.data().join("hopline.db")).unwrap();
    let last: i64 = rows
        .query_row("SELECT last_seq FROM generation_sessions", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(last, 6_012);
}

/// The head of a trace that someone else began.
const TRACE: &str = "771a43a4192642f0b136d5159a501700";
const BAGGAGE: &str = "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-sample_rand=0.25,sentry-sample_rate=0.5,\
                       sentry-sampled=true,sentry-public_key=theirs,sentry-release=shop%401.2,vendor=kept";

/// Routes a build of these commands at a broker of Hopline's, without any server of Hopline's.
fn route(broker: &Service, id: &str, script: &str) {
    let at = broker.address("broker");
    let body = json!({"runnerId": "far", "command": {
        "id": id, "type": "start-build", "projectId": "6f1c2d7e-0000-4000-8000-000000000000",
        "timestamp": "2026-01-31T09:34:56.789Z",
        "_sentry": {"trace": format!("{TRACE}-b7ad6b7169203331-1"), "baggage": BAGGAGE},
        "payload": {"agent": "command", "command": script, "projectSlug": id, "projectName": id, "prompt": "",
                    "operationType": "initial-build"},
    }});
    let body = body.to_string();
    let request = format!(
        "POST /commands HTTP/1.1\r\nhost: {at}\r\nauthorization: Bearer {SECRET}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    eventually("the runner has the command", || {
        http(at, &request).contains(" 200 ").then_some(())
    });
}

/// The events of a command that an API of the original's has taken, each once, in the order in which it took them. It refuses
/// every `fails`th.
fn taken(api: &Service, command: &str, fails: usize) -> Vec<Value> {
    let events = told(api, "event").into_iter().enumerate();
    let taken = events.filter(|(place, _)| fails == 0 || (place + 1) % fails != 0);
    let of_command = taken.filter(|(_, told)| told["event"]["commandId"] == command);
    of_command.map(|(_, told)| told).collect()
}

#[test]
fn hoplines_runner_and_broker_serve_an_api_that_knows_single_events_only() {
    for (arrays, fails) in [("200", 0), ("400", 7), ("404", 3)] {
        let (place, collector) = (Place::new(), Collector::start());
        // Only to keep the spans of the runner and the broker.
        let store = part(&place, &["server", "--listen", ANY], &[]);
        let dsn = collector.dsn();
        let fails_too = fails.to_string();
        let api = peer(
            "api",
            &[
                ("SENTRY_DSN", &dsn),
                ("ARRAYS", arrays),
                ("FAILS", &fails_too),
            ],
        );
        let spans_to = format!("{}/v1/traces", store.url("server"));
        let spans = [
            ("HOPLINE_OTLP_URL", &*spans_to),
            ("HOPLINE_OTLP_TOKEN", SECRET),
        ];
        let broker = part(
            &place,
            &["broker", "--listen", ANY, "--server", &api.url("api")],
            &spans,
        );
        let args = ["runner", "--id", "far", "--broker", &broker.url("broker")];
        let _runner = part(&place, &args, &spans);
        for command in ["first", "second"] {
            route(
                &broker,
                command,
                "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i + 1)); done; echo done >&2",
            );
        }
        for command in ["first", "second"] {
            let events = eventually("the build's end has come", || {
                let events = taken(&api, command, fails);
                let end = |told: &Value| told["event"]["type"] == "build-completed";
                events.iter().any(end).then_some(events)
            });
            let seqs: Vec<_> = events
                .iter()
                .map(|told| told["event"]["seq"].as_u64())
                .collect();
            let whole: Vec<_> = (1..=events.len() as u64).map(Some).collect();
            assert_eq!(seqs, whole, "arrays {arrays}, {command}");
            let deltas = events.iter().filter_map(|told| {
                let data = told["event"]["data"].as_str()?.strip_prefix("data: ")?;
                let part: Value = serde_json::from_str(data).ok()?;
                (part["id"] == "stdout").then(|| part["delta"].as_str().map(str::to_owned))?
            });
            let expected: String = (0..60).map(|n| format!("line {n}\n")).collect();
            assert_eq!(deltas.collect::<String>(), expected);
            for told in &events {
                assert_eq!(
                    told["overlaps"], false,
                    "two events of a command at once: {told}"
                );
                if told["event"]["type"] == "ack" {
                    continue;
                }
                assert_eq!(told["trace"], told["event"]["_sentry"]["trace"]);
                let (own, others) = entries(told["baggage"].as_str().unwrap());
                assert_eq!(
                    (own, others),
                    entries(BAGGAGE),
                    "the head's baggage was changed"
                );
            }
        }
        assert_eq!(
            told(&api, "array").len(),
            0,
            "an array went to an API that takes none"
        );
        // One trace: each event's span in the API is the child of the broker's, that of the runner's.
        let traced = |told: &Value| told["event"]["type"] != "ack";
        let events = ["first", "second"].map(|command| taken(&api, command, fails));
        let count = events.iter().flatten().filter(|told| traced(told)).count();
        let attempts = told(&api, "event")
            .iter()
            .filter(|told| traced(told))
            .count();
        let processed = collector.spans("api.runner.event.process", TRACE, attempts);
        let trace = trace(
            &place,
            TRACE,
            &["broker.forwardEvent.", "runner.sendEvent."],
            count,
        );
        let forwards = ids(trace.named("broker.forwardEvent."));
        let above = processed.values().map(|span| text(&span["parent_span_id"]));
        let above: BTreeSet<_> = above.collect();
        assert_eq!(above, forwards);
        assert_eq!(
            parents(&trace, "broker.forwardEvent."),
            ids(trace.named("runner.sendEvent."))
        );
        let routes = ids(trace.named("broker.routeCommand.start-build"));
        assert_eq!(parents(&trace, "handleCommand.start-build"), routes);
        let caller = BTreeSet::from(["b7ad6b7169203331".to_owned()]);
        assert_eq!(parents(&trace, "broker.routeCommand.start-build"), caller);
    }
}

#[test]
fn a_broker_of_the_originals_carries_hoplines_builds_whatever_it_says_to_the_subprotocol() {
    for (subprotocols, answered) in [("none", ""), ("any", "hopline.v1")] {
        let (place, collector) = (Place::new(), Collector::start());
        // The server and the broker know each other's address.
        let free = std::net::TcpListener::bind(ANY).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let url = format!("http://127.0.0.1:{port}");
        let server = part(
            &place,
            &["server", "--listen", ANY],
            &[("HOPLINE_BROKER", &url)],
        );
        let (api, dsn, port) = (server.url("server"), collector.dsn(), port.to_string());
        let settings = [
            ("API", &*api),
            ("SENTRY_DSN", &dsn),
            ("PORT", &port),
            ("SUBPROTOCOLS", subprotocols),
        ];
        let broker = peer("broker", &settings);
        let spans_to = format!("{api}/v1/traces");
        let spans = [
            ("HOPLINE_OTLP_URL", &*spans_to),
            ("HOPLINE_OTLP_TOKEN", SECRET),
        ];
        let _runner = part(&place, &["runner", "--id", "far", "--broker", &url], &spans);
        let line = build(
            &place,
            "far",
            &["sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done"],
        );
        assert_eq!(
            row_text(&place, &line, "stdout"),
            "line 1\nline 2\nline 3\nline 4\nline 5\n"
        );
        let connected = told(&broker, "connected");
        assert_eq!(connected.last().unwrap()["protocol"], answered);
        let command = &line["commandId"];
        let routed = told(&broker, "command");
        let routed = routed.iter().filter(|routed| routed["id"] == *command);
        assert_eq!(
            routed.count(),
            1,
            "a command was sent again to a runner that may not know it"
        );
        let forwarded = told(&broker, "forwarded").into_iter();
        let forwarded: Vec<_> = forwarded
            .filter(|sent| sent["commandId"] == *command)
            .collect();
        assert!(
            forwarded
                .iter()
                .all(|sent| sent["seq"].is_null() && sent["status"] == 200),
            "{forwarded:?}"
        );
        let id = text(&line["traceId"]);
        let count = forwarded
            .iter()
            .filter(|sent| sent["type"] != "ack")
            .count();
        let spans = collector.spans("broker.event.forward", &id, count);
        let trace = trace(
            &place,
            &id,
            &["runner.sendEvent.", "api.runner.events."],
            count,
        );
        let above = spans.values().map(|span| text(&span["parent_span_id"]));
        let above: BTreeSet<_> = above.collect();
        assert_eq!(above, ids(trace.named("runner.sendEvent.")));
        let forwards: BTreeSet<_> = spans.into_keys().collect();
        assert_eq!(parents(&trace, "api.runner.events."), forwards);
    }
}
