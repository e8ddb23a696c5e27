//! Every event that runners make ends in one counted outcome, whatever happens to it on its way.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Build, World, delta, quick_options};
use hopline_processor::{Options, Outcomes};
use hopline_state::Page;
use hopline_state::rows::Outcome;
use serde_json::{Value, json};

/// A build's counts, as its row keeps them.
async fn outcomes(world: &World, build: &Build) -> Outcomes {
    let loaded = world.store.load_command(&build.command).await.unwrap();
    let (_, fold) = loaded.unwrap().session.unwrap();
    Outcomes::of_fold(&fold.unwrap()).unwrap()
}

/// Twelve numbers: of them six events are as they should be, four are wrong, and two never come.
fn mixed(build: &Build) -> Vec<Value> {
    vec![
        build.event("ack", 1, json!({})),
        delta(build, 2, "text"),
        build.event("build-stream", 3, json!({"data": 5})),
        build.event(
            "build-stream",
            4,
            json!({"data": "data: {\"type\":\"text-delta\"}\n\n"}),
        ),
        delta(build, 5, &"x".repeat(5_000)),
        build.event(
            "events-lost",
            7,
            json!({"from": 6, "to": 7, "reason": "full"}),
        ),
        delta(build, 8, "more"),
        build.event("port-detected", 9, json!({"port": 70_000})),
        build.event("log-chunk", 10, json!({"stream": "stdout", "data": "x"})),
        build.event("of-later", 11, json!({})),
        build.event("build-completed", 12, json!({"exitCode": 0})),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outcomes_of_all_builds_are_as_many_as_their_events() {
    let world = World::with(Options {
        max_event_bytes: 4_000,
        ..quick_options()
    })
    .await;
    let builds = [
        world.build().await,
        world.build().await,
        world.build().await,
    ];
    let (mut numbers, mut again) = (0, 0);
    for (place, build) in builds.iter().enumerate() {
        let events = mixed(build);
        // One comes at once, one event by event, one in pieces that overlap.
        let length = [events.len(), 1, 4][place];
        let overlap = [0, 0, 2][place];
        let mut sent = 0;
        while sent < events.len() {
            let from = sent - overlap.min(sent);
            again += (sent - from) as u64;
            sent = (sent + length).min(events.len());
            world.submit(&events[from..sent]).await;
        }
        // What was acknowledged and the answer got lost is sent as a whole once more.
        if place == 0 {
            again += events.len() as u64;
            world.submit(&events).await;
        }
        numbers += 12;
    }
    let total = world.handle.outcomes();
    assert_eq!((total.numbers(), total.duplicate), (numbers, again));
    assert_eq!((total.committed, total.expired), (3 * 6, 3 * 2));
    let rejected: Vec<_> = total
        .rejected
        .iter()
        .map(|(code, count)| (code.as_str(), *count))
        .collect();
    assert_eq!(
        rejected,
        [("bad_event", 6), ("bad_part", 3), ("too_large", 3)]
    );
    let mut summed = 0;
    let told = world.metrics.render();
    for line in told
        .lines()
        .filter(|line| line.starts_with("hopline_events_total{"))
    {
        summed += line.split(' ').next_back().unwrap().parse::<u64>().unwrap();
    }
    assert_eq!(summed, numbers + again, "{told}");
    for build in &builds {
        let own = outcomes(&world, build).await;
        assert_eq!(own.numbers(), world.session(build).await.last_seq);
        let log = world
            .store
            .events(&build.command, 0, Page::default())
            .await
            .unwrap();
        let logged = |outcome| log.iter().filter(|event| event.outcome == outcome).count() as u64;
        assert_eq!(own.committed, logged(Outcome::Committed));
        assert_eq!(own.rejections(), logged(Outcome::Rejected));
        assert_eq!(own.expired, 2);
    }
    assert_eq!(outcomes(&world, &builds[2]).await.duplicate, again - 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_refused_stand_in_stood_for_is_counted_too() {
    let world = World::with(Options {
        max_event_bytes: 4_000,
        ..quick_options()
    })
    .await;
    let build = world.build().await;
    let long = json!({"from": 1, "to": 5, "reason": "x".repeat(5_000)});
    let reply = world.submit(&[build.event("events-lost", 5, long)]).await;
    assert_eq!((reply.acked[&build.command], reply.rejected.len()), (5, 1));
    let own = outcomes(&world, &build).await;
    assert_eq!((own.numbers(), own.expired, own.rejections()), (5, 4, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_go_on_after_a_restart() {
    let world = World::new().await;
    let build = world.build().await;
    let events: Vec<_> = (1..=6).map(|seq| delta(&build, seq, "x")).collect();
    world.submit(&events[..3]).await;
    world.submit(&events[1..4]).await;
    let world = world.restart().await;
    world.submit(&events[3..]).await;
    let expected = Outcomes {
        committed: 6,
        duplicate: 3,
        ..Outcomes::default()
    };
    assert_eq!(outcomes(&world, &build).await, expected);
}
