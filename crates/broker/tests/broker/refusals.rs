//! What the server cannot take, whatever it says: found, given up when that is hopeless, and never before.

use std::time::Duration;

use serde_json::json;

use crate::support::{Api, Runner, event, options, seqs, start, unnumbered, until};

/// Options under which what is refused is given up soon.
fn impatient(api: &Api) -> hopline_broker::Options {
    let mut options = options(api);
    options.slow_pause = Duration::from_millis(2);
    options.longest_pause = Duration::from_millis(10);
    options.refused_for = Duration::from_millis(50);
    // The reports that the server takes would prove it well after fifteen times that.
    options.heartbeat = Duration::from_secs(3_600);
    options
}

/// Sends events of commands that the server takes, until it has committed so many events of `command`.
async fn send_others_until(api: &Api, runner: &mut Runner, command: &str, count: usize) {
    for n in 1.. {
        if api.committed(command).len() >= count {
            return;
        }
        runner.send(&unnumbered("other", n)).await;
        api.wait_for("other", usize::try_from(n).unwrap()).await;
    }
}

#[tokio::test]
async fn what_the_originals_server_fails_at_is_given_up_while_it_takes_others() {
    let api = Api::start().await;
    {
        let mut ledger = api.ledger.lock();
        ledger.plain = true;
        ledger.poison = Some(("poison", 500));
    }
    let broker = start(impatient(&api)).await;
    let mut runner = Runner::legacy(&broker.handle, "r").await;
    let poison = |n| {
        let mut event = unnumbered("c", n);
        event["data"] = "poison".into();
        event
    };
    for event in [unnumbered("c", 1), poison(2), poison(3), unnumbered("c", 4)] {
        runner.send(&event).await;
    }
    send_others_until(&api, &mut runner, "c", 2).await;
    let committed = api.committed("c");
    assert_eq!(
        (&committed[0]["linkSeq"], &committed[1]["linkSeq"]),
        (&json!(1), &json!(4))
    );
    let metrics = broker.metrics.render();
    assert!(metrics.contains(r#"events_rejected_total{code="other"} 2"#));
}

#[tokio::test]
async fn nothing_is_given_up_while_the_server_takes_nothing() {
    let api = Api::start().await;
    let broker = start(impatient(&api)).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("c", 1)).await;
    runner.acked("c", 1).await;
    api.ledger.lock().poison = Some(("data", 500));
    let all: Vec<_> = (2..=5).map(|seq| event("c", seq)).collect();
    runner.send(&json!(all)).await;
    runner.send(&json!([event("d", 1), event("d", 2)])).await;
    let before = api.requests().len();
    until(|| api.requests().len() > before + 60).await;
    api.ledger.lock().poison = None;
    runner.acked("c", 5).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2, 3, 4, 5]);
    assert_eq!(seqs(&api.wait_for("d", 2).await), [1, 2]);
    assert!(!broker.metrics.render().contains("events_rejected_total{"));
}

#[tokio::test]
async fn an_event_that_an_acknowledging_server_cannot_take_is_found_and_replaced() {
    for status in [400, 500] {
        let api = Api::start().await;
        let broker = start(impatient(&api)).await;
        let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
        let mut others = Runner::legacy(&broker.handle, "others").await;
        runner.send(&event("c", 1)).await;
        runner.acked("c", 1).await;
        api.ledger.lock().poison = Some(("poison", status));
        let all: Vec<_> = (2..=60)
            .map(|seq| {
                let mut event = event("c", seq);
                if seq == 40 {
                    event["data"] = "poison".into();
                    event["_sentry"] = crate::support::carrier(&crate::support::trace(0.0));
                }
                event
            })
            .collect();
        let unsampled = all[38]["_sentry"].clone();
        runner.send(&json!(all)).await;
        send_others_until(&api, &mut others, "c", 60).await;
        let committed = api.committed("c");
        assert_eq!(seqs(&committed), (1..=60).collect::<Vec<_>>());
        let lost: Vec<_> = committed
            .iter()
            .filter(|event| event["type"] == "events-lost")
            .collect();
        assert_eq!(lost.len(), 1);
        assert_eq!(
            (&lost[0]["from"], &lost[0]["to"], &lost[0]["_sentry"]),
            (&json!(40), &json!(40), &unsampled)
        );
        assert!(lost[0]["reason"].as_str().unwrap().starts_with("refused: "));
    }
}
