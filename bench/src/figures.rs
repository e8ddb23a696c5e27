//! One function for each measurement: sets a `hopline up` to work, and gives what came of it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::stats::{median, percentile, range};
use crate::up::{Build, Up};

/// What is measured, and for how long.
pub(crate) struct Setting {
    /// The program.
    pub(crate) program: PathBuf,
    /// What writes parts.
    pub(crate) load: PathBuf,
    /// Where data folders are made.
    pub(crate) folder: Option<PathBuf>,
    /// Seconds of load before the measured ones.
    pub(crate) warm_up: f64,
    /// Seconds of load that are measured.
    pub(crate) seconds: f64,
    /// Builds at once, where there are several.
    pub(crate) builds: usize,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reach {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
    /// Told for its own sake.
    Told,
}

/// A figure with the values of all runs.
pub(crate) struct Figure {
    name: String,
    unit: &'static str,
    reach: Reach,
    values: Vec<f64>,
}

/// What one measurement gave: names, units, what they should be, values.
pub(crate) type Measured = Vec<(&'static str, &'static str, Reach, f64)>;

/// Events a second.
const RATE: &str = "events/s";

/// How often memory is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// How many times `hopline run -- true` is timed for one value.
const RUNS_OF_TRUE: usize = 9;

/// The events between which early and late ones are compared.
const EARLY: (u64, u64) = (1_000, 2_000);
const LATE: (u64, u64) = (29_000, 30_000);

/// Adds a value to its figure.
pub(crate) fn add(
    figures: &mut Vec<Figure>,
    name: &str,
    unit: &'static str,
    reach: Reach,
    value: f64,
) {
    match figures.iter_mut().find(|figure| figure.name == name) {
        Some(figure) => figure.values.push(value),
        None => figures.push(Figure {
            name: name.to_owned(),
            unit,
            reach,
            values: vec![value],
        }),
    }
}

/// Several builds at once, every event traced: throughput and memory.
pub(crate) fn builds(setting: &Setting) -> anyhow::Result<Measured> {
    let up = setting.up(&[])?;
    std::thread::sleep(Duration::from_secs(2));
    let idle = up.resident_mib()?;
    let load = setting.throughput(&up, setting.builds)?;
    up.stop()?;
    Ok(vec![
        (
            "events/s, 8 builds, traced",
            RATE,
            Reach::AtLeast(20_000.0),
            load.events_per_second,
        ),
        (
            "spans/s stored, 8 builds",
            "spans/s",
            Reach::Told,
            load.spans_per_second,
        ),
        (
            "spans dropped, 8 builds",
            "spans",
            Reach::AtMost(0.0),
            load.spans_dropped,
        ),
        ("memory, idle", "MiB", Reach::AtMost(40.0), idle),
        (
            "memory, 8 builds",
            "MiB",
            Reach::AtMost(200.0),
            load.most_mib,
        ),
    ])
}

/// One build, every event traced.
pub(crate) fn one_build(setting: &Setting) -> anyhow::Result<Measured> {
    let up = setting.up(&[])?;
    let load = setting.throughput(&up, 1)?;
    up.stop()?;
    Ok(vec![(
        "events/s, one build, traced",
        RATE,
        Reach::AtLeast(10_000.0),
        load.events_per_second,
    )])
}

/// Every event traced against none, carriers travelling all the same. Both are measured here, one after the other, so
/// that the machine is the same for both.
pub(crate) fn tracing(setting: &Setting) -> anyhow::Result<Measured> {
    let mut rates = [0.0; 2];
    for (rate, sample_rate) in rates.iter_mut().zip(["1", "0"]) {
        let up = setting.up(&[("HOPLINE_SAMPLE_RATE", sample_rate)])?;
        *rate = setting.throughput(&up, setting.builds)?.events_per_second;
        up.stop()?;
    }
    let [traced, untraced] = rates;
    Ok(vec![
        (
            "events/s, 8 builds, sample rate 0",
            RATE,
            Reach::Told,
            untraced,
        ),
        (
            "traced / sample rate 0",
            "",
            Reach::AtLeast(0.8),
            traced / untraced,
        ),
    ])
}

/// From the making of an event to its commit, at 50 events a second.
pub(crate) fn latency(setting: &Setting) -> anyhow::Result<Measured> {
    let up = setting.up(&[])?;
    let argv = setting.argv(&["--rate", "50", "--seconds", &setting.whole().to_string()]);
    let build = up.build("latency", &argv)?;
    std::thread::sleep(Duration::from_secs_f64(setting.whole()));
    up.drained()?;
    let mut millis = latencies(&up.trace(&build)?, 0);
    up.stop()?;
    ensure!(!millis.is_empty(), "no event went all the way");
    Ok(vec![
        (
            "send to committed, 50 events/s, p50",
            "ms",
            Reach::AtMost(2.0),
            percentile(&mut millis, 50.0),
        ),
        (
            "send to committed, 50 events/s, p99",
            "ms",
            Reach::AtMost(8.0),
            percentile(&mut millis, 99.0),
        ),
    ])
}

/// The time that late events of a build take against that of early ones, as fast as they are taken.
pub(crate) fn growth(setting: &Setting) -> anyhow::Result<Measured> {
    let up = setting.up(&[])?;
    let argv = setting.argv(&["--count", &(LATE.1 + 500).to_string()]);
    // The first build of a process is not measured: it pays for what all share.
    let first = up.build("first", &argv)?;
    up.drained()?;
    drop(first);
    let build = up.build("growth", &argv)?;
    up.drained()?;
    let took = |(from, to)| anyhow::Ok(up.received(&build, to)? - up.received(&build, from)?);
    let ratio = took(LATE)? / took(EARLY)?;
    up.stop()?;
    Ok(vec![(
        "cost of events 29,000-30,000 / 1,000-2,000",
        "",
        Reach::AtMost(1.1),
        ratio,
    )])
}

/// From `hopline run -- true` to its prompt back, in a folder that was used before.
pub(crate) fn run_true(setting: &Setting) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let mut millis = Vec::new();
    for _ in 0..=RUNS_OF_TRUE {
        let mut command = Command::new(&setting.program);
        command
            .args(["run", "--data"])
            .arg(folder.path().join("data"))
            .args(["--", "true"])
            .current_dir(folder.path())
            .stdout(Stdio::null());
        let start = Instant::now();
        let status = command.status().context("run true")?;
        millis.push(start.elapsed().as_secs_f64() * 1_000.0);
        ensure!(status.success(), "hopline run -- true ended with {status}");
    }
    let first = millis.remove(0);
    Ok(vec![
        (
            "hopline run -- true",
            "ms",
            Reach::AtMost(150.0),
            median(&millis),
        ),
        (
            "hopline run -- true, the very first",
            "ms",
            Reach::Told,
            first,
        ),
    ])
}

