//! Trace and span identifiers, as OpenTelemetry and Sentry share them: 16 and 8 bytes, never all zero,
//! written as lower-case hexadecimal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} lower-case hexadecimal digits, not all zero")]
pub struct BadId {
    digits: usize,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The identifier with these bytes; none if all are zero, which both specifications forbid.
            #[must_use]
            pub fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// The identifier's bytes, most significant first.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }

            /// Writes the hexadecimal form into `out`, without allocating.
            pub fn write_hex(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.hex());
            }

            fn hex(self) -> [u8; $bytes * 2] {
                let mut digits = [0; $bytes * 2];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
                    pair[0] = HEX[usize::from(byte >> 4)];
                    pair[1] = HEX[usize::from(byte & 15)];
                }
                digits
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = BadId { digits: $bytes * 2 };
                let digits = text.as_bytes();
                if digits.len() != $bytes * 2 {
                    return Err(bad);
                }
                let mut bytes = [0; $bytes];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    match (nibble(pair[0]), nibble(pair[1])) {
                        (Some(high), Some(low)) => *byte = high << 4 | low,
                        _ => return Err(bad),
                    }
                }
                Self::from_bytes(bytes).ok_or(bad)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // Digits are always a text. Documents hold a hundred thousand of them, too many to be formatted.
                serializer.serialize_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(
    /// The identity of one trace: 16 bytes, not all zero.
    TraceId,
    16
);
identifier!(
    /// The identity of one span within its trace: 8 bytes, not all zero.
    SpanId,
    8
);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The value of one hexadecimal digit. Upper case is refused: both specifications write lower case.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_survives_its_text_form() {
        let text = "0123456789abcdef0123456789abcdef";
        let id: TraceId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        let mut hex = Vec::new();
        id.write_hex(&mut hex);
        assert_eq!(hex, text.as_bytes());
    }

    #[test]
    fn zeros_capitals_and_odd_lengths_are_refused() {
        for text in [
            "0000000000000000",
            "0123456789ABCDEF",
            "0123",
            "0123456789abcdeg",
            "",
        ] {
            assert!(text.parse::<SpanId>().is_err(), "{text:?} was taken");
        }
    }
}
