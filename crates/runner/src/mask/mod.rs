//! Secrets of a build, kept out of everything that is said of it.
//!
//! A build's secrets are values of its programs' variables: those that its command names, and those whose names say that
//! they are ([`is_secret`]). Wherever such a value stands in a text, [`MARK`] stands in its place before the text goes
//! to the outbox or onto a span; a value of several lines is found line by line too. What a program has made of a value
//! (encoded, hashed, cut) is not found.
//!
//! * [`Mask::text`] is for a text that is whole, [`Mask::json`] for the texts in JSON, keys among them, however they are
//!   escaped.
//! * [`StreamMask`] is for a text that comes in pieces: what could be the beginning of a value waits for the next piece.
//!   How a text is cut makes no difference to what comes out.

mod json;
mod stream;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use serde_json::{Map, Value};

use crate::events::Failure;

pub(crate) use stream::StreamMask;

/// What stands in a secret's place.
pub(crate) const MARK: &str = "***";

/// How the names of variables end that hold secrets.
const SECRET_SUFFIXES: [&str; 4] = ["_TOKEN", "_SECRET", "_PASSWORD", "_KEY"];

/// The fewest bytes of a secret that only its name tells, and of a line of a secret: shorter ones are words.
const MIN_GUESSED: usize = 8;

/// The fewest bytes of a secret that the build names. Shorter ones would mask half of what is said.
const MIN_NAMED: usize = 4;

/// Whether a variable of this name holds a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRET_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// The secrets of one build. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Mask {
    inner: Arc<Inner>,
}

struct Inner {
    values: Vec<String>,
    longest: usize,
    finder: AhoCorasick,
}

/// A mask that becomes known once a build's command has been read; until then nothing is masked.
pub(crate) type LateMask = Arc<OnceLock<Mask>>;

/// The names in a payload's `secrets`.
///
/// # Errors
/// If it is no list of texts.
pub(crate) fn named(payload: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let Some(given) = payload.get("secrets").filter(|given| !given.is_null()) else {
        return Ok(Vec::new());
    };
    let names = given.as_array().and_then(|names| {
        let names = names.iter().map(|name| name.as_str().map(str::to_owned));
        names.collect::<Option<Vec<_>>>()
    });
    names.ok_or_else(|| {
        let error = "expected secrets to be a list of names of variables";
        Failure::new("bad_command", error)
    })
}

impl Mask {
    /// A mask for what is secret among these variables, by name and value; none if nothing is.
    ///
    /// # Errors
    /// If the value of a variable that the build names is too short to be masked.
    pub(crate) fn of<'v>(
        variables: impl IntoIterator<Item = (&'v str, Cow<'v, str>)>,
        named: &[String],
    ) -> Result<Option<Self>, Failure> {
        let mut values = BTreeSet::new();
        for (name, value) in variables {
            let is_named = named.iter().any(|named| named == name);
            let value = value.trim();
            if is_named && (1..MIN_NAMED).contains(&value.len()) {
                let error = format!(
                    "the secret {name} cannot be masked: its value is shorter than {MIN_NAMED} bytes"
                );
                return Err(Failure::new("bad_command", error));
            }
            if (is_named && !value.is_empty()) || (is_secret(name) && value.len() >= MIN_GUESSED) {
                let lines = value.lines().map(str::trim);
                values.extend(
                    lines
                        .filter(|line| line.len() >= MIN_GUESSED)
                        .map(str::to_owned),
                );
                values.insert(value.to_owned());
            }
        }
        Ok(Self::of_values(values.into_iter().collect()))
    }

    fn of_values(values: Vec<String>) -> Option<Self> {
        let longest = values.iter().map(String::len).max()?;
        let finder = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&values);
        // Fails only beyond 2^31 bytes of values, which no environment holds.
        let finder = finder.ok()?;
        Some(Self {
            inner: Arc::new(Inner {
                values,
                longest,
                finder,
            }),
        })
    }

    /// A whole text without secrets.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let secret = self.secret_parts(text);
        if secret.is_empty() {
            return text.into();
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for part in secret {
            out.push_str(&text[at..part.start]);
            out.push_str(MARK);
            at = part.end;
        }
        out.push_str(&text[at..]);
        out.into()
    }

    /// JSON, or members of an object, without secrets in its texts and numbers.
    pub(crate) fn json<'t>(&self, json: &'t str) -> Cow<'t, str> {
        json::mask(self, json)
    }

    /// For a text that comes in pieces.
    pub(crate) fn stream(&self) -> StreamMask {
        StreamMask::new(self.clone())
    }

    /// Where secrets stand, in order; those that overlap as one.
    fn secret_parts(&self, text: &str) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        // They come by their ends.
        for found in self.inner.finder.find_overlapping_iter(text) {
            let mut part = found.range();
            while let Some(last) = parts.pop_if(|last| last.end > part.start) {
                part.start = part.start.min(last.start);
            }
            parts.push(part);
        }
        parts
    }

    /// Where the longest end of a text begins that may be the beginning of a secret; the text's length if none may.
    fn open_end(&self, text: &str) -> usize {
        let longest = self.inner.longest - 1;
        let from = text.len().saturating_sub(longest);
        let mut starts = (from..text.len()).filter(|start| text.is_char_boundary(*start));
        let may_begin = |start: &usize| {
            let end = &text[*start..];
            let mut values = self.inner.values.iter();
            values.any(|value| value.len() > end.len() && value.starts_with(end))
        };
        starts.find(may_begin).unwrap_or(text.len())
    }
}