/// What a load gave.
struct Load {
    events_per_second: f64,
    spans_per_second: f64,
    spans_dropped: f64,
    most_mib: f64,
}

impl Setting {
    pub(crate) fn up(&self, settings: &[(&str, &str)]) -> anyhow::Result<Up> {
        Up::start(&self.program, self.folder.as_deref(), settings)
    }

    pub(crate) fn whole(&self) -> f64 {
        self.warm_up + self.seconds
    }

    pub(crate) fn argv(&self, args: &[&str]) -> Vec<String> {
        let load = self.load.display().to_string();
        std::iter::once(load)
            .chain(args.iter().map(|arg| (*arg).to_owned()))
            .collect()
    }

    /// Loads `up` with builds that write as fast as they are taken. The clock starts after the warm-up and stops when
    /// every queue is empty: what is counted is committed.
    fn throughput(&self, up: &Up, builds: usize) -> anyhow::Result<Load> {
        for number in 1..=builds {
            let argv = self.argv(&[
                "--seconds",
                &self.whole().to_string(),
                "--seed",
                &number.to_string(),
            ]);
            let _: Build = up.build(&format!("load-{number}"), &argv)?;
        }
        std::thread::sleep(Duration::from_secs_f64(self.warm_up));
        let start = Instant::now();
        let (events_before, _) = up.committed()?;
        let spans_before = up.metric(SPANS_STORED)?;
        let mut most_mib = 0.0_f64;
        while start.elapsed().as_secs_f64() < self.seconds {
            most_mib = most_mib.max(up.resident_mib()?);
            std::thread::sleep(LOOK);
        }
        let events = up.drained()? - events_before;
        let took = start.elapsed().as_secs_f64();
        let dropped = up.metric(SPANS_DROPPED_FULL)? + up.metric(SPANS_DROPPED_BY_SINKS)?;
        #[expect(clippy::cast_precision_loss, reason = "events are far fewer than 2^52")]
        let events_per_second = events as f64 / took;
        Ok(Load {
            events_per_second,
            spans_per_second: (up.metric(SPANS_STORED)? - spans_before) / took,
            spans_dropped: dropped,
            most_mib: most_mib.max(up.resident_mib()?),
        })
    }
}

