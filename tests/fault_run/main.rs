//! The fault run: builds that say a known plan, while something goes wrong; then their rows must be the fold of what
//! the runner's programs said, to the byte, by rules that this test tells anew (`naive.rs`).
//!
//! `make test` runs a short form of it, `make test-faults ROUNDS=N` the long one. What a round says and when it is hit
//! follows from its seed, which is printed; the order of the faults from that of the first, `SEED` (1 unless set). With
//! `EVENTS=N` it is a soak: rounds follow each other on the same parts and the same files until so many events were made.
//! `BUILDS`, `PARTS` and `FAULTS` make each round larger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod check;
mod faults;
mod naive;
mod network;
mod plan;
mod plant;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use check::Build;
use faults::Fault;
use plant::{Database, Plant, RUNNERS};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

/// What is run.
struct Form {
    /// How many rounds; of a soak, as many as it takes.
    rounds: usize,
    /// How many events a soak is to have.
    events: Option<u64>,
    /// How many builds run at once.
    builds: usize,
    /// How many things each says, at most; at least a third of them.
    parts: usize,
    /// How many faults befall a round, one after the other.
    faults: usize,
}

impl Form {
    /// As the environment says; else the short form, in which each database meets other faults, since it has others to meet.
    fn asked_for() -> Self {
        let number = |variable, unless| number(variable).unwrap_or(unless) as usize;
        let events = self::number("EVENTS");
        Self {
            rounds: if events.is_some() {
                usize::MAX
            } else {
                number("ROUNDS", 4)
            },
            events,
            builds: number("BUILDS", 8),
            parts: number("PARTS", 450),
            faults: number("FAULTS", 1),
        }
    }
}

/// After how many rounds everything is started anew, in new folders.
const ROUNDS_OF_A_PLANT: usize = 16;
/// How often a round is tried whose fault has met nothing.
const TRIES: u64 = 5;

