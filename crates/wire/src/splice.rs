//! Cutting a received array into its events, and setting members of an event, without touching any
//! other byte of it.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A body or frame that is no JSON object or array of objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a JSON object or an array of objects: {0}")]
pub struct BadBatch(String);

/// The objects in `body`: one, or as many as the array has. They share the body's memory.
///
/// # Errors
/// [`BadBatch`] if it is anything else.
pub fn split(body: &Bytes) -> Result<Vec<Bytes>, BadBatch> {
    let text = std::str::from_utf8(body).map_err(|error| BadBatch(error.to_string()))?;
    let elements: Vec<&RawValue> = match text.trim_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str(text).map_err(|error| BadBatch(error.to_string()))?,
        _ => vec![serde_json::from_str(text).map_err(|error| BadBatch(error.to_string()))?],
    };
    let object = |raw: &&RawValue| {
        let inside = raw
            .get()
            .starts_with('{')
            .then(|| body.slice_ref(raw.get().as_bytes()));
        inside.ok_or_else(|| BadBatch("found something that is no object".into()))
    };
    elements.iter().map(object).collect()
}

/// The values to set in an event that passes a broker.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// The new value of `_sentry` as JSON; none leaves what is there.
    pub carrier: Option<&'a str>,
    /// The runner that the event came from.
    pub runner_id: &'a str,
    /// Whether that runner may speak for its own commands alone: `runnerBound` is set. If not, it is left as it is.
    pub bound: bool,
    /// The connection it came on.
    pub link: &'a str,
    /// Its number on that connection, from 1.
    pub link_seq: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stamped<'a> {
    #[serde(rename = "_sentry", borrow, default, deserialize_with = "there")]
    carrier: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    runner_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    runner_bound: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    link: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    link_seq: Option<&'a RawValue>,
}