const SPANS_STORED: &str = "hopline_traces_spans_appended_total";
const SPANS_DROPPED_FULL: &str = "hopline_spans_dropped_full_total";
const SPANS_DROPPED_BY_SINKS: &str = "hopline_spans_dropped_by_sinks_total";

/// For each event after this one, the milliseconds from the beginning of its first hop to the end of its last.
pub(crate) fn latencies(trace: &Value, after: i64) -> Vec<f64> {
    let mut sent: HashMap<i64, u64> = HashMap::new();
    let mut committed: HashMap<i64, u64> = HashMap::new();
    let list =
        |value: &'static str| move |of: &Value| of[value].as_array().cloned().unwrap_or_default();
    let scopes = list("resourceSpans")(trace)
        .into_iter()
        .flat_map(|resource| list("scopeSpans")(&resource));
    for span in scopes.flat_map(|scope| list("spans")(&scope)) {
        let name = span["name"].as_str().unwrap_or_default();
        let nanos = |field: &str| {
            let value = &span[field];
            let text = value.as_str().and_then(|text| text.parse().ok());
            text.or_else(|| value.as_u64()).unwrap_or_default()
        };
        let Some(seq) = seq_of(&span).filter(|seq| *seq > after) else {
            continue;
        };
        if name.starts_with("runner.sendEvent.") {
            sent.insert(seq, nanos("startTimeUnixNano"));
        } else if name.starts_with("persistent-processor.persistEvent.") {
            committed.insert(seq, nanos("endTimeUnixNano"));
        }
    }
    let both = sent
        .iter()
        .filter_map(|(seq, sent)| committed.get(seq)?.checked_sub(*sent));
    #[expect(clippy::cast_precision_loss, reason = "latencies are short")]
    both.map(|nanos| nanos as f64 / 1e6).collect()
}

fn seq_of(span: &Value) -> Option<i64> {
    let attributes = span["attributes"].as_array()?;
    let seq = attributes
        .iter()
        .find(|attribute| attribute["key"] == "event.seq")?;
    let value = &seq["value"]["intValue"];
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// All figures as a table in Markdown.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut out = String::from(
        "\n| figure | median | range | runs | reach | |\n| --- | ---: | ---: | ---: | ---: | --- |\n",
    );
    for figure in figures {
        let middle = median(&figure.values);
        let (least, greatest) = range(&figure.values);
        let (reach, reached) = match figure.reach {
            Reach::AtLeast(bound) => (format!("≥ {}", shown(bound)), Some(middle >= bound)),
            Reach::AtMost(bound) => (format!("≤ {}", shown(bound)), Some(middle <= bound)),
            Reach::Told => (String::new(), None),
        };
        let verdict = match reached {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| {} | {} {} | {} – {} | {} | {reach} | {verdict} |",
            figure.name,
            shown(middle),
            figure.unit,
            shown(least),
            shown(greatest),
            figure.values.len(),
        );
    }
    out
}

/// A number with the digits that matter.
fn shown(value: f64) -> String {
    if value.abs() >= 100.0 {
        let whole = format!("{value:.0}");
        let digits = whole.len();
        let grouped = whole.chars().enumerate().map(|(at, digit)| {
            let comma = at > 0 && (digits - at).is_multiple_of(3) && digit.is_ascii_digit();
            if comma {
                format!(",{digit}")
            } else {
                digit.to_string()
            }
        });
        grouped.collect()
    } else if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (value, text) in [
            (20_123.4, "20,123"),
            (150.0, "150"),
            (1.1, "1.10"),
            (0.0, "0"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(shown(value), text);
        }
    }

    #[test]
    fn a_latency_lies_between_an_events_first_hop_and_its_last() {
        let span = |name: &str, start: u64, end: u64| {
            serde_json::json!({
                "name": name, "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
                "attributes": [{"key": "event.seq", "value": {"intValue": "7"}}],
            })
        };
        let spans = [
            span("runner.sendEvent.build-stream", 1_000_000, 1_500_000),
            span(
                "persistent-processor.persistEvent.text-delta",
                2_000_000,
                3_500_000,
            ),
        ];
        let trace =
            serde_json::json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] });
        assert_eq!(latencies(&trace, 0), [2.5]);
    }
}
