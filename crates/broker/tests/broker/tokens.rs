//! Runners that show tokens of their own.

use std::time::Duration;

use axum::response::Response;
use hopline_broker::Handle;
use hopline_wire::link::WELCOME_TIMEOUT;
use hopline_wire::token::{self, CHECK_PATH};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use crate::support::{
    Api, Knock, Ledger, Received, Runner, bearer, event, http, json_answer, options, seqs, start,
    until,
};

const OF_ONE: &str = "hlr_the-token-of-one";
const OF_TWO: &str = "hlr_the-token-of-two";

impl Ledger {
    /// Answers a question about tokens.
    pub(crate) fn tell_tokens(&mut self, received: Received) -> Response {
        assert_eq!(
            received.header("authorization"),
            Some("Bearer the runner secret")
        );
        let asked = received.json();
        let hashes = asked["hashes"].as_array().unwrap().iter();
        let live = hashes.filter_map(|hash| {
            let runner = self.tokens.get(hash.as_str()?)?;
            Some(json!({"hash": hash, "runnerId": runner}))
        });
        let live: Vec<_> = live.collect();
        self.received.push(received);
        json_answer(self.tokens_status.unwrap_or(200), &json!({"live": live}))
    }
}

async fn api() -> Api {
    let api = Api::start().await;
    let mut ledger = api.ledger.lock();
    for (token, runner) in [(OF_ONE, "one"), (OF_TWO, "two")] {
        ledger.tokens.insert(token::hash(token), runner.to_owned());
    }
    drop(ledger);
    api
}

/// How often the server was asked.
fn asked(api: &Api) -> usize {
    let ledger = api.ledger.lock();
    let asked = ledger.received.iter();
    asked.filter(|received| received.path == CHECK_PATH).count()
}

async fn knock(broker: &Handle, id: &str, token: &'static str) -> Runner {
    let knock = Knock {
        secret: Some(token),
        v1: true,
        ..Knock::default()
    };
    let mut runner = Runner::knock(broker, id, &knock).await.unwrap();
    let hello = json!({"type": "hello", "runnerId": id, "instanceId": "i", "version": "1", "agents": [], "resume": []});
    runner.send(&hello).await;
    runner
}

/// Sends at once, as command `c`, what costs a quarter of an hour at one event a second.
async fn send_burst(runner: &mut Runner) {
    let burst: Vec<_> = (1..=900).map(|seq| event("c", seq)).collect();
    runner.send(&json!(burst)).await;
}

/// Another runner is read from and answered, again and again: whatever was sent before that would have been read too.
async fn others_go_on(broker: &Handle) {
    let mut any = Runner::v1(broker, "three", "i", json!([])).await;
    for seq in 1..=50 {
        any.send(&event("d", seq)).await;
        any.acked("d", seq).await;
    }
}

/// A runner that was welcomed.
async fn linked(broker: &Handle, id: &str, token: &'static str) -> Runner {
    let mut runner = knock(broker, id, token).await;
    assert_eq!(runner.next().await["type"], "welcome");
    runner
}

#[tokio::test]
async fn a_token_opens_the_link_of_its_runner_and_no_other() {
    let api = api().await;
    let broker = start(options(&api)).await.handle;
    let mut one = linked(&broker, "one", OF_ONE).await;
    // Whatever the runner says of it, its events are known to be of a runner that may speak for its own commands alone.
    let mut first = event("c", 1);
    first["runnerBound"] = false.into();
    first["runnerId"] = "two".into();
    one.send(&first).await;
    one.send(&event("c", 2)).await;
    for event in api.wait_for("c", 2).await {
        assert_eq!(
            (&event["runnerId"], &event["runnerBound"]),
            (&"one".into(), &true.into())
        );
    }
    for (id, token, reason) in [
        ("two", OF_ONE, "another runner's"),
        ("one", "hlr_a-token-of-nobody", "wrong or revoked"),
        (
            "one",
            "no token at all",
            "expected the runner secret, or a token",
        ),
    ] {
        let (code, told) = knock(&broker, id, token).await.closed().await;
        assert!(code == 1008 && told.contains(reason), "{code} {told}");
    }
    // The shared secret may speak for everyone, and nobody is asked about it.
    let before = asked(&api);
    let mut any = Runner::v1(&broker, "three", "i", json!([])).await;
    any.send(&event("d", 1)).await;
    assert_eq!(api.wait_for("d", 1).await[0]["runnerBound"], Value::Null);
    assert_eq!(asked(&api), before);
    let bodies: Vec<_> = api.ledger.lock().received.clone();
    for received in bodies {
        assert!(
            !String::from_utf8_lossy(&received.body).contains(OF_ONE),
            "only its hash is told"
        );
    }
}

