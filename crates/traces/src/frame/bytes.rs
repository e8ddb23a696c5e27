//! The smallest pieces of a frame: numbers and slices, written to a `Vec` and read from a slice.

use super::Corrupt;

/// Appends a number.
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a length or an index.
#[inline]
pub(super) fn put_length(out: &mut Vec<u8>, value: usize) {
    put_number(out, value as u64);
}

/// Appends a signed number.
#[inline]
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_number(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends bytes with their length before them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Corrupt> {
        let (first, rest) = self.0.split_first().ok_or(Corrupt("it ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (first, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(Corrupt("it ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// Most numbers have one byte: that case is short enough to stand wherever one is read.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<u64, Corrupt> {
        match self.0.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                if shift == 63 && byte > 1 {
                    break;
                }
                return Ok(value);
            }
        }
        Err(Corrupt("a number has more than 64 bits"))
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Result<i64, Corrupt> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// The next `length` bytes.
    #[inline]
    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], Corrupt> {
        let length = usize::try_from(length).map_err(|_| Corrupt("a length is too large"))?;
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Corrupt("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes with their length before them.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.number()?;
        self.take(length)
    }

    /// A count of things of which each takes at least `least` bytes, so that a count that cannot be true
    /// is found before anything is set aside for it.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, Corrupt> {
        let count = self.number()?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.0.len() / least)
            .ok_or(Corrupt("a count is larger than what follows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_overlong_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, u64::MAX, u64::MAX - 1, 1 << 63] {
            let mut out = Vec::new();
            put_number(&mut out, value);
            assert_eq!(Reader(&out).number(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            assert_eq!(Reader(&out).signed(), Ok(value));
        }
        assert!(Reader(&[0xff; 11]).number().is_err());
        assert!(Reader(&[0x80]).number().is_err());
    }
}
