//! Envelopes: a line of JSON with what concerns all, then items, each a line of JSON and a payload.
//!
//! An item's payload is as long as its header says, and ends at a line's end or the envelope's; without a length it
//! is one line. A header's line may end with CR LF, and empty lines may stand between items.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// An envelope whose own header has been read.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// What concerns all of it.
    pub header: Header,
    rest: &'a [u8],
}

/// What an envelope says of all its items. What else it says is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The event's, if the envelope is about one.
    pub event_id: Option<String>,
    /// Where the SDK was told to send to, its public key included.
    pub dsn: Option<String>,
    /// The SDK.
    pub sdk: Option<Sdk>,
    /// The trace's dynamic sampling context. Members that are no text are passed over.
    #[serde(deserialize_with = "texts")]
    pub trace: BTreeMap<String, String>,
}

/// An SDK.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Sdk {
    /// Such as `sentry.python`.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

impl Header {
    /// The public key in the DSN: what stands before `:` or `@` in its authority.
    #[must_use]
    pub fn dsn_key(&self) -> Option<&str> {
        let (_, rest) = self.dsn.as_deref()?.split_once("://")?;
        let (user, _) = rest.split('/').next()?.rsplit_once('@')?;
        let key = user.split(':').next()?;
        (!key.is_empty()).then_some(key)
    }
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// What its header says.
    pub header: ItemHeader,
    /// Its payload, untouched.
    pub payload: &'a [u8],
}

/// What an item says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ItemHeader {
    /// What it is: `transaction`, `span`, `event`, `log`, `client_report`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// How many bytes of payload it has.
    pub length: Option<u64>,
    /// How the payload is written.
    pub content_type: Option<String>,
    /// How many spans or logs it holds.
    pub item_count: Option<u64>,
}

/// Where an envelope is malformed. What came before stands.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Its first line.
    #[error("read the envelope's header: {0}")]
    Header(#[source] serde_json::Error),
    /// An item's first line.
    #[error("read the header of item {number}: {error}")]
    ItemHeader {
        /// Which, from 1.
        number: usize,
        /// Why.
        #[source]
        error: serde_json::Error,
    },
    /// An item does not say what it is.
    #[error("read the header of item {number}: it names no type")]
    NoType {
        /// Which, from 1.
        number: usize,
    },
    /// The envelope ends within an item.
    #[error("item {number} is said to have {length} bytes, and {found} are there")]
    Truncated {
        /// Which, from 1.
        number: usize,
        /// As its header says.
        length: u64,
        /// What is left of the envelope.
        found: usize,
    },
    /// An item does not end where its header says.
    #[error("item {number} goes on behind the {length} bytes that it is said to have")]
    GoesOn {
        /// Which, from 1.
        number: usize,
        /// As its header says.
        length: u64,
    },
}

impl<'a> Envelope<'a> {
    /// Reads the header of an envelope.
    ///
    /// # Errors
    /// If the first line is no JSON object.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (line, rest) = line_of(bytes);
        let header = object(line).map_err(Malformed::Header)?;
        Ok(Self { header, rest })
    }

    /// Its items. An error is the last.
    #[must_use]
    pub fn items(&self) -> Items<'a> {
        Items {
            rest: self.rest,
            number: 0,
        }
    }
}

/// The items of an envelope, one by one.
#[derive(Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self
            .rest
            .iter()
            .position(|byte| !byte.is_ascii_whitespace());
        let begun = &self.rest[from?..];
        self.number += 1;
        let read = self.read(begun);
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

impl<'a> Items<'a> {
    fn read(&mut self, begun: &'a [u8]) -> Result<Item<'a>, Malformed> {
        let number = self.number;
        let (line, rest) = line_of(begun);
        let header: ItemHeader =
            object(line).map_err(|error| Malformed::ItemHeader { number, error })?;
        if header.kind.is_empty() {
            return Err(Malformed::NoType { number });
        }
        let Some(length) = header.length else {
            let (payload, rest) = line_of(rest);
            self.rest = rest;
            return Ok(Item { header, payload });
        };
        let whole = usize::try_from(length).ok();
        let Some((payload, rest)) = whole.and_then(|length| rest.split_at_checked(length)) else {
            let found = rest.len();
            return Err(Malformed::Truncated {
                number,
                length,
                found,
            });
        };
        self.rest = match rest {
            [] => rest,
            [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => rest,
            _ => return Err(Malformed::GoesOn { number, length }),
        };
        Ok(Item { header, payload })
    }
}

/// The first line without its end, and what follows.
fn line_of(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match memchr::memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// Reads an object; a list is none, though a list of the right members would do for serde.
fn object<T: DeserializeOwned>(line: &[u8]) -> Result<T, serde_json::Error> {
    match line.trim_ascii_start().first() {
        Some(b'[') => Err(serde::de::Error::custom("expected an object")),
        _ => serde_json::from_slice(line),
    }
}

/// The members of an object that are texts; of anything else, none.
fn texts<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let raw = <&RawValue>::deserialize(from)?;
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    let texts = members.into_iter().filter_map(|(key, value)| {
        let text = serde_json::from_str(value.get()).ok()?;
        Some((key, text))
    });
    Ok(texts.collect())
}
