//! Mutations of inputs.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What parsers of JSON, of headers and of server-sent events stumble over.
const TOKENS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "null",
    "true",
    "\"\"",
    "{}",
    "[]",
    "0",
    "-0",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "0.1",
    "\\u0000",
    "\\ud83d",
    "\\ude00",
    "\\u",
    "\u{0}",
    "\u{feff}",
    "\u{2028}",
    "data:",
    "data: ",
    "\n\n",
    "\r\n",
    "[DONE]",
    ";",
    "=",
    "%",
    "%zz",
    "-",
    "00-",
    "sentry-",
    "\u{10ffff}",
];

/// The edges of numbers of 64 bits, and those of lengths.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// One of the inputs with a few changes.
pub(crate) fn mutation(inputs: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = inputs[random.random_range(0..inputs.len())].clone();
    // Mostly few: an input that is nearly right gets furthest.
    for _ in 0..1 << random.random_range(0..5) {
        let other = &inputs[random.random_range(0..inputs.len())];
        change(&mut input, other, random);
    }
    input
}

fn change(input: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    match random.random_range(0..10) {
        0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
        1 if at < input.len() => input[at] = random.random(),
        2 => {
            let end = at + random.random_range(0..=(input.len() - at).min(64));
            input.drain(at..end);
        }
        3 => input.truncate(at),
        4 => {
            let bytes: Vec<u8> = (0..random.random_range(1..9))
                .map(|_| random.random())
                .collect();
            insert(input, at, &bytes);
        }
        5 => insert(
            input,
            at,
            TOKENS[random.random_range(0..TOKENS.len())].as_bytes(),
        ),
        6 => {
            let number = EDGES[random.random_range(0..EDGES.len())];
            let bytes = match random.random_range(0..4) {
                0 => number.to_le_bytes()[..1 << random.random_range(0..4)].to_vec(),
                1 => number.to_be_bytes()[8 - (1 << random.random_range(0..4))..].to_vec(),
                2 => varint(number),
                _ => number.to_string().into_bytes(),
            };
            if random.random() {
                let end = input.len().min(at + bytes.len());
                input.splice(at..end, bytes);
            } else {
                insert(input, at, &bytes);
            }
        }
        7 => {
            let from = random.random_range(0..=other.len());
            let to = random.random_range(from..=other.len());
            insert(input, at, &other[from..to]);
        }
        8 => {
            let end = at + random.random_range(0..=(input.len() - at).min(200));
            let piece = input[at..end].to_vec();
            insert(input, at, &piece.repeat(1 << random.random_range(0..8)));
        }
        _ => {
            let count = 1 << random.random_range(0..14);
            let runs: [&[u8]; 6] = [b"[", b"{\"a\":", b"\"", b"\\u0000", b"9", b"[[],"];
            let run = runs[random.random_range(0..runs.len())];
            insert(input, at, &run.repeat(count));
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    // A mutation of mutations must not grow without end.
    if input.len() + bytes.len() <= crate::MAX_BYTES {
        input.splice(at..at, bytes.iter().copied());
    }
}

/// Seven bits a byte, the lowest first, as protocol buffers and our own files have it.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