/// How long a round's builds may take to end once all is mended; a soak's rounds are some hundred times as large.
fn patience() -> Duration {
    Duration::from_secs(if number("EVENTS").is_some() { 600 } else { 60 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_the_rows_in_sqlite_are_the_fold_of_what_was_said() {
    run(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_the_rows_in_postgresql_are_the_fold_of_what_was_said() {
    run(Database::Postgres).await;
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

async fn run(database: Database) {
    let form = Form::asked_for();
    let first = number("SEED").unwrap_or(1);
    let mut faults = faults::all(database);
    faults.shuffle(&mut StdRng::seed_from_u64(first));
    let mut faults = faults.into_iter().cycle();
    let (mut counted, mut events) = (0, 0);
    let mut plant = None;
    for round in 0..form.rounds {
        if form.events.is_some_and(|wanted| events >= wanted) {
            break;
        }
        if round % ROUNDS_OF_A_PLANT == 0
            && form.events.is_none()
            && let Some(old) = plant.take()
        {
            Plant::end(old);
        }
        if plant.is_none() {
            plant = Some(Plant::start(database, form.events.is_none()).await);
        }
        let plant = plant.as_mut().unwrap();
        let mut has_clock = false;
        let mut next = || {
            faults.find(|fault| {
                // The runners' clocks are put off for a whole round.
                if fault.is_clock() && std::mem::replace(&mut has_clock, true) {
                    return false;
                }
                let is_possible = fault.is_possible(plant);
                if !is_possible {
                    println!("{database:?}: {fault:?} is left out, for want of small disks");
                }
                is_possible
            })
        };
        let faults: Vec<_> = (0..form.faults).filter_map(|_| next()).collect();
        let mut tries = 0;
        loop {
            let seed = first + round as u64 + 1_000_000 * tries;
            let begun = Instant::now();
            let told = one(plant, &faults, seed, &form).await;
            println!(
                "{database:?} round {round} seed {seed} {faults:?}: {told} in {:.1?}",
                begun.elapsed()
            );
            events += told.events;
            if told.in_flight > 0 {
                counted += 1;
                break;
            }
            tries += 1;
            assert!(tries < TRIES, "{faults:?} never meets an event");
        }
    }
    if let Some(plant) = plant {
        plant.end();
    }
    println!("{database:?}: {counted} rounds, {events} events, without a difference");
    assert!(counted > 0);
}

/// What a round has come to.
struct Told {
    events: u64,
    in_flight: u64,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} events, {} of them in flight",
            self.events, self.in_flight
        )
    }
}

async fn one(plant: &mut Plant, faults: &[Fault], seed: u64, form: &Form) -> Told {
    let mut random = StdRng::seed_from_u64(seed);
    Fault::prepare(faults, plant);
    let written: Vec<_> = (0..form.builds)
        .map(|place| write(plant, place, form.parts, &mut random))
        .collect();
    let mut builds = Vec::new();
    for (place, written) in written.into_iter().enumerate() {
        builds.push(start(plant, place, written).await);
    }
    // Each happens when a part of what all say is in the rows.
    let said: usize = builds.iter().map(|build| build.plan.len()).sum();
    let mut spells = Vec::new();
    for (place, fault) in faults.iter().enumerate() {
        let part = (place as f64 + random.random_range(0.1..1.0)) / faults.len() as f64;
        let when = (said as f64 * part / 2.0) as u64;
        wait("the builds are under way", || async {
            let listed = plant.get("/api/builds?limit=100").await?;
            let listed = listed["builds"].as_array()?.iter();
            let own = listed.filter(|shown| {
                builds
                    .iter()
                    .any(|build| shown["commandId"] == *build.command)
            });
            let events: u64 = own.filter_map(|build| build["lastSeq"].as_u64()).sum();
            (events >= when).then_some(())
        })
        .await;
        let before = check::now();
        let hits = fault.happen(plant, &mut random).await;
        spells.push((hits, before, check::now()));
    }
    check::poison(plant, seed).await;
    let mut events = 0;
    let mut in_flight = vec![0; spells.len()];
    for build in &builds {
        let session = &build.session;
        wait("a build ends for good", || async {
            let shown = plant.get(&format!("/api/builds/{session}")).await?;
            (shown["final"] == true).then_some(())
        })
        .await;
        let killed = faults.iter().any(|fault| fault.kills_runner()) && build.runner == RUNNERS[0];
        let log = check::rows(plant, build, killed).await;
        events += log.len() as u64;
        for (met, (hits, before, after)) in in_flight.iter_mut().zip(&spells) {
            if *hits > 0 {
                *met += check::in_flight(&log, *before, *after, plant.clock_off);
            }
        }
        check::trace(plant, build, &log, faults.iter().any(|fault| fault.kills())).await;
    }
    check::memory(plant);
    Told {
        events,
        in_flight: in_flight.into_iter().min().unwrap_or_default(),
    }
}

/// Writes down what a build is to say.
fn write(plant: &Plant, place: usize, parts: usize, random: &mut StdRng) -> Written {
    let plan = plan::make(random.random(), random.random_range(parts / 3..parts));
    let folder = plant.folder().join(format!("said-{place}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    for (number, said) in plan.chunks((parts / 50).max(8)).enumerate() {
        let lines: String = said.iter().map(plan::Said::line).collect();
        std::fs::write(folder.join(format!("{number:04}")), lines).unwrap();
    }
    let exit = random.random_range(0..3);
    let script = format!(
        "for piece in {}/*; do cat $piece; sleep 0.0{}; done; exit {exit}",
        folder.display(),
        random.random_range(2..8)
    );
    Written { plan, exit, script }
}

/// What a build is to say, and the program that says it.
struct Written {
    plan: Vec<plan::Said>,
    exit: i32,
    script: String,
}

/// Starts a build.
async fn start(plant: &Plant, place: usize, written: Written) -> Build {
    let Written { plan, exit, script } = written;
    let name = json!({"name": format!("project-{place}")});
    let listed = plant.get("/api/projects").await.unwrap();
    let projects = listed["projects"].as_array().cloned().unwrap_or_default();
    let known = projects
        .into_iter()
        .find(|project| project["name"] == name["name"]);
    let project = match known {
        Some(project) => project,
        None => plant.post("/api/projects", &name).await,
    };
    let id = project["id"].as_str().unwrap();
    let runner = RUNNERS[place % RUNNERS.len()];
    let request = json!({"agent": "stream", "command": ["sh", "-c", script], "prompt": "say it", "runnerId": runner});
    wait("the runner is linked", || async {
        let runners = plant.get("/api/runners").await?;
        let mut runners = runners["runners"].as_array()?.iter();
        let is_up = |entry: &serde_json::Value| entry["id"] == runner && entry["link"] == "up";
        runners.any(is_up).then_some(())
    })
    .await;
    let started = plant
        .post(&format!("/api/projects/{id}/build"), &request)
        .await;
    Build {
        session: started["sessionId"].as_str().unwrap().parse().unwrap(),
        command: started["commandId"].as_str().unwrap().to_owned(),
        trace: started["traceId"].as_str().unwrap().to_owned(),
        runner,
        plan,
        exit,
    }
}

/// Waits for a condition, with a deadline.
pub(crate) async fn wait<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "it did not come to pass that {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
