//! Writing JSON into buffers that are used again.

use hopline_wire::event::write_string;
use serde::Serialize;

/// Appends `text` as the inside of a JSON string: escaped, without the quotes.
pub(crate) fn escape_into(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x20.. => continue,
            control => {
                out.extend_from_slice(&bytes[copied..at]);
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
                copied = at + 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(escape);
        copied = at + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes the members of one JSON object, with or without its braces.
pub(crate) struct Members<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Members<'o> {
    /// Begins at the end of `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, first: true }
    }

    /// A member whose value is a text.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        write_string(value, self.out);
        self
    }

    /// A member whose value is anything that serialises.
    pub(crate) fn value(&mut self, name: &str, value: &impl Serialize) -> &mut Self {
        self.name(name);
        let start = self.out.len();
        if serde_json::to_writer(&mut *self.out, value).is_err() {
            // The runner's own values all serialise; a null is better than a broken object should one not.
            self.out.truncate(start);
            self.out.extend_from_slice(b"null");
        }
        self
    }

    /// A member whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// A whole JSON object, as text.
pub(crate) fn object(write: impl FnOnce(&mut Members<'_>)) -> String {
    let mut out = vec![b'{'];
    write(&mut Members::new(&mut out));
    out.push(b'}');
    // Everything written was text.
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_escaped_reads_as_it_was(text in any::<String>()) {
            let mut out = vec![b'"'];
            escape_into(&text, &mut out);
            out.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn members_make_an_object() {
        let json = object(|members| {
            members.text("a", "x\"y").value("b", &[1, 2]).raw("c", "{}");
        });
        assert_eq!(json, r#"{"a":"x\"y","b":[1,2],"c":{}}"#);
    }
}
