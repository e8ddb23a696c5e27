//! What a frame writes once and refers to by number: texts, and lists of links.
//!
//! Spans share their texts: constants of the program, and `Arc`s that all hops of an event hold. So a
//! text is first looked for by its address in a small table of recent ones, which finds most without
//! reading them, and by its content only then.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::bytes::{put_bytes, put_length};

/// A list of byte strings without duplicates, in their written form. `RECENT` addresses are remembered.
pub(super) struct Dictionary<const RECENT: usize> {
    /// The strings, each with its length before it, as the frame will hold them.
    written: Vec<u8>,
    /// Where in `written` each string's bytes are.
    places: Vec<(u32, u32)>,
    by_content: HashTable<u32>,
    recent: Box<[Recent; RECENT]>,
    hasher: DefaultHashBuilder,
}

/// Where a string was, and its number.
#[derive(Clone, Copy, Default)]
struct Recent {
    address: usize,
    length: usize,
    number: u32,
}

impl<const RECENT: usize> Dictionary<RECENT> {
    pub(super) fn new() -> Self {
        Self {
            written: Vec::new(),
            places: Vec::new(),
            by_content: HashTable::new(),
            recent: Box::new([Recent::default(); RECENT]),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Forgets everything. Must stand between batches: addresses mean nothing beyond the borrow of one.
    pub(super) fn clear(&mut self) {
        self.written.clear();
        self.places.clear();
        self.by_content.clear();
        self.recent.fill(Recent::default());
    }

    /// Forgets everything and gives back the memory of what was unusually large.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.clear();
        self.written.shrink_to(bytes);
        self.places.shrink_to(bytes / size_of::<(u32, u32)>());
        if self.by_content.capacity() > bytes / size_of::<u32>() {
            self.by_content = HashTable::new();
        }
    }

    /// How many bytes [`Self::write`] will write, about.
    pub(super) const fn written_bytes(&self) -> usize {
        self.written.len()
    }

    /// Appends the count and the strings.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_length(out, self.places.len());
        out.extend_from_slice(&self.written);
    }

    /// The number, from 0, of a string that stays where it is until [`Self::clear`].
    #[inline]
    pub(super) fn number_of(&mut self, string: &[u8]) -> u32 {
        let address = string.as_ptr().addr();
        match self.recall(address, string.len()) {
            Some(number) => number,
            None => {
                let number = self.number_by_content(string);
                self.remember(address, string.len(), number);
                number
            }
        }
    }

    /// The number of what lies at an address, if it was seen there lately.
    #[inline]
    pub(super) fn recall(&self, address: usize, length: usize) -> Option<u32> {
        let recent = &self.recent[slot_of(address, length) % RECENT];
        (recent.address == address && recent.length == length).then_some(recent.number)
    }

    /// Remembers the number of what lies at an address, and stays there until [`Self::clear`].
    pub(super) fn remember(&mut self, address: usize, length: usize, number: u32) {
        self.recent[slot_of(address, length) % RECENT] = Recent {
            address,
            length,
            number,
        };
    }

    /// The number, from 0, of a string that may be gone after the call.
    pub(super) fn number_by_content(&mut self, string: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(string);
        let (written, places) = (&self.written, &self.places);
        let same = |number: &u32| place(written, places[*number as usize]) == string;
        if let Some(number) = self.by_content.find(hash, same) {
            return *number;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a frame is below 4 GiB")]
        let number = self.places.len() as u32;
        put_bytes(&mut self.written, string);
        let start = self.written.len() - string.len();
        #[expect(clippy::cast_possible_truncation, reason = "a frame is below 4 GiB")]
        self.places.push((start as u32, string.len() as u32));
        let (written, places, hasher) = (&self.written, &self.places, &self.hasher);
        let rehash = |number: &u32| hasher.hash_one(place(written, places[*number as usize]));
        self.by_content.insert_unique(hash, number, rehash);
        number
    }
}

fn place(written: &[u8], (start, length): (u32, u32)) -> &[u8] {
    &written[start as usize..start as usize + length as usize]
}

/// Spreads addresses, whose low bits are mostly equal, over a small table.
#[inline]
fn slot_of(address: usize, length: usize) -> usize {
    (address ^ length.rotate_right(8)).wrapping_mul(0x9e37_79b1) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_one_number_wherever_it_stands() {
        let mut dictionary = Dictionary::<512>::new();
        let (first, second) = (String::from("a"), String::from("a"));
        assert_eq!(dictionary.number_of(first.as_bytes()), 0);
        assert_eq!(dictionary.number_of(second.as_bytes()), 0);
        assert_eq!(dictionary.number_by_content(b"b"), 1);
        let many: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
        let numbers: Vec<u32> = many
            .iter()
            .map(|text| dictionary.number_of(text.as_bytes()))
            .collect();
        let again: Vec<u32> = many
            .iter()
            .map(|text| dictionary.number_by_content(text.as_bytes()))
            .collect();
        assert_eq!(numbers, again);
        let mut out = Vec::new();
        dictionary.write(&mut out);
        assert_eq!(&out[..6], [0x92, 0x4e, 1, b'a', 1, b'b']);
        dictionary.clear();
        assert_eq!(dictionary.number_of(second.as_bytes()), 0);
    }
}
