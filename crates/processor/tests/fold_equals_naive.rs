//! Whatever a build says, whatever the server decides about it, and however its events are cut into requests, repeated
//! and interrupted by restarts: its rows are those of the naive fold.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::said::{decision, events, part, whole};
use common::{World, naive};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_do_not_depend_on_how_events_come(
        said in prop::collection::vec(prop_oneof![20 => part(), 1 => whole()], 1..120),
        runs in prop::collection::vec((1usize..30, 0usize..6, prop::bool::weighted(0.1), decision()), 1..12),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let build = world.build().await;
            let events = events(&build, &said);
            let mut sent = 0;
            let mut runs = runs.iter().cycle();
            while sent < events.len() {
                let (length, repeated, restart, decision) = runs.next().unwrap();
                let end = (sent + length).min(events.len());
                let reply = world.submit(&events[sent.saturating_sub(*repeated)..end]).await;
                assert_eq!(reply.acked.get(&build.command), Some(&(end as u64)), "{reply:?}");
                sent = end;
                if let Some(kind) = *decision {
                    let decided = world.handle.decide(&build.command, kind, "gone".into());
                    decided.await.unwrap();
                }
                if *restart {
                    world = world.restart().await;
                }
            }
            let stored = naive::stored(&*world.store, &build).await;
            let decisions = world.store.decisions(build.session).await.unwrap();
            assert_eq!(stored, naive::fold_with(&events, &decisions));
        });
    }
}
