//! Traces: each hop's span the child of the hop before, carriers rewritten or left alone, all other
//! bytes as they came.

use hopline_telemetry::TraceContext;
use hopline_wire::span::{SpanKind, Value as SpanValue};
use serde_json::{Value, json};

use crate::support::{Api, Fault, Runner, broker, carrier, event, options, start, trace, until};

fn span_of(event: &Value) -> String {
    event["_sentry"]["trace"].as_str().unwrap()[33..49].to_owned()
}

#[tokio::test]
async fn a_forwarded_event_is_the_child_of_its_sending_and_the_parent_of_what_follows() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let trace = trace(1.0);
    let events: Vec<Value> = (1..=3)
        .map(|seq| {
            let mut event = event("c", seq);
            event["_sentry"] = carrier(&trace);
            event
        })
        .collect();
    runner.send(&json!(events)).await;
    runner.acked("c", 3).await;
    let spans = broker.spans.wait_for(3).await;
    for (seq, (span, committed)) in (1..).zip(spans.iter().zip(api.committed("c"))) {
        assert_eq!(span.name.to_string(), "broker.forwardEvent.build-stream");
        assert_eq!(&*span.op, "broker.event.forward");
        assert_eq!(span.kind, SpanKind::Producer);
        assert_eq!(
            (span.trace_id, span.parent_id),
            (trace.trace_id, Some(trace.span_id))
        );
        assert_eq!(span_of(&committed), span.span_id.to_string());
        assert_eq!(
            committed["_sentry"]["baggage"].as_str(),
            trace.baggage.as_str()
        );
        for (key, value) in [
            ("event.type", SpanValue::from("build-stream")),
            ("event.commandId", SpanValue::from("c")),
            ("event.projectId", SpanValue::from("p")),
            ("event.seq", SpanValue::from(seq)),
        ] {
            assert_eq!(span.attribute(key), Some(value));
        }
        assert!(matches!(
            span.attribute("hopline.queue.wait_ms"),
            Some(SpanValue::Double(_))
        ));
        assert!(span.attribute("messaging.batch.message_count").is_some());
        assert!(span.end > span.start && !span.status.is_error());
    }
}

#[tokio::test]
async fn a_retry_keeps_the_span_and_tells_of_itself() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    api.fault(Fault::Status(503, ""));
    api.fault(Fault::Status(503, ""));
    let trace = trace(1.0);
    let mut event = event("c", 1);
    event["_sentry"] = carrier(&trace);
    runner.send(&event).await;
    runner.acked("c", 1).await;
    let spans = broker.spans.wait_for(1).await;
    let sent: Vec<_> = api
        .requests()
        .iter()
        .map(|request| span_of(&request.events()[0]))
        .collect();
    assert_eq!(sent.len(), 3);
    assert!(
        sent.iter()
            .all(|span| *span == spans[0].span_id.to_string())
    );
    let retries: Vec<_> = spans[0]
        .events
        .iter()
        .map(|event| (event.name.to_string(), event.attributes.clone()))
        .collect();
    assert_eq!(retries.len(), 2);
    assert_eq!(retries[1].0, "retry");
    assert_eq!(retries[1].1[0].value, SpanValue::Int(2));
    assert_eq!(retries[1].1[1].value, SpanValue::from("503"));
}

#[tokio::test]
async fn no_other_byte_of_an_event_changes() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let trace = trace(1.0);
    let sentry = carrier(&trace);
    let before = r#"{ "type" : "build-stream" , "odd" : 1.0e+2, "commandId":"c","seq":1, "u":"\u00e9\ud83d\ude00" , "_sentry" : "#;
    let after = r#" , "data" : "data: {\"type\":\"finish\"}\n\n""#;
    runner
        .send_text(format!("{before}{sentry}{after} }}"))
        .await;
    runner.acked("c", 1).await;
    let requests = api.requests();
    let body = String::from_utf8(requests[0].body.to_vec()).unwrap();
    let link = api.committed("c")[0]["link"].as_str().unwrap().to_owned();
    let span = broker.spans.wait_for(1).await[0].span_id;
    let forwarded = trace.child(span);
    let sentry = carrier(&forwarded);
    let expected =
        format!(r#"{before}{sentry}{after} ,"runnerId":"r","link":"{link}","linkSeq":1}}"#);
    let body = body.trim_start_matches('[').trim_end_matches(']');
    assert_eq!(body, expected);
}

#[tokio::test]
async fn what_is_not_recorded_travels_untouched_and_makes_no_span() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let (unsampled, sampled) = (carrier(&trace(0.0)), carrier(&trace(1.0)));
    let mut off = event("c", 1);
    off["_sentry"] = unsampled.clone();
    let mut carried = event("c", 2);
    carried["type"] = "log-chunk".into();
    carried["_sentry"] = sampled.clone();
    let mut never = event("c", 3);
    never["type"] = "ack".into();
    runner.send(&json!([off, carried, never])).await;
    runner.acked("c", 3).await;
    let committed = api.committed("c");
    assert_eq!(committed[0]["_sentry"], unsampled);
    assert_eq!(committed[1]["_sentry"], sampled);
    assert!(committed[2].get("_sentry").is_none());
    assert!(broker.spans.finished().is_empty());
}

