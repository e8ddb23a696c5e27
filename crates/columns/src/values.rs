//! Attributes as text, from which they come back as what they were.
//!
//! A value by itself is written plainly, with a letter for its type beside it. A list or a map is written as JSON; so are
//! all attributes of a link, an event or a resource, as an object. Where JSON cannot say what it is (bytes, numbers that are
//! none, a key that comes twice), a tagged form says it: an array of pairs in place of an object, `{"map": […]}`,
//! `{"bytes": "base64"}`, `{"double": "NaN"}`.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hopline_wire::span::{Attribute, Text, Value};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

/// The letter for a value's type, and the value.
pub(crate) fn write(value: &Value, text: &mut String) -> char {
    text.clear();
    match value {
        Value::Text(value) => {
            text.push_str(value);
            's'
        }
        Value::Bool(value) => {
            text.push_str(if *value { "true" } else { "false" });
            'b'
        }
        Value::Int(value) => {
            push(text, format_args!("{value}"));
            'i'
        }
        Value::Double(value) => {
            push(text, format_args!("{value}"));
            'd'
        }
        Value::Bytes(bytes) => {
            STANDARD.encode_string(bytes, text);
            'y'
        }
        Value::Empty => 'n',
        Value::List(_) | Value::Map(_) if is_plain(value) => {
            text.push_str(&serde_json::to_string(&Plain(value)).unwrap_or_default());
            'j'
        }
        Value::List(_) | Value::Map(_) => {
            push(text, format_args!("{}", tagged(value)));
            't'
        }
    }
}

fn push(text: &mut String, what: fmt::Arguments<'_>) {
    use fmt::Write as _;
    // A text takes whatever is written.
    let _ = text.write_fmt(what);
}

/// The value that was written so; as a text, if it was written in a way that is not known.
pub(crate) fn read(letter: char, text: &str) -> Value {
    let known = match letter {
        'b' => text.parse().ok().map(Value::Bool),
        'i' => text.parse().ok().map(Value::Int),
        'd' => text.parse().ok().map(Value::Double),
        'y' => STANDARD
            .decode(text)
            .ok()
            .map(|bytes| Value::Bytes(bytes.into())),
        'n' => Some(Value::Empty),
        'j' => serde_json::from_str(text)
            .ok()
            .map(|FromPlain(value)| value),
        't' => serde_json::from_str(text).ok().map(from_tagged),
        _ => None,
    };
    known.unwrap_or_else(|| Value::Text(text.to_owned().into()))
}

/// Attributes as one text; none if there are none.
pub(crate) fn write_all(attributes: &[Attribute]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    match are_plain(attributes) {
        true => serde_json::to_string(&PlainMap(attributes)).ok(),
        false => Some(pairs(attributes).to_string()),
    }
}

/// The attributes that were written so.
pub(crate) fn read_all(text: &str) -> Vec<Attribute> {
    if text.starts_with('[') {
        return serde_json::from_str(text).map_or_else(|_| Vec::new(), from_pairs);
    }
    match serde_json::from_str(text) {
        Ok(FromPlain(Value::Map(members))) => members.to_vec(),
        _ => Vec::new(),
    }
}

fn are_plain(attributes: &[Attribute]) -> bool {
    let mut keys = HashSet::with_capacity(attributes.len());
    attributes
        .iter()
        .all(|one| keys.insert(&*one.key) && is_plain(&one.value))
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Text(_) | Value::Bool(_) | Value::Int(_) | Value::Empty => true,
        Value::Double(value) => {
            let written = serde_json::Number::from_f64(*value).map(|number| number.to_string());
            let read = written.and_then(|text| serde_json::from_str::<f64>(&text).ok());
            read.is_some_and(|read| read.to_bits() == value.to_bits())
        }
        Value::Bytes(_) => false,
        Value::List(list) => list.iter().all(is_plain),
        Value::Map(map) => are_plain(map),
    }
}

/// A value as JSON has it. The members of a map stay in their order, which `serde_json`'s own maps forget.
struct Plain<'a>(&'a Value);

/// Attributes likewise.
struct PlainMap<'a>(&'a [Attribute]);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Text(text) => to.serialize_str(text),
            Value::Bool(value) => to.serialize_bool(*value),
            Value::Int(value) => to.serialize_i64(*value),
            Value::Double(value) => to.serialize_f64(*value),
            Value::Bytes(_) | Value::Empty => to.serialize_unit(),
            Value::List(list) => to.collect_seq(list.iter().map(Plain)),
            Value::Map(map) => PlainMap(map).serialize(to),
        }
    }
}

impl Serialize for PlainMap<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|one| (&*one.key, Plain(&one.value))))
    }
}

/// What was written plainly.
struct FromPlain(Value);

impl<'de> Deserialize<'de> for FromPlain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PlainVisitor).map(Self)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value in JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Double(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned().into()))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Value, S::Error> {
        let mut values = Vec::new();
        while let Some(FromPlain(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values.into()))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Value, M::Error> {
        let mut members = Vec::new();
        while let Some((key, FromPlain(value))) = map.next_entry::<String, _>()? {
            members.push(Attribute::new(key, value));
        }
        Ok(Value::Map(members.into()))
    }
}

