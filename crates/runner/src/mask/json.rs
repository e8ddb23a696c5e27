//! Masking JSON without reading it into a tree: its texts and numbers are looked into, all else stays as it was written.

use std::borrow::Cow;

use hopline_wire::event::write_string;

use super::{MARK, Mask};

pub(super) fn mask<'t>(mask: &Mask, json: &'t str) -> Cow<'t, str> {
    let mut out = Vec::new();
    // Up to where the result stands in `out`.
    let mut done = 0;
    let mut at = 0;
    while let Some(offset) = json[at..].find(|next: char| next == '"' || next.is_ascii_digit()) {
        let start = at + offset;
        let end;
        let masked = if json.as_bytes()[start] == b'"' {
            end = end_of_text(json, start);
            text(mask, &json[start..end])
        } else {
            end = end_of_number(json, start);
            let is_secret = !mask.secret_parts(&json[start..end]).is_empty();
            is_secret.then(|| format!("\"{MARK}\"").into_bytes())
        };
        if let Some(masked) = masked {
            out.extend_from_slice(&json.as_bytes()[done..start]);
            out.extend_from_slice(&masked);
            done = end;
        }
        at = end;
    }
    if done == 0 {
        return json.into();
    }
    out.extend_from_slice(&json.as_bytes()[done..]);
    // Pieces of two texts, put together between whole characters.
    String::from_utf8_lossy(&out).into_owned().into()
}

/// A text in its quotes, if there is something to mask in it.
fn text(mask: &Mask, token: &str) -> Option<Vec<u8>> {
    if token.contains('\\')
        && let Ok(text) = serde_json::from_str::<String>(token)
    {
        let Cow::Owned(masked) = mask.text(&text) else {
            return None;
        };
        let mut out = Vec::with_capacity(masked.len() + 2);
        write_string(&masked, &mut out);
        return Some(out);
    }
    // Nothing is escaped, or it is no text that can be read (half of a surrogate pair): then as it is written.
    match mask.text(token) {
        Cow::Owned(masked) => Some(masked.into_bytes()),
        Cow::Borrowed(_) => None,
    }
}

/// Behind the quote that ends the text whose first quote is at `start`; the end of the JSON if none does.
fn end_of_text(json: &str, start: usize) -> usize {
    let bytes = json.as_bytes();
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn end_of_number(json: &str, start: usize) -> usize {
    let rest = &json.as_bytes()[start..];
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let length = rest.iter().position(|byte| !is_part(byte));
    start + length.unwrap_or(rest.len())
}
