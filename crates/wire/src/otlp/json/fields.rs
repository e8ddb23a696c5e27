//! What all messages in JSON are read with: lists that are counted while they grow, and texts as senders write them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::super::Item;

/// Is told of each item of a list before it is read, and says whether it is taken.
pub(super) type Tally<'t> = &'t dyn Fn(Item) -> bool;

/// What can be read from JSON, `null` being its default, as protobuf's JSON mapping says of every field.
pub(super) trait Read: Sized {
    /// As what it counts in a list.
    const ITEM: Item = Item::Part;

    fn read<'de, D: Deserializer<'de>>(from: D, tally: Tally<'_>) -> Result<Self, D::Error>;
}

/// Reads a value whose lists are counted.
pub(super) struct Within<'t, T>(Tally<'t>, PhantomData<T>);

impl<'t, T> Within<'t, T> {
    pub(super) const fn new(tally: Tally<'t>) -> Self {
        Self(tally, PhantomData)
    }
}

impl<'de, T: Read> DeserializeSeed<'de> for Within<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        T::read(from, self.0)
    }
}

impl<T: Read> Read for Option<T> {
    fn read<'de, D: Deserializer<'de>>(from: D, tally: Tally<'_>) -> Result<Self, D::Error> {
        struct OptionVisitor<'t, T>(Within<'t, T>);

        impl<'de, T: Read> Visitor<'de> for OptionVisitor<'_, T> {
            type Value = Option<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }

            fn visit_none<E: de::Error>(self) -> Result<Option<T>, E> {
                Ok(None)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Option<T>, E> {
                Ok(None)
            }

            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Option<T>, D::Error> {
                self.0.deserialize(from).map(Some)
            }
        }

        from.deserialize_option(OptionVisitor(Within::new(tally)))
    }
}

/// An item of a list: counted before anything is set aside for it.
struct Counted<'t, T>(Within<'t, T>);

impl<'de, T: Read> DeserializeSeed<'de> for Counted<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        if !(self.0.0)(T::ITEM) {
            return Err(de::Error::custom("it holds more than is taken"));
        }
        self.0.deserialize(from)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(from: D, tally: Tally<'_>) -> Result<Self, D::Error> {
        struct ListVisitor<'t, T>(Tally<'t>, PhantomData<T>);

        impl<'de, T: Read> Visitor<'de> for ListVisitor<'_, T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
                Ok(Vec::new())
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Vec<T>, S::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element_seed(Counted(Within::new(self.0)))? {
                    all.push(item);
                }
                Ok(all)
            }
        }

        from.deserialize_any(ListVisitor(tally, PhantomData))
    }
}

impl Read for String {
    fn read<'de, D: Deserializer<'de>>(from: D, tally: Tally<'_>) -> Result<Self, D::Error> {
        let text = Option::<AnyText>::read(from, tally)?;
        Ok(text.map(|text| text.0).unwrap_or_default())
    }
}

/// A text in which halves of surrogate pairs, as JavaScript leaves them where it cuts a text short, are U+FFFD.
struct AnyText(String);

impl Read for AnyText {
    fn read<'de, D: Deserializer<'de>>(from: D, _: Tally<'_>) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<String, E> {
                text(bytes.to_vec()).map_err(E::custom)
            }
        }

        // As bytes: only so does the JSON library let such halves pass.
        from.deserialize_bytes(TextVisitor).map(AnyText)
    }
}

/// Makes a text of UTF-8 in which halves of surrogate pairs may be written as if they were characters.
fn text(bytes: Vec<u8>) -> Result<String, &'static str> {
    /// U+FFFD, which has as many bytes.
    const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];
    let mut bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    for at in 0..bytes.len() {
        // In UTF-8 these bytes follow each other nowhere else.
        if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] = bytes[at..] {
            bytes[at..at + 3].copy_from_slice(&REPLACEMENT);
        }
    }
    String::from_utf8(bytes).map_err(|_| "a text is not UTF-8")
}

/// Reads the name of a member.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    /// What is no text is the name of nothing that is known.
    fn visit_borrowed_bytes<E: de::Error>(self, name: &'de [u8]) -> Result<Cow<'de, str>, E> {
        Ok(str::from_utf8(name).unwrap_or_default().into())
    }

    fn visit_bytes<E: de::Error>(self, name: &[u8]) -> Result<Cow<'de, str>, E> {
        Ok(str::from_utf8(name).unwrap_or_default().to_owned().into())
    }
}