fn tagged(value: &Value) -> Json {
    let tag = |tag: &str, json: Json| Json::Object([(tag.to_owned(), json)].into_iter().collect());
    match value {
        Value::Double(value) => tag("double", Json::String(value.to_string())),
        Value::Bytes(bytes) => tag("bytes", Json::String(STANDARD.encode(bytes))),
        Value::List(list) => list.iter().map(tagged).collect(),
        Value::Map(map) => tag("map", pairs(map)),
        Value::Text(text) => Json::String(text.to_string()),
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Empty => Json::Null,
    }
}

fn pairs(attributes: &[Attribute]) -> Json {
    let pairs = attributes
        .iter()
        .map(|one| Json::Array(vec![Json::String(one.key.to_string()), tagged(&one.value)]));
    pairs.collect()
}

fn from_tagged(json: Json) -> Value {
    match json {
        Json::Array(list) => Value::List(list.into_iter().map(from_tagged).collect()),
        Json::Object(map) => {
            let mut members = map.into_iter();
            match members.next() {
                Some((tag, Json::Array(list))) if tag == "map" => {
                    Value::Map(from_pairs(list).into())
                }
                Some((tag, Json::String(text))) if tag == "double" => read('d', &text),
                Some((tag, Json::String(text))) if tag == "bytes" => read('y', &text),
                _ => Value::Empty,
            }
        }
        Json::Null => Value::Empty,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => number.as_i64().map_or(Value::Empty, Value::Int),
        Json::String(text) => Value::Text(text.into()),
    }
}

fn from_pairs(pairs: Vec<Json>) -> Vec<Attribute> {
    let pairs = pairs.into_iter().filter_map(|pair| match pair {
        Json::Array(pair) => match <[Json; 2]>::try_from(pair) {
            Ok([Json::String(key), value]) => Some(Attribute::new(key, from_tagged(value))),
            _ => None,
        },
        _ => None,
    });
    pairs.collect()
}

/// A text that is shared by all that have the same.
#[derive(Default)]
pub(crate) struct Interned(HashSet<Arc<str>>);

impl Interned {
    pub(crate) fn text(&mut self, text: &str) -> Text {
        if let Some(known) = self.0.get(text) {
            return Text::Shared(Arc::clone(known));
        }
        let shared: Arc<str> = text.into();
        self.0.insert(Arc::clone(&shared));
        Text::Shared(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back(value: &Value) -> Value {
        let mut text = String::new();
        let letter = write(value, &mut text);
        read(letter, &text)
    }

    fn list(values: &[Value]) -> Value {
        Value::List(values.into())
    }

    fn map(members: &[(&'static str, Value)]) -> Value {
        let members = members.iter();
        Value::Map(
            members
                .map(|(key, value)| Attribute::new(*key, value.clone()))
                .collect(),
        )
    }

    #[test]
    fn every_value_comes_back_as_what_it_was() {
        for value in [
            Value::from(""),
            Value::from("5"),
            Value::Int(i64::MIN),
            Value::Bool(false),
            Value::Double(5.0),
            Value::Double(-0.0),
            Value::Double(f64::MIN_POSITIVE / 3.0),
            Value::Double(f64::INFINITY),
            Value::Bytes([0, 255].into()),
            Value::Empty,
            list(&[]),
            list(&[
                Value::Int(1),
                Value::Double(1.0),
                Value::from("1"),
                Value::Empty,
            ]),
            list(&[Value::Double(f64::NEG_INFINITY), Value::Bytes([1].into())]),
            map(&[]),
            map(&[
                ("a", Value::Int(1)),
                ("b", map(&[("c", list(&[Value::Bool(true)]))])),
            ]),
            map(&[("b", Value::Int(1)), ("a", Value::Int(2))]),
            map(&[("a", Value::Int(1)), ("a", Value::Int(2))]),
            map(&[("bytes", Value::from("x")), ("z", Value::Bytes([1].into()))]),
            map(&[("map", list(&[Value::Double(f64::INFINITY)]))]),
        ] {
            assert_eq!(comes_back(&value), value);
            let all = [Attribute::new("k", value.clone()), Attribute::new("a", 1)];
            assert_eq!(read_all(&write_all(&all).unwrap()), all);
        }
        let Value::Double(nan) = comes_back(&Value::Double(f64::NAN)) else {
            panic!()
        };
        assert!(nan.is_nan());
        assert_eq!(write_all(&[]), None);
    }

    #[test]
    fn what_json_can_say_is_plain_json() {
        let mut text = String::new();
        write(&list(&[Value::from("a"), Value::Int(1)]), &mut text);
        assert_eq!(text, "[\"a\",1]");
        let all = [Attribute::new("a", 1), Attribute::new("b", "c")];
        assert_eq!(write_all(&all).unwrap(), "{\"a\":1,\"b\":\"c\"}");
    }
}