#[tokio::test]
async fn an_undecided_trace_is_decided_here_and_the_decision_travels() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let undecided = |rand: &str| {
        json!({"trace": "771a43a4192642f0b136d5159a501700-b7ad6b7169203331",
            "baggage": format!("vendor=x,sentry-sample_rate=0.5,sentry-sample_rand={rand}")})
    };
    let mut yes = event("c", 1);
    yes["_sentry"] = undecided("0.1");
    let mut no = event("c", 2);
    no["_sentry"] = undecided("0.9");
    runner.send(&json!([yes, no])).await;
    runner.acked("c", 2).await;
    let committed = api.committed("c");
    let spans = broker.spans.wait_for(1).await;
    assert_eq!(spans[0].parent_id.unwrap().to_string(), "b7ad6b7169203331");
    assert_eq!(
        committed[0]["_sentry"]["trace"],
        format!("771a43a4192642f0b136d5159a501700-{}-1", spans[0].span_id)
    );
    assert_eq!(
        committed[1]["_sentry"]["trace"],
        "771a43a4192642f0b136d5159a501700-b7ad6b7169203331-0"
    );
    assert_eq!(
        committed[0]["_sentry"]["baggage"],
        undecided("0.1")["baggage"]
    );
}

#[tokio::test]
async fn a_malformed_carrier_starts_a_trace_for_its_command_and_is_counted() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let mut bad = event("c", 1);
    bad["_sentry"] = json!({"trace": "nonsense", "baggage": "a=1"});
    let mut worse = event("c", 2);
    worse["_sentry"] = json!(5);
    runner.send(&json!([bad, worse, event("c", 3)])).await;
    runner.acked("c", 3).await;
    let spans = broker.spans.wait_for(3).await;
    assert_eq!(spans[0].parent_id, None);
    for (span, committed) in spans.iter().zip(api.committed("c")) {
        assert_eq!(span.trace_id, spans[0].trace_id);
        assert_eq!(span_of(&committed), span.span_id.to_string());
    }
    assert_eq!(spans[2].parent_id, Some(spans[0].span_id));
    assert!(
        broker
            .metrics
            .render()
            .contains("hopline_broker_malformed_carriers_total 2")
    );
}

#[tokio::test]
async fn two_hundred_baggage_entries_are_cut_with_sentrys_kept() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let trace = trace(1.0);
    let mut many: String = (0..200).map(|n| format!("k{n}=v,")).collect();
    many.push_str(trace.baggage.as_str().unwrap());
    let mut event = event("c", 1);
    event["_sentry"] = json!({"trace": trace.sentry_trace().to_string(), "baggage": many});
    runner.send(&event).await;
    runner.acked("c", 1).await;
    let committed = api.committed("c").remove(0);
    let baggage = committed["_sentry"]["baggage"].as_str().unwrap();
    assert_eq!(baggage.split(',').count(), 64);
    assert!(baggage.starts_with(trace.baggage.as_str().unwrap()));
    assert_eq!(
        span_of(&committed),
        broker.spans.wait_for(1).await[0].span_id.to_string()
    );
}

#[tokio::test]
async fn a_baggage_that_no_header_can_hold_blocks_nothing() {
    let api = Api::start().await;
    // The original's server gets single events, with their traces in headers too.
    api.ledger.lock().plain = true;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let mut event = event("c", 1);
    let trace = trace(1.0).sentry_trace().to_string();
    event["_sentry"] = json!({"trace": trace, "baggage": "a=1\nb=2"});
    runner.send(&event).await;
    runner.acked("c", 1).await;
    assert_eq!(api.committed("c")[0]["_sentry"]["baggage"], "a=1\nb=2");
}

#[tokio::test]
async fn an_event_that_is_stuck_shows_as_an_unfinished_span() {
    let api = Api::start().await;
    let broker = start(options(&api)).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    api.close_gate();
    let trace = trace(1.0);
    for seq in 1..=2 {
        let mut event = event("c", seq);
        event["_sentry"] = carrier(&trace);
        // One under way, one waiting behind it.
        runner.send(&event).await;
        until(|| api.requests().len() == 1).await;
    }
    until(|| broker.spans.all().len() == 2).await;
    assert!(broker.spans.all().iter().all(|span| span.pending));
    api.open_gate();
    runner.acked("c", 2).await;
    let finished = broker.spans.wait_for(2).await;
    let all = broker.spans.all();
    assert_eq!(all.len(), 4, "a span was shown twice");
    for span in finished {
        assert_eq!(all.iter().filter(|s| s.span_id == span.span_id).count(), 2);
    }
}

