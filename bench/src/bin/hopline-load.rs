//! The load of a benchmark: an agent for `hopline`'s `stream`, which writes parts as fast as they are taken, or at a
//! steady rate.
//!
//! Of 100 parts 70 are `text-delta` of 80 bytes, 25 the input of a tool (400 bytes) or its output (2 KiB), in turn, 4
//! are reasoning, and one is a plan of 8 todos. The same seed gives the same parts.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use clap::Parser;

/// Bytes of a text's piece.
const TEXT: usize = 80;
/// Bytes of a tool's input, and of its output.
const INPUT: usize = 400;
const OUTPUT: usize = 2 << 10;
/// Todos of a plan.
const TODOS: usize = 8;
/// At how many parts the clock is looked at, when no rate is asked for.
const CLOCK: u64 = 256;

/// Writes parts of a build to standard output.
#[derive(Parser)]
struct Load {
    /// End after this many parts
    #[arg(long)]
    count: Option<u64>,
    /// End after this many seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// Parts a second; as fast as they are taken, if not given
    #[arg(long)]
    rate: Option<f64>,
    /// Which parts
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> io::Result<()> {
    let load = Load::parse();
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let mut parts = Parts::new(load.seed);
    let start = Instant::now();
    let end = load
        .seconds
        .map(|seconds| start + Duration::from_secs_f64(seconds));
    for number in 0..load.count.unwrap_or(u64::MAX) {
        if let Some(rate) = load.rate {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a benchmark has far fewer than 2^52 parts"
            )]
            let due = start + Duration::from_secs_f64(number as f64 / rate);
            out.flush()?;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let look = load.rate.is_some() || number % CLOCK == 0;
        if look && end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
        match parts.write(&mut out) {
            // The runner has ended the build.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    out.flush()
}

struct Parts {
    random: u64,
    /// Letters to take texts from.
    letters: Vec<u8>,
    texts: u64,
    calls: u64,
    open_call: bool,
    plans: usize,
}

impl Parts {
    fn new(seed: u64) -> Self {
        let mut parts = Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            letters: Vec::new(),
            texts: 0,
            calls: 0,
            open_call: false,
            plans: 0,
        };
        let alphabet = b"abcdefghijklmnopqrstuvwxyz     ";
        for _ in 0..16 << 10 {
            let letter = usize::try_from(parts.next() % alphabet.len() as u64).unwrap_or_default();
            parts.letters.push(alphabet[letter]);
        }
        parts
    }

    /// The next pseudo-random number (xorshift64*).
    fn next(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// So many letters from anywhere.
    fn letters(&mut self, bytes: usize) -> &[u8] {
        let room = (self.letters.len() - bytes) as u64;
        let from = usize::try_from(self.next() % room).unwrap_or_default();
        &self.letters[from..from + bytes]
    }

    fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        match self.next() % 100 {
            0..70 => self.text(out, "text-delta", "t"),
            70..74 => self.text(out, "reasoning-delta", "r"),
            74 => self.plan(out),
            _ => self.tool(out),
        }
    }

    fn text(&mut self, out: &mut impl Write, kind: &str, id: &str) -> io::Result<()> {
        // A new text every thousand pieces, as an agent's answers come and go.
        self.texts += 1;
        let text = self.texts / 1_000;
        write!(
            out,
            "{{\"type\":\"{kind}\",\"id\":\"{id}{text}\",\"delta\":\""
        )?;
        out.write_all(self.letters(TEXT))?;
        out.write_all(b"\"}\n")
    }

    fn tool(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.open_call = !self.open_call;
        if self.open_call {
            self.calls += 1;
            let call = self.calls;
            write!(
                out,
                "{{\"type\":\"tool-input-available\",\"toolCallId\":\"c{call}\",\"toolName\":\"Bash\",\"input\":{{\"command\":\""
            )?;
            out.write_all(self.letters(INPUT))?;
        } else {
            let call = self.calls;
            write!(
                out,
                "{{\"type\":\"tool-output-available\",\"toolCallId\":\"c{call}\",\"output\":{{\"stdout\":\""
            )?;
            out.write_all(self.letters(OUTPUT))?;
        }
        out.write_all(b"\"}}\n")
    }

    fn plan(&mut self, out: &mut impl Write) -> io::Result<()> {
        let plan = self.plans;
        self.plans += 1;
        write!(
            out,
            "{{\"type\":\"tool-input-available\",\"toolCallId\":\"p{plan}\",\"toolName\":\"TodoWrite\",\"input\":{{\"todos\":["
        )?;
        for todo in 0..TODOS {
            let status = match todo.cmp(&(plan % TODOS)) {
                std::cmp::Ordering::Less => "completed",
                std::cmp::Ordering::Equal => "in_progress",
                std::cmp::Ordering::Greater => "pending",
            };
            let comma = if todo == 0 { "" } else { "," };
            write!(
                out,
                "{comma}{{\"content\":\"todo {todo}\",\"activeForm\":\"doing todo {todo}\",\"status\":\"{status}\"}}"
            )?;
        }
        out.write_all(b"]}}\n")
    }
}
