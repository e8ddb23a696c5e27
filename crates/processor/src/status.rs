//! What a `runner-status` says of its runner, as its row keeps it.
//!
//! A runner tells how long it has been up. The row keeps the moment that follows from it, by the server's
//! clock: a build that was last heard of before that moment ran in a process that is no more.

use std::time::Duration;

use hopline_state::rows::{LinkState, Runner};
use hopline_wire::Timestamp;
use hopline_wire::text::storable_json;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::incoming::Incoming;

/// The longest uptime that is believed: a century.
const LONGEST_UPTIME: f64 = 100.0 * 366.0 * 86_400.0;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    broker_url: Option<String>,
    link: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Uptime {
    uptime_seconds: f64,
    began_at: Option<IgnoredAny>,
}

/// The runner that a `runner-status` tells of; none if it names none or cannot be read.
pub(crate) fn runner_of(event: &Incoming) -> Option<Runner> {
    let status: Status<'_> = serde_json::from_str(event.json()).ok()?;
    let is_object = |raw: &&RawValue| raw.get().starts_with('{');
    // On what a runner says itself, `link` is the connection that it said it on.
    let link = match status.link.as_deref() {
        Some("down") => LinkState::Down,
        _ => LinkState::Up,
    };
    let last_seen_at = Timestamp::from_millis(event.received.as_millis());
    let payload = status.payload.filter(is_object);
    Some(Runner {
        id: event.runner_id()?.to_string(),
        // To where it says the runner secret is sent with commands: one that holds no more than a token must not say it.
        broker_url: status.broker_url.filter(|_| !event.is_bound()),
        link,
        payload: payload.map(|raw| with_beginning(&storable_json(raw.get()), last_seen_at)),
        last_seen_at,
    })
}

/// Adds `beganAt` to a status that tells an uptime.
fn with_beginning(payload: &str, now: Timestamp) -> String {
    let uptime = serde_json::from_str::<Uptime>(payload).ok();
    let uptime = uptime.filter(|told| {
        told.began_at.is_none() && (0.0..LONGEST_UPTIME).contains(&told.uptime_seconds)
    });
    match (uptime, payload.strip_prefix('{')) {
        (Some(told), Some(members)) => {
            let uptime = Duration::from_secs_f64(told.uptime_seconds).as_millis();
            let uptime = u64::try_from(uptime).unwrap_or(u64::MAX);
            let began = Timestamp::from_millis(now.as_millis().saturating_sub(uptime));
            format!("{{\"beganAt\":\"{began}\",{members}")
        }
        _ => payload.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_becomes_the_moment_the_runner_began() {
        let now = Timestamp::from_millis(10_000);
        let began = with_beginning(r#"{"uptimeSeconds":2.5,"odd":1.0e2}"#, now);
        assert_eq!(
            began,
            r#"{"beganAt":"1970-01-01T00:00:07.500Z","uptimeSeconds":2.5,"odd":1.0e2}"#
        );
        for odd in [
            "{}",
            r#"{"uptimeSeconds":"x"}"#,
            r#"{"uptimeSeconds":-1}"#,
            r#"{"uptimeSeconds":1e300}"#,
            r#"{"uptimeSeconds":1,"beganAt":5}"#,
        ] {
            assert_eq!(with_beginning(odd, now), odd);
        }
    }
}