async fn route(
    broker: &crate::support::Started,
    trace: Option<&TraceContext>,
    command: &Value,
) -> u16 {
    let headers = trace.map(TraceContext::headers).unwrap_or_default();
    let mut all = vec![crate::support::bearer()];
    all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
    let body = json!({"runnerId": "r", "command": command}).to_string();
    crate::support::http("POST", &broker.handle, "/commands", &all, body)
        .await
        .0
}

#[tokio::test]
async fn a_routed_command_carries_the_broker_s_span_under_the_request_s() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let (by_header, by_field) = (trace(1.0), trace(1.0));
    let mut command = json!({"id": "c1", "type": "start-build", "projectId": "p", "odd": [1.5]});
    command["_sentry"] = carrier(&by_field);
    for (headers, parent) in [(Some(&by_header), &by_header), (None, &by_field)] {
        assert_eq!(route(&broker, headers, &command).await, 200);
        let got = runner.next().await;
        let spans = broker.spans.finished();
        let span = spans.last().cloned();
        let span = match span {
            Some(span) if span.trace_id == parent.trace_id => span,
            _ => {
                until(|| {
                    broker
                        .spans
                        .finished()
                        .iter()
                        .any(|span| span.trace_id == parent.trace_id)
                })
                .await;
                broker.spans.finished().pop().unwrap()
            }
        };
        assert_eq!(span.name.to_string(), "broker.routeCommand.start-build");
        assert_eq!(span.parent_id, Some(parent.span_id));
        assert_eq!(
            span.attribute("event.commandId"),
            Some(SpanValue::from("c1"))
        );
        assert_eq!(got["_sentry"], carrier(&parent.child(span.span_id)));
        assert_eq!(got["odd"], json!([1.5]));
    }
    // Without a trace a new one begins; one that is not recorded goes on as it came.
    let unsampled = trace(0.0);
    assert_eq!(route(&broker, Some(&unsampled), &command).await, 200);
    assert_eq!(runner.next().await["_sentry"], carrier(&unsampled));
    command.as_object_mut().unwrap().remove("_sentry");
    assert_eq!(route(&broker, None, &command).await, 200);
    assert!(runner.next().await["_sentry"]["trace"].is_string());
    let spans = broker.spans.wait_for(3).await;
    assert_eq!(spans[2].parent_id, None);
}

#[tokio::test]
async fn an_event_that_will_be_refused_stays_in_its_trace() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.max_event_bytes = 5_000;
    let broker = start(options).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let (sampled, unsampled) = (trace(1.0), trace(0.0));
    let wrong = |seq, trace| {
        let mut event = event("c", seq);
        event["projectId"] = json!(5);
        event["_sentry"] = carrier(trace);
        event
    };
    let large = |seq, trace| {
        let mut event = event("c", seq);
        event["data"] = "x".repeat(5_000).into();
        event["_sentry"] = carrier(trace);
        event
    };
    let all = [
        wrong(1, &sampled),
        wrong(2, &unsampled),
        large(3, &sampled),
        large(4, &unsampled),
    ];
    runner.send(&json!(all)).await;
    runner.acked("c", 4).await;
    let committed = api.committed("c");
    let spans = broker.spans.wait_for(2).await;
    for (span, event) in spans.iter().zip([&committed[0], &committed[2]]) {
        assert_eq!(
            (span.trace_id, span.parent_id),
            (sampled.trace_id, Some(sampled.span_id))
        );
        assert_eq!(event["_sentry"], carrier(&sampled.child(span.span_id)));
    }
    for event in [&committed[1], &committed[3]] {
        assert_eq!(event["_sentry"], carrier(&unsampled));
    }
    assert_eq!(committed[3]["type"], "events-lost");
    assert_eq!(broker.spans.finished().len(), 2);
}

#[tokio::test]
async fn a_padded_trace_is_passed_on_without_its_padding() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let undecided = "771a43a4192642f0b136d5159a501700-b7ad6b7169203331";
    // As long as a decided one without padding.
    for (seq, trace) in (1..).zip([
        format!(" {undecided} "),
        format!("  {undecided}"),
        format!(" {undecided}-"),
    ]) {
        let mut event = event("c", seq);
        event["_sentry"] =
            json!({"trace": trace, "baggage": "sentry-sample_rate=1,sentry-sample_rand=0.1"});
        runner.send(&event).await;
    }
    runner.acked("c", 3).await;
    let spans = broker.spans.wait_for(3).await;
    for (span, event) in spans.iter().zip(api.committed("c")) {
        let trace = format!("771a43a4192642f0b136d5159a501700-{}-1", span.span_id);
        assert_eq!(event["_sentry"]["trace"], trace);
    }
}
