use super::*;
use crate::carrier::CarrierRef;

#[test]
fn every_named_type_is_found_by_its_name() {
    for kind in EventType::ALL {
        assert_eq!(EventType::named(kind.as_str()), Some(kind));
    }
    assert_eq!(EventType::named("of-tomorrow"), None);
}

#[test]
fn an_unknown_type_and_unknown_fields_survive_a_round_trip() {
    let json = r#"{"type":"of-tomorrow","commandId":"c","seq":3,"_sentry":{"trace":"t"},"new":{"deep":[1,2.5,null]}}"#;
    let event: Event = serde_json::from_str(json).unwrap();
    let again: Value = serde_json::to_value(&event).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(json).unwrap());
}

#[test]
fn a_written_event_reads_as_it_was_meant() {
    let mut bytes = Vec::new();
    Envelope {
        kind: "build-stream",
        command_id: Some("c\"1"),
        project_id: Some("p"),
        timestamp: "2026-01-31T09:34:56.789Z",
        seq: Some(12),
        carrier: Some(("trace", Some("baggage"))),
    }
    .write(r#""data":"data: [DONE]\n\n""#, &mut bytes);
    let json = String::from_utf8(bytes).unwrap();
    let head = EventHead::read(&json).unwrap();
    assert_eq!(
        (head.kind.as_ref(), head.command_id.as_deref(), head.seq),
        ("build-stream", Some("c\"1"), Some(12))
    );
    assert_eq!(
        text::string(head.data.unwrap()).unwrap(),
        "data: [DONE]\n\n"
    );
    let carrier = CarrierRef::read(head.carrier.unwrap()).unwrap();
    assert_eq!(
        (carrier.trace.as_ref(), carrier.baggage.as_deref()),
        ("trace", Some("baggage"))
    );
}

#[test]
fn a_bad_head_is_refused_with_what_could_be_read() {
    let bad = |json: &str| EventHead::read(json).unwrap_err();
    assert!(
        bad("[1]")
            .problem
            .starts_with("expected an event as a JSON object")
    );
    assert_eq!(bad("{}").problem, "expected type to be a text");
    let refused = bad(r#"{"type":"ack","commandId":"c","seq":4,"projectId":5}"#);
    assert_eq!(refused.problem, "expected projectId to be a text");
    assert_eq!(
        (refused.command_id.as_deref(), refused.seq),
        (Some("c"), Some(4))
    );
    for seq in ["0", "-1", "1.5", "\"1\"", "18446744073709551615"] {
        let refused = bad(&format!(r#"{{"type":"ack","seq":{seq}}}"#));
        assert_eq!(refused.problem, "expected seq to be a whole number from 1");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused_under_the_events_number() {
    let json = r#"{"type":"ack","type":"x","commandId":"c","projectId":"p","seq":4,"linkSeq":9}"#;
    let refused = EventHead::read(json).unwrap_err();
    assert!(refused.problem.contains("duplicate field"), "{refused}");
    assert_eq!(refused.kind.as_deref(), Some("x"));
    assert_eq!(
        (refused.command_id.as_deref(), refused.project_id.as_deref()),
        (Some("c"), Some("p"))
    );
    assert_eq!((refused.seq, refused.link_seq), (Some(4), Some(9)));
}

#[test]
fn a_refused_event_still_tells_its_trace_and_who_sent_it() {
    for json in [
        r#"{"type":"ack","projectId":5,"_sentry":{"trace":"t"},"runnerId":"r"}"#,
        r#"{"type":"ack","type":"x","_sentry":{"trace":"t"},"runnerId":"q","runnerId":"r"}"#,
    ] {
        let refused = EventHead::read(json).unwrap_err();
        assert_eq!(&json[refused.carrier.unwrap()], r#"{"trace":"t"}"#);
        assert_eq!(refused.runner_id.as_deref(), Some("r"));
    }
    let without = EventHead::read(r#"{"type":5,"_sentry":null}"#).unwrap_err();
    assert_eq!(without.carrier, None);
}

#[test]
fn a_malformed_carrier_does_not_spoil_the_event() {
    let owned: Event = serde_json::from_str(r#"{"type":"ack","_sentry":5,"x":1}"#).unwrap();
    assert_eq!((owned.carrier, &owned.fields["x"]), (None, &1.into()));
    let head = EventHead::read(r#"{"type":"ack","_sentry":5}"#).unwrap();
    assert!(CarrierRef::read(head.carrier.unwrap()).is_err());
    assert!(
        EventHead::read(r#"{"type":"ack","_sentry":null}"#)
            .unwrap()
            .carrier
            .is_none()
    );
}

#[test]
fn a_field_that_may_be_left_out_may_be_null() {
    fn read<T: serde::de::DeserializeOwned + Default + PartialEq>(json: &str) -> bool {
        serde_json::from_str::<T>(json).unwrap() == T::default()
    }
    assert!(read::<BuildCompleted>(
        r#"{"payload":null,"exitCode":null}"#
    ));
    assert!(read::<CompletedPayload>(r#"{"todos":null,"summary":null}"#));
    assert!(read::<Failed>(
        r#"{"error":null,"stack":null,"code":null,"signal":null}"#
    ));
    let todo: CompletedTodo = serde_json::from_str(r#"{"id":1,"title":null}"#).unwrap();
    assert_eq!((todo.title.as_str(), todo.status.as_str()), ("", ""));
}