/// What a late mask makes of a text.
pub(crate) fn text<'t>(mask: &LateMask, text: &'t str) -> Cow<'t, str> {
    mask.get().map_or(text.into(), |mask| mask.text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(values: &[&str]) -> Mask {
        Mask::of_values(values.iter().map(|value| (*value).to_owned()).collect()).unwrap()
    }

    #[test]
    fn secrets_are_those_that_are_named_or_called_so_and_long_enough() {
        let variables = [
            ("API_TOKEN", "abcdefgh"),
            ("SHORT_KEY", "abcdefg"),
            ("MY_TOKENS", "not-by-name"),
            ("PLAIN", "named-value"),
            ("EMPTY", ""),
            (
                "CERT_KEY",
                "  begin\nfirst-line-of-it\nsecond-line-of-it\nx\n",
            ),
        ];
        let variables = || variables.map(|(name, value)| (name, Cow::from(value)));
        let named = ["PLAIN", "EMPTY", "ABSENT"].map(str::to_owned);
        let mask = Mask::of(variables(), &named).unwrap().unwrap();
        assert_eq!(
            mask.inner.values,
            [
                "abcdefgh",
                "begin\nfirst-line-of-it\nsecond-line-of-it\nx",
                "first-line-of-it",
                "named-value",
                "second-line-of-it",
            ]
        );
        let none = [
            ("HOME", Cow::from("/root")),
            ("SHORT_KEY", "1234567".into()),
        ];
        assert!(Mask::of(none, &[]).unwrap().is_none());
        let short = Mask::of([("PIN", Cow::from("123"))], &["PIN".to_owned()]);
        let Err(refused) = short else {
            panic!("too short a value was taken");
        };
        assert_eq!(refused.code, "bad_command");
        assert!(refused.error.contains("PIN") && !refused.error.contains("123"));
    }

    #[test]
    fn what_overlaps_is_masked_as_one() {
        let mask = mask(&["abcd1234", "1234efgh", "xyzw", "xyzwxyzw"]);
        for (text, expected) in [
            ("nothing", "nothing"),
            ("abcd1234efgh", "***"),
            (">abcd1234<1234efgh>", ">***<***>"),
            ("xyzwxyzwxyzw", "***"),
            ("abcd123", "abcd123"),
        ] {
            assert_eq!(mask.text(text), expected);
        }
        assert!(matches!(mask.text("nothing"), Cow::Borrowed(_)));
    }

    #[test]
    fn how_a_text_is_cut_makes_no_difference() {
        let masks = [
            mask(&["abcd1234", "1234efgh", "xyzw", "xyzwxyzw"]),
            mask(&["aaaa", "aaaaaaaa", "aaab"]),
            mask(&["żółć-pass", "word", "pass-word"]),
        ];
        let texts = [
            "abcd1234efgh xyzwxyzwxyz abcd123 abcd1234",
            "aaaaaaaaaaaab aaa aaab aaaaaa",
            "żółć-pass-word żółć-pas żółć-passżółć-pass",
        ];
        for (mask, text) in masks.iter().zip(texts) {
            let whole = mask.text(text);
            let cuts: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
            for first in &cuts {
                for second in cuts.iter().filter(|second| *second >= first) {
                    let mut stream = mask.stream();
                    let mut out = String::new();
                    for piece in [&text[..*first], &text[*first..*second], &text[*second..]] {
                        out.push_str(&stream.push(piece));
                        assert!(whole.starts_with(&out), "{out:?} of {whole:?}");
                    }
                    out.push_str(&stream.end());
                    assert_eq!(out, whole, "{text:?} cut at {first} and {second}");
                }
            }
            let mut stream = mask.stream();
            let mut out = String::new();
            for letter in text.chars() {
                out.push_str(&stream.push(letter.encode_utf8(&mut [0; 4])));
            }
            assert_eq!(out + &stream.end(), whole, "letter by letter");
        }
    }

    #[test]
    fn what_cannot_be_a_secret_does_not_wait() {
        let mask = mask(&["sk-secret"]);
        let mut stream = mask.stream();
        assert_eq!(stream.push("all of it"), "all of it");
        assert_eq!(stream.push("but not sk-"), "but not ");
        assert_eq!(stream.push("y"), "sk-y");
        assert_eq!(stream.end(), "");
    }

    #[test]
    fn secrets_are_found_in_json_however_they_are_written() {
        let mask = mask(&["p\"a\\s\ns", "zażółć12", "12345678"]);
        for (json, expected) in [
            (r#"{"a":"p\"a\\s\ns"}"#, r#"{"a":"***"}"#),
            (r#"{"a":"p\u0022a\u005cs\u000as!"}"#, r#"{"a":"***!"}"#),
            (r#"{"za\u017c\u00f3\u0142\u010712":1}"#, r#"{"***":1}"#),
            (
                r#"[12345678,123456780.5,"12345678"]"#,
                r#"["***","***","***"]"#,
            ),
            (r#"{"a":"\ud83d 12345678"}"#, r#"{"a":"\ud83d ***"}"#),
            (
                r#"{ "kept" : [1.0, "\u0041\/", true] }"#,
                r#"{ "kept" : [1.0, "\u0041\/", true] }"#,
            ),
            (r#""unfinished 12345678"#, r#""unfinished ***"#),
        ] {
            assert_eq!(mask.json(json), expected);
        }
    }
}
