//! JSON strings and values as rows can hold them.
//!
//! JSON may carry what no row can: the character U+0000 and halves of surrogate pairs. Both become
//! U+FFFD here, so that one odd character in a program's output cannot fail its event.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// The text of a JSON string, with U+0000 and lone surrogates replaced by U+FFFD; none if the value is
/// no string. Borrowed whenever the string has no escapes.
#[must_use]
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Some(Cow::Borrowed(inner));
    };
    Some(Cow::Owned(unescape(inner, first)))
}

/// Decodes the escapes of a JSON string whose first backslash stands at `first`. The input is valid
/// JSON, since a [`RawValue`] cannot be anything else.
fn unescape(inner: &str, first: usize) -> String {
    let mut text = String::with_capacity(inner.len());
    text.push_str(&inner[..first]);
    let mut rest = &inner[first..];
    while let Some(escape) = rest.strip_prefix('\\') {
        rest = match escape.as_bytes().first() {
            Some(b'u') => unescape_unicode(&escape[1..], &mut text),
            Some(byte) => {
                text.push(match byte {
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    other => char::from(*other),
                });
                &escape[1..]
            }
            None => "",
        };
        let plain = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        text.push_str(&rest[..plain]);
        rest = &rest[plain..];
    }
    text
}

/// Decodes `XXXX` or `XXXX\uXXXX` at the head of `digits`, and answers what follows.
fn unescape_unicode<'a>(digits: &'a str, text: &mut String) -> &'a str {
    let unit = |digits: &str| {
        digits
            .get(..4)
            .and_then(|four| u16::from_str_radix(four, 16).ok())
    };
    let Some(high) = unit(digits) else { return "" };
    let rest = &digits[4..];
    if (0xd800..0xdc00).contains(&high) {
        let low = rest
            .strip_prefix("\\u")
            .and_then(unit)
            .filter(|low| (0xdc00..0xe000).contains(low));
        if let Some(low) = low {
            let point = 0x10000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
            text.push(char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER));
            return &rest[6..];
        }
    }
    // A lone surrogate is no character, and U+0000 is none that PostgreSQL can store.
    let character = char::from_u32(u32::from(high)).filter(|c| *c != '\0');
    text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

/// A JSON value's text with every escape for U+0000 and every lone surrogate in it replaced by
/// `\ufffd`; borrowed if there is none, as nearly always.
#[must_use]
pub fn storable_json(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut clean: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\\', &bytes[at..]) {
        let escape = at + offset;
        let (length, bad) = judge_escape(&json[escape..]);
        if bad {
            let out = clean.get_or_insert_with(|| String::with_capacity(json.len()));
            out.push_str(&json[copied..escape]);
            out.push_str("\\ufffd");
            copied = escape + length;
        }
        at = escape + length;
    }
    match clean {
        None => Cow::Borrowed(json),
        Some(mut out) => {
            out.push_str(&json[copied..]);
            Cow::Owned(out)
        }
    }
}

/// The length of the escape that `text` begins with (a whole surrogate pair counts as one), and
/// whether it stands for nothing storable.
fn judge_escape(text: &str) -> (usize, bool) {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(escape, 16).ok()
    };
    match unit(0) {
        None => (2.min(text.len()), false),
        Some(0) => (6, true),
        Some(0xd800..0xdc00) => match unit(6) {
            Some(0xdc00..0xe000) => (12, false),
            _ => (6, true),
        },
        Some(0xdc00..0xe000) => (6, true),
        Some(_) => (6, false),
    }
}

/// A text with U+0000 replaced by U+FFFD; borrowed if there is none.
#[must_use]
pub fn storable(text: &str) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\0', "\u{fffd}"))
}

/// The longest prefix of `text` that is at most `limit` bytes and ends between characters.
#[must_use]
pub fn prefix(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        string(raw).map(Cow::into_owned)
    }

    #[test]
    fn escapes_decode_as_json_says() {
        let json = r#""a\n\t\"\\\/\b\f\r\u00e9\ud83d\ude00z""#;
        assert_eq!(
            decode(json).unwrap(),
            serde_json::from_str::<String>(json).unwrap()
        );
        assert_eq!(decode(r#""plain é""#).unwrap(), "plain é");
        assert_eq!(decode("5"), None);
        assert_eq!(decode("[\"a\"]"), None);
    }

    #[test]
    fn what_no_row_can_hold_becomes_the_replacement_character() {
        assert_eq!(decode(r#""a\u0000b""#).unwrap(), "a\u{fffd}b");
        assert_eq!(decode(r#""\ud83dx""#).unwrap(), "\u{fffd}x");
        assert_eq!(decode(r#""\ud83d\ud83d\ude00""#).unwrap(), "\u{fffd}😀");
        assert_eq!(decode(r#""\ude00""#).unwrap(), "\u{fffd}");
        assert_eq!(decode(r#""\ud83d\n""#).unwrap(), "\u{fffd}\n");
    }

    #[test]
    fn a_json_value_keeps_all_but_what_no_row_can_hold() {
        let json = r#"{"a":"\u0000","b":"\ud83d\ude00","c":"\ud83d","d":"\\u0000"}"#;
        assert_eq!(
            storable_json(json),
            r#"{"a":"\ufffd","b":"\ud83d\ude00","c":"\ufffd","d":"\\u0000"}"#
        );
        assert!(matches!(storable_json(r#"{"a":"\n"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn a_prefix_never_cuts_a_character() {
        assert_eq!(prefix("aé", 2), "a");
        assert_eq!(prefix("aé", 3), "aé");
        assert_eq!(prefix("aé", 9), "aé");
    }
}