/// A member that is there, be it `null`: it must be replaced, or the object would have it twice.
fn there<'de: 'a, 'a, D: Deserializer<'de>>(value: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

/// Writes `event` into `out` with the members of `stamp` set: one that is there is replaced where it
/// stands, the others come before the closing brace.
///
/// # Errors
/// [`BadBatch`] if the event is no JSON object.
pub fn stamp(event: &str, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<(), BadBatch> {
    let there: Stamped<'_> =
        serde_json::from_str(event).map_err(|error| BadBatch(error.to_string()))?;
    let runner_id = json_string(stamp.runner_id);
    let link = json_string(stamp.link);
    let link_seq = stamp.link_seq.to_string();
    let carrier_there = there.carrier.filter(|_| stamp.carrier.is_some());
    let mut members = [
        ("\"_sentry\":", stamp.carrier, carrier_there),
        ("\"runnerId\":", Some(runner_id.as_str()), there.runner_id),
        (
            "\"runnerBound\":",
            stamp.bound.then_some("true"),
            there.runner_bound.filter(|_| stamp.bound),
        ),
        ("\"link\":", Some(link.as_str()), there.link),
        ("\"linkSeq\":", Some(link_seq.as_str()), there.link_seq),
    ];
    let offset = |raw: &RawValue| raw.get().as_ptr() as usize - event.as_ptr() as usize;
    members.sort_by_key(|(_, _, there)| there.map_or(usize::MAX, offset));
    let mut copied = 0;
    let end = event.trim_end().len().saturating_sub(1);
    let mut empty = event[..end].trim_end().ends_with('{');
    for (name, value, there) in members {
        let Some(value) = value else { continue };
        if let Some(raw) = there {
            let at = offset(raw);
            out.extend_from_slice(&event.as_bytes()[copied..at]);
            copied = at + raw.get().len();
        } else {
            out.extend_from_slice(&event.as_bytes()[copied..end]);
            copied = end;
            if !std::mem::take(&mut empty) {
                out.push(b',');
            }
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(&event.as_bytes()[copied..]);
    Ok(())
}

/// Writes `message` into `out` with `_sentry` set to `carrier`, which is JSON: replaced where it stands,
/// else added before the closing brace.
///
/// # Errors
/// [`BadBatch`] if the message is no JSON object.
pub fn set_carrier(message: &str, carrier: &str, out: &mut Vec<u8>) -> Result<(), BadBatch> {
    #[derive(Deserialize)]
    struct There<'a> {
        #[serde(rename = "_sentry", borrow, default, deserialize_with = "there")]
        carrier: Option<&'a RawValue>,
    }
    let found: There<'_> =
        serde_json::from_str(message).map_err(|error| BadBatch(error.to_string()))?;
    if let Some(raw) = found.carrier {
        let at = raw.get().as_ptr() as usize - message.as_ptr() as usize;
        out.extend_from_slice(&message.as_bytes()[..at]);
        out.extend_from_slice(carrier.as_bytes());
        out.extend_from_slice(&message.as_bytes()[at + raw.get().len()..]);
        return Ok(());
    }
    let end = message.trim_end().len().saturating_sub(1);
    let empty = message[..end].trim_end().ends_with('{');
    out.extend_from_slice(&message.as_bytes()[..end]);
    out.extend_from_slice(if empty { b"" } else { b"," });
    out.extend_from_slice(b"\"_sentry\":");
    out.extend_from_slice(carrier.as_bytes());
    out.extend_from_slice(&message.as_bytes()[end..]);
    Ok(())
}

fn json_string(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len() + 2);
    crate::event::write_string(text, &mut json);
    String::from_utf8(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp<'_> = Stamp {
        carrier: Some(r#"{"trace":"new"}"#),
        runner_id: "r\"1",
        bound: false,
        link: "l",
        link_seq: 7,
    };

    fn stamped(event: &str) -> String {
        let mut out = Vec::new();
        stamp(event, &STAMP, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn other_bytes_stay_as_they_came() {
        let event =
            r#" { "type" : "x" , "odd" : 1.0e+2 , "_sentry" : {"trace":"old"} , "u":"\u0041" } "#;
        assert_eq!(
            stamped(event),
            r#" { "type" : "x" , "odd" : 1.0e+2 , "_sentry" : {"trace":"new"} , "u":"\u0041" ,"runnerId":"r\"1","link":"l","linkSeq":7} "#
        );
    }

    #[test]
    fn members_that_are_there_are_replaced_wherever_they_stand() {
        let event = r#"{"linkSeq":1,"type":"x","link":"old","runnerId":null}"#;
        assert_eq!(
            stamped(event),
            r#"{"linkSeq":7,"type":"x","link":"l","runnerId":"r\"1","_sentry":{"trace":"new"}}"#
        );
        assert_eq!(
            stamped("{}"),
            r#"{"_sentry":{"trace":"new"},"runnerId":"r\"1","link":"l","linkSeq":7}"#
        );
    }

    #[test]
    fn a_bound_runner_cannot_say_that_it_is_not() {
        let bound = Stamp {
            bound: true,
            carrier: None,
            ..STAMP
        };
        for (event, bound_to) in [
            (
                r#"{"runnerBound":false,"type":"x"}"#,
                r#"{"runnerBound":true,"type":"x","runnerId":"r\"1","link":"l","linkSeq":7}"#,
            ),
            (
                r#"{"type":"x"}"#,
                r#"{"type":"x","runnerId":"r\"1","runnerBound":true,"link":"l","linkSeq":7}"#,
            ),
        ] {
            let mut out = Vec::new();
            stamp(event, &bound, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), bound_to);
        }
        // Of one that is not bound it is no business of ours.
        assert!(stamped(r#"{"runnerBound":5}"#).starts_with(r#"{"runnerBound":5,"#));
    }

    #[test]
    fn a_carrier_that_is_not_to_change_stays() {
        let mut out = Vec::new();
        let keep = Stamp {
            carrier: None,
            ..STAMP
        };
        stamp(r#"{"_sentry":{"trace":"old"}}"#, &keep, &mut out).unwrap();
        assert!(
            String::from_utf8(out)
                .unwrap()
                .starts_with(r#"{"_sentry":{"trace":"old"},"#)
        );
    }

    #[test]
    fn a_carrier_is_set_where_it_stands_or_at_the_end() {
        for (message, expected) in [
            (
                r#"{"_sentry" : {"trace":"old"} , "n":1.0e+2}"#,
                r#"{"_sentry" : {"x":1} , "n":1.0e+2}"#,
            ),
            (r#"{"_sentry":null}"#, r#"{"_sentry":{"x":1}}"#),
            (r#"{"a":1} "#, r#"{"a":1,"_sentry":{"x":1}} "#),
            ("{}", r#"{"_sentry":{"x":1}}"#),
        ] {
            let mut out = Vec::new();
            set_carrier(message, r#"{"x":1}"#, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        assert!(set_carrier("5", "{}", &mut Vec::new()).is_err());
    }

    #[test]
    fn an_array_is_cut_into_its_objects_without_a_copy() {
        let body = Bytes::from_static(b" [ {\"a\":1} , {\"b\":[2]} ] ");
        let objects = split(&body).unwrap();
        assert_eq!(objects, [&b"{\"a\":1}"[..], &b"{\"b\":[2]}"[..]]);
        assert!(body.as_ptr_range().contains(&objects[1].as_ptr()));
        assert_eq!(split(&Bytes::from_static(b"{}")).unwrap().len(), 1);
        for bad in ["", "5", "[1]", "[{}", "nonsense", "[{}] x"] {
            assert!(
                split(&Bytes::copy_from_slice(bad.as_bytes())).is_err(),
                "{bad:?}"
            );
        }
    }
}