#[tokio::test]
async fn a_token_that_nobody_can_vouch_for_opens_no_link() {
    let api = api().await;
    let broker = start(options(&api)).await.handle;
    // A runner of the older link counts what it has written as settled, and one of the newer takes a link that does not
    // welcome it in time for an older one: so there is none, however long the server takes.
    for status in [503, 403, 0] {
        api.ledger.lock().tokens_status = Some(status);
        for v1 in [true, false] {
            let knock = Knock {
                secret: Some(OF_ONE),
                v1,
                ..Knock::default()
            };
            let opened = Runner::knock(&broker, "one", &knock);
            let opened = tokio::time::timeout(WELCOME_TIMEOUT, opened).await;
            match opened.unwrap() {
                Err(Error::Http(answer)) => assert_eq!(answer.status(), 503),
                other => panic!("{status}: {:?}", other.err()),
            }
        }
    }
    api.ledger.lock().tokens_status = Some(404);
    let (closed, reason) = knock(&broker, "one", OF_ONE).await.closed().await;
    assert_eq!(closed, 1008, "{reason}");
    api.ledger.lock().tokens_status = None;
    linked(&broker, "one", OF_ONE).await;
}

#[tokio::test]
async fn a_revoked_runner_that_reads_nothing_is_not_listened_to_any_longer() {
    let api = api().await;
    let mut options = options(&api);
    options.token_check = Duration::from_millis(20);
    options.command_patience = Duration::from_millis(100);
    // Only far behind the patience of this test.
    options.dead_after = Duration::from_secs(600);
    let broker = start(options).await.handle;
    let mut one = linked(&broker, "one", OF_ONE).await;
    one.send(&event("c", 1)).await;
    api.wait_for("c", 1).await;
    // It takes no more commands, until one cannot be written.
    let large = json!({"runnerId": "one", "command": {"id": "x", "type": "start-build", "prompt": "x".repeat(1 << 20)}});
    let mut status = 200;
    while status == 200 {
        let headers = [bearer(), ("content-type", "application/json")];
        let (answered, ..) = http("POST", &broker, "/commands", &headers, large.to_string()).await;
        status = answered;
    }
    api.ledger.lock().tokens.remove(&token::hash(OF_ONE));
    until(|| {
        api.reports()
            .last()
            .is_some_and(|report| report["link"] == "down")
    })
    .await;
}

#[tokio::test]
async fn a_new_link_is_held_to_what_the_token_has_spent_on_the_last() {
    let api = api().await;
    let mut options = options(&api);
    options.token_rates.events = 1;
    let broker = start(options).await.handle;
    let mut first = linked(&broker, "one", OF_ONE).await;
    send_burst(&mut first).await;
    first.acked("c", 900).await;
    first.vanish();
    let mut second = linked(&broker, "one", OF_ONE).await;
    second.send(&event("e", 1)).await;
    others_go_on(&broker).await;
    assert_eq!(api.committed("e").len(), 0);
}

#[tokio::test]
async fn a_link_ends_when_its_token_is_revoked_and_others_stay() {
    let api = api().await;
    let mut options = options(&api);
    options.token_check = Duration::from_millis(20);
    let broker = start(options).await.handle;
    let mut one = linked(&broker, "one", OF_ONE).await;
    let mut two = linked(&broker, "two", OF_TWO).await;
    let mut any = Runner::v1(&broker, "three", "i", json!([])).await;
    // What the server does not say revokes nothing.
    api.ledger.lock().tokens_status = Some(503);
    let before = asked(&api);
    until(|| asked(&api) > before + 3).await;
    api.ledger.lock().tokens_status = None;
    api.ledger.lock().tokens.remove(&token::hash(OF_ONE));
    let (code, reason) = one.closed().await;
    assert!(
        code == 1008 && reason.contains("revoked"),
        "{code} {reason}"
    );
    for (runner, command) in [(&mut two, "c"), (&mut any, "d")] {
        runner.send(&event(command, 1)).await;
        runner.acked(command, 1).await;
    }
}

#[tokio::test]
async fn links_by_tokens_end_when_nobody_has_vouched_for_them_for_too_long() {
    let api = api().await;
    let mut options = options(&api);
    options.token_check = Duration::from_millis(20);
    options.token_grace = Duration::from_millis(200);
    let broker = start(options).await.handle;
    let mut one = linked(&broker, "one", OF_ONE).await;
    let mut any = Runner::v1(&broker, "three", "i", json!([])).await;
    api.ledger.lock().tokens_status = Some(500);
    let (code, reason) = one.closed().await;
    assert!(
        code == 1013 && reason.contains("vouched"),
        "{code} {reason}"
    );
    any.send(&event("d", 1)).await;
    any.acked("d", 1).await;
}

#[tokio::test]
async fn a_runner_with_a_token_is_held_to_its_rate_and_loses_nothing() {
    let api = api().await;
    let mut options = options(&api);
    // What is sent beyond the first second's worth costs a quarter of an hour.
    options.token_rates.events = 1;
    let broker = start(options).await.handle;
    let mut one = linked(&broker, "one", OF_ONE).await;
    send_burst(&mut one).await;
    one.send(&event("c", 901)).await;
    one.acked("c", 900).await;
    // Others are not held up by it; what is read of theirs came later than what is not read of the first one's.
    others_go_on(&broker).await;
    let committed = api.committed("c");
    assert_eq!(seqs(&committed), (1..=900).collect::<Vec<_>>());
}
