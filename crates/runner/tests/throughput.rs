//! How many events a second one build can make: a measurement, run by hand (`cargo nextest run --run-ignored only`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod support;

use std::time::{Duration, Instant};

use broker::{Broker, TestRunner, V1, build};
use futures_util::{SinkExt as _, StreamExt as _};
use hopline_wire::Timestamp;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

/// The lines of an agent: 70 % text, 25 % tool calls and answers, 4 % reasoning, 1 % plans.
fn lines(count: usize) -> String {
    let text = "x".repeat(80);
    let (input, output) = ("i".repeat(400), "o".repeat(2_048));
    let todo = json!({"content": "something to do", "activeForm": "doing it", "status": "pending"});
    let line = |number: usize| {
        let part = match number % 100 {
            0..70 => json!({"type": "text-delta", "id": "t", "delta": text}),
            70..95 if number.is_multiple_of(2) => {
                json!({"type": "tool-input-available", "toolCallId": format!("c{}", number / 2), "toolName": "Read", "input": {"file": input}})
            }
            70..95 => {
                json!({"type": "tool-output-available", "toolCallId": format!("c{}", number / 2), "output": output})
            }
            95..99 => json!({"type": "reasoning", "message": text}),
            _ => {
                json!({"type": "tool-input-available", "toolCallId": format!("p{number}"), "toolName": "TodoWrite", "input": {"todos": vec![&todo; 8]}})
            }
        };
        format!("{part}\n")
    };
    (0..count).map(line).collect()
}

/// A broker that does next to nothing, so that the runner is what is measured.
async fn idle_broker(listener: tokio::net::TcpListener, command: String, least: u64) {
    let (stream, _) = listener.accept().await.unwrap();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let check =
        |_: &tokio_tungstenite::tungstenite::handshake::server::Request,
         mut response: tokio_tungstenite::tungstenite::handshake::server::Response| {
            let name = "hopline.v1".parse().unwrap();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", name);
            Ok(response)
        };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, check)
        .await
        .unwrap();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        if text.starts_with("{\"type\":\"hello\"") {
            let welcome = json!({"type": "welcome", "window": 8192, "windowBytes": 16 << 20, "maxEventBytes": 1 << 20, "serverTime": Timestamp::now()});
            socket
                .send(Message::text(welcome.to_string()))
                .await
                .unwrap();
            socket.send(Message::text(command.clone())).await.unwrap();
            continue;
        }
        let Some(at) = text.rfind(",\"seq\":") else {
            continue;
        };
        let digits = text[at + 7..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        let seq: u64 = text[at + 7..at + 7 + digits].parse().unwrap();
        let ack = json!({"type": "events-acked", "commandId": "b", "seq": seq});
        socket.send(Message::text(ack.to_string())).await.unwrap();
        if text.contains("\"type\":\"build-completed\"") {
            assert!(seq >= least, "{seq} events only");
            return;
        }
    }
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn one_builds_events_a_second() {
    const LINES: usize = 20_000;
    const ROUNDS: usize = 10;
    let other = Broker::start(V1).await;
    let run = format!("for i in $(seq {ROUNDS}); do cat lines; done");
    let mut start = build("b", "stream", json!({"command": run}));
    for rate in ["1", "0"] {
        start["_sentry"] = json!({
            "trace": format!("771a43a4192642f0b136d5159a501700-b7ad6b7169203331-{rate}"),
            "baggage": "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=0123456789abcdef,sentry-sample_rate=1,sentry-sample_rand=0.123456,sentry-sampled=true,sentry-release=1.0.0,sentry-environment=production,sentry-transaction=POST%20%2Fapi%2Fprojects,sentry-org_id=1",
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let runner = TestRunner::with(&other, |options| options.broker_url = url);
        std::fs::write(runner.project().join("lines"), lines(LINES)).unwrap();
        let (began, used) = (Instant::now(), cpu());
        idle_broker(listener, start.to_string(), (LINES * ROUNDS) as u64).await;
        let (took, used) = (began.elapsed(), cpu() - used);
        let events = (LINES * ROUNDS) as f64;
        println!(
            "sampled {rate}: {:.0} events/s, {:.2} us of CPU an event (broker and spans included)",
            events / took.as_secs_f64(),
            used.as_secs_f64() * 1e6 / events
        );
        runner.stop().await;
    }
}
