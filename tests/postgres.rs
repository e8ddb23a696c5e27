//! The whole path with its rows in PostgreSQL: several servers share them, and builds outlive the database's death.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::process::Command;

use hopline_state::contract_tests::postgres::{Server, Version};
use serde_json::Value;
use support::{Place, Running, Service, eventually};

const ANY: &str = "127.0.0.1:0";

/// A Hopline whose rows are in this database. All on one have the same secrets, as all of a team do.
struct Team {
    database: String,
}

impl Team {
    fn command(&self, place: &Place, args: &[&str]) -> Command {
        let mut command = place.hopline(args);
        command
            .env("HOPLINE_DATABASE", &self.database)
            .env("HOPLINE_RUNNER_SECRET", "the-runners-secret-of-a-team")
            .env("HOPLINE_ADMIN_SECRET", "the-peoples-secret-of-a-team");
        command
    }

    #[track_caller]
    fn service(&self, place: &Place, args: &[&str]) -> Service {
        Service::start(self.command(place, args))
    }

    #[track_caller]
    fn run(&self, place: &Place, args: &[&str]) -> support::Ended {
        support::finish(self.command(place, args))
    }
}

#[test]
fn a_build_given_at_one_server_is_followed_there_while_another_one_commits_it() {
    let postgres = Server::start(Version::Debian);
    let team = Team {
        database: postgres.url(),
    };
    let [here, there] = [Place::new(), Place::new()];
    let commits = team.service(&here, &["server", "--listen", ANY]);
    let asked = team.service(&there, &["server", "--listen", ANY]);
    let server = commits.url("server");
    let broker = team.service(&here, &["broker", "--listen", ANY, "--server", &server]);
    let broker_url = broker.url("broker");
    let runner = team.service(&here, &["runner", "--id", "far", "--broker", &broker_url]);

    let go = there.path().join("go");
    let script = format!(
        "echo one; until test -e {}; do sleep 0.02; done; echo two; exit 3",
        go.display()
    );
    let other = asked.url("server");
    let args = [
        "build", "shop", "--server", &other, "--", "sh", "-c", &script,
    ];
    eventually("the runner is known to the server that is asked", || {
        let warm_up = ["build", "warm-up", "--server", &other, "--", "true"];
        (team.run(&there, &warm_up).code() == 0).then_some(())
    });
    let follower = Service::start_until(team.command(&there, &args), "  │ one");
    // It is shown while it runs: nothing but the bell tells the server that was asked.
    std::fs::write(&go, "").unwrap();
    let (status, shown) = follower.ended();
    assert_eq!(status.code(), Some(3), "{shown}");
    assert!(shown.contains("│ two"), "{shown}");
    for server in [&server, &other] {
        let listed = team.run(&here, &["builds", "--json", "--server", server]);
        let newest = listed.expect(0).stdout.lines().next().map(str::to_owned);
        let build: Value = serde_json::from_str(&newest.unwrap()).unwrap();
        assert_eq!(
            (&build["status"], &build["exitCode"]),
            (&"failed".into(), &3.into())
        );
    }
    drop((runner, broker, commits, asked));
}

#[test]
fn a_build_outlives_the_death_of_its_database_and_nothing_is_lost_or_doubled() {
    const LINES: usize = 3_000;
    let mut postgres = Server::start_with(Version::Debian, &["fsync=on"]);
    let team = Team {
        database: postgres.url(),
    };
    let place = Place::new();
    let said = place.path().join("said");
    let script = format!(
        "for line in $(seq {LINES}); do echo line-$line; echo . >> {}; sleep 0.001; done",
        said.display()
    );
    let run = team.command(&place, &["run", "--json", "--", "sh", "-c", &script]);
    let run = Running::start(run);
    for part in [5, 2] {
        eventually("the build has said a part of it", || {
            let said = std::fs::metadata(&said).ok()?.len();
            (said >= (2 * LINES / part) as u64).then_some(())
        });
        postgres.kill();
        postgres.run();
    }
    let line = run.finish().expect(0).last_json();
    assert_eq!(line["status"], "completed");
    let session = line["sessionId"].as_str().unwrap();
    let told = team.run(&place, &["rebuild", session, "--json"]).expect(0);
    let report: Value = told.last_json();
    assert_eq!(report["verdict"], "same", "{report}");
    assert_eq!(report["events"], line["events"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let text = runtime.block_on(text(&postgres, session));
    let expected: String = (1..=LINES).map(|line| format!("line-{line}\n")).collect();
    assert_eq!(text, expected);
}

/// What a build's program wrote, as the rows have it.
async fn text(postgres: &Server, session: &str) -> String {
    use hopline_state::Store;
    let store = postgres.store().await;
    let whole = store.whole_session(session.parse().unwrap(), usize::MAX);
    let notes = whole.await.unwrap().unwrap().notes;
    notes.into_iter().map(|note| note.content).collect()
}
