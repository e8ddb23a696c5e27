//! UTF-8 that arrives in arbitrary pieces.

/// The longest UTF-8 sequence less one byte: the most that can be waiting for the rest of its
/// character.
const LONGEST_TAIL: usize = 3;

/// Decodes a stream of bytes piece by piece. Cutting the stream elsewhere never changes the text.
///
/// Each maximal sequence that cannot be part of a character becomes one U+FFFD, as in
/// `String::from_utf8_lossy` and as the Unicode Standard recommends (chapter 3.9, "U+FFFD
/// Substitution of Maximal Subparts").
#[derive(Debug, Default)]
pub struct Utf8Decoder {
    /// The start of a character whose end has not come.
    tail: [u8; LONGEST_TAIL],
    tail_len: usize,
}

impl Utf8Decoder {
    /// Appends the text of `bytes` to `text`, and keeps an unfinished character back.
    pub fn decode(&mut self, mut bytes: &[u8], text: &mut String) {
        while self.tail_len > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return;
            };
            let mut sequence = [0; LONGEST_TAIL + 1];
            sequence[..self.tail_len].copy_from_slice(&self.tail[..self.tail_len]);
            sequence[self.tail_len] = byte;
            let sequence = &sequence[..=self.tail_len];
            match std::str::from_utf8(sequence) {
                Ok(character) => {
                    text.push_str(character);
                    self.tail_len = 0;
                    bytes = rest;
                }
                Err(error) if error.error_len().is_none() => {
                    self.tail[self.tail_len] = byte;
                    self.tail_len += 1;
                    bytes = rest;
                }
                // The new byte does not continue the tail; it is looked at again by itself.
                Err(_) => self.finish(text),
            }
        }
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let unfinished =
                std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if unfinished && ends_with_slice(bytes, invalid) {
                self.tail[..invalid.len()].copy_from_slice(invalid);
                self.tail_len = invalid.len();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// Ends the stream: a character that never became whole shows as U+FFFD.
    pub fn finish(&mut self, text: &mut String) {
        if std::mem::take(&mut self.tail_len) > 0 {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }

    /// Whether the start of a character is being kept back.
    pub fn is_mid_character(&self) -> bool {
        self.tail_len > 0
    }
}

/// Whether `end` is the very end of `all` (the same bytes in memory, not equal ones).
fn ends_with_slice(all: &[u8], end: &[u8]) -> bool {
    std::ptr::eq(all.as_ptr_range().end, end.as_ptr_range().end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> String {
        let mut decoder = Utf8Decoder::default();
        let mut text = String::new();
        for piece in pieces {
            decoder.decode(piece, &mut text);
        }
        decoder.finish(&mut text);
        text
    }

    #[test]
    fn a_character_split_between_reads_stays_whole() {
        assert_eq!(decode(&[b"a\xe2", b"\x82", b"\xacb"]), "a€b");
        assert_eq!(decode(&[b"\xf0\x9f", b"", b"\x98\x80"]), "😀");
    }

    #[test]
    fn invalid_bytes_are_shown_and_the_rest_goes_on() {
        assert_eq!(decode(&[b"a\xffb"]), "a\u{fffd}b");
        assert_eq!(decode(&[b"a\xe2", b"b"]), "a\u{fffd}b");
        assert_eq!(decode(&[b"\xe2\x82"]), "\u{fffd}", "cut short at the end");
        assert_eq!(
            decode(&[b"\xe2", b"\xe2\x82\xac"]),
            "\u{fffd}€",
            "a start after a start"
        );
        assert_eq!(
            decode(&[b"\xe2\x82", b"\xff", b"\r\n"]),
            "\u{fffd}\u{fffd}\r\n"
        );
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_text_is_that_of_the_whole(
            pieces in prop::collection::vec(
                prop::collection::vec(prop_oneof![any::<u8>(), Just(0xe2), Just(0x82), Just(0xac), Just(0xf0), Just(0x9f)], 0..6),
                0..8,
            ),
        ) {
            let whole: Vec<u8> = pieces.concat();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(decode(&pieces), String::from_utf8_lossy(&whole));
        }
    }
}
