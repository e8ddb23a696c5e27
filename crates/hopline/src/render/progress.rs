//! A build's progress: lines that stay, and on a terminal a bar that moves beneath them.
//!
//! The lines are the same in a pipe, but for colours. Text comes in pieces that end anywhere; a line is
//! shown when it is whole, and what is left at the end is shown then.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Style, cut, duration, plain};

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// How many bytes of a line are shown at once: a longer one is shown in pieces, since its end may never come.
const LINE: usize = 64 << 10;

/// The look of the plan's bar, and of the todo that is being done.
const WHOLE: &str = "{bar:24.cyan/dim} {pos}/{len} {elapsed:.dim}";
const CURRENT: &str = "{spinner:.cyan} {wide_msg} {elapsed:.dim}";

/// Where progress goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output: what a person asked for.
    Out,
    /// Standard error: beside what a program reads.
    Err,
}

/// The progress of one build.
pub(crate) struct Progress {
    style: Style,
    sink: Sink,
    bars: Option<Bars>,
    started: HashMap<String, Instant>,
    /// How long todos took, by their tool calls' own times.
    took: HashMap<String, u64>,
    /// The beginnings of lines that have not ended, by stream and text.
    pending: BTreeMap<(&'static str, String), String>,
}

enum Sink {
    Out,
    Err,
    #[cfg(test)]
    Memory(std::sync::Arc<std::sync::Mutex<String>>),
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    current: Option<ProgressBar>,
}

impl Progress {
    /// Progress on this stream, decorated like this.
    pub(crate) fn new(stream: Stream, style: Style) -> Self {
        let (sink, target) = match stream {
            Stream::Out => (Sink::Out, ProgressDrawTarget::stdout()),
            Stream::Err => (Sink::Err, ProgressDrawTarget::stderr()),
        };
        // A terminal without colours may not be able to move its cursor either.
        let bars = style.colour().then(|| Bars::new(target));
        Self {
            style,
            sink,
            bars,
            started: HashMap::new(),
            took: HashMap::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Progress that a test can read.
    #[cfg(test)]
    pub(crate) fn to_memory() -> (Self, std::sync::Arc<std::sync::Mutex<String>>) {
        let memory = std::sync::Arc::default();
        let mut progress = Self::new(Stream::Out, Style::plain());
        progress.sink = Sink::Memory(std::sync::Arc::clone(&memory));
        (progress, memory)
    }

    /// A remark.
    pub(crate) fn note(&mut self, text: &str) {
        let line = self.style.dim(text);
        self.line(&line);
    }

    /// A todo is being done.
    pub(crate) fn todo_started(&mut self, content: &str) {
        let content = plain(content);
        self.started.insert(content.to_string(), Instant::now());
        let line = format!("{} {}", self.style.name("▶"), self.style.bold(&content));
        self.line(&line);
        if let Some(bars) = &mut self.bars {
            bars.current(&content);
        }
    }

    /// A todo is done.
    pub(crate) fn todo_completed(&mut self, content: &str) {
        self.flush_text();
        let mark = self.style.good("✔");
        self.todo_ended(&mark, content);
    }

    /// A todo has failed.
    pub(crate) fn todo_failed(&mut self, content: &str) {
        self.flush_text();
        let mark = self.style.bad("✘");
        self.todo_ended(&mark, content);
    }

    /// A todo took so many nanoseconds where it was done; else its time is reckoned from what was told here when.
    pub(crate) fn todo_took(&mut self, content: &str, nanos: u64) {
        self.took.insert(plain(content).into_owned(), nanos);
    }

    fn todo_ended(&mut self, mark: &str, content: &str) {
        let content = plain(content);
        let told = self.started.remove(&*content).map(|start| start.elapsed());
        let told = told.map(|told| u64::try_from(told.as_nanos()).unwrap_or(u64::MAX));
        let took = self.took.remove(&*content).or(told);
        let took = took.map_or_else(String::new, |nanos| format!(" {}", duration::nanos(nanos)));
        let line = format!("{mark} {content}{}", self.style.dim(&took));
        self.line(&line);
        if let Some(bars) = &mut self.bars {
            bars.end_current();
        }
    }

    /// How many todos are done, of how many.
    pub(crate) fn done(&mut self, done: usize, all: usize) {
        if let Some(bars) = self.bars.as_ref().filter(|_| all > 0) {
            bars.whole.set_style(template(WHOLE));
            bars.whole.set_length(all as u64);
            bars.whole.set_position(done as u64);
        }
    }

    /// A tool has answered.
    pub(crate) fn tool(&mut self, name: &str, failed: bool) {
        self.flush_text();
        let mark = if failed {
            self.style.bad("✘")
        } else {
            self.style.dim("·")
        };
        let line = format!("  {mark} {}", self.style.name(&plain(name)));
        self.line(&line);
    }

    /// More of the text `id` from this stream: `text`, `stderr`, `reasoning`.
    pub(crate) fn text(&mut self, stream: &'static str, id: &str, delta: &str) {
        let key = (stream, id.to_owned());
        let mut pending = self.pending.remove(&key).unwrap_or_default();
        let mut rest = delta;
        while let Some((line, more)) = rest.split_once('\n') {
            pending.push_str(line);
            self.text_line(stream, pending.strip_suffix('\r').unwrap_or(&pending));
            pending.clear();
            rest = more;
        }
        pending.push_str(rest);
        while pending.len() > LINE {
            let rest = pending.split_off(pending.floor_char_boundary(LINE));
            self.text_line(stream, &pending);
            pending = rest;
        }
        if !pending.is_empty() {
            self.pending.insert(key, pending);
        }
    }

    /// A tool's output from `stream`, its lines up to `limit` characters in all.
    pub(crate) fn output(&mut self, stream: &str, text: &str, limit: usize) {
        let text = cut(text, limit);
        for line in text.lines() {
            self.text_line(stream, line);
        }
    }

    fn text_line(&mut self, stream: &str, line: &str) {
        let text = plain(line);
        let (bar, text) = match stream {
            "stderr" => (self.style.warn("│"), text.into_owned()),
            "reasoning" => (self.style.dim("│"), self.style.dim(&text)),
            _ => (self.style.dim("│"), text.into_owned()),
        };
        let line = format!("  {bar} {text}");
        self.line(line.trim_end());
    }

    /// Shows what is left and takes the bar away.
    pub(crate) fn finish(&mut self) {
        self.flush_text();
        if let Some(bars) = self.bars.take() {
            bars.whole.finish_and_clear();
            if let Some(bar) = bars.current {
                bar.finish_and_clear();
            }
        }
    }

    fn flush_text(&mut self) {
        for ((stream, _), text) in std::mem::take(&mut self.pending) {
            self.text_line(stream, &text);
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(bars) = &self.bars {
            // Whoever closed the stream does not want to know, here and below.
            let _ = bars.all.println(line);
            return;
        }
        match &self.sink {
            Sink::Out => {
                let _ = writeln!(std::io::stdout(), "{line}");
            }
            Sink::Err => {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            #[cfg(test)]
            Sink::Memory(memory) => {
                let mut memory = memory.lock().unwrap();
                memory.push_str(line);
                memory.push('\n');
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Bars {
    fn new(target: ProgressDrawTarget) -> Self {
        let all = MultiProgress::with_draw_target(target);
        let whole = all.add(ProgressBar::new(0));
        // Until there is a plan, nobody knows what the whole is.
        whole.set_style(template(CURRENT));
        whole.set_message("waiting for the first event");
        whole.enable_steady_tick(TICK);
        Self {
            all,
            whole,
            current: None,
        }
    }

    fn current(&mut self, content: &str) {
        self.end_current();
        let bar = self
            .all
            .insert_before(&self.whole, ProgressBar::new_spinner());
        bar.set_style(template(CURRENT));
        bar.set_message(content.to_owned());
        bar.enable_steady_tick(TICK);
        self.current = Some(bar);
    }

    fn end_current(&mut self) {
        if let Some(bar) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}

/// A bar's look; the plain one, should the template be wrong.
fn template(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_when_it_is_whole_and_the_rest_at_the_end() {
        let (mut progress, lines) = Progress::to_memory();
        let shown = || lines.lock().unwrap().clone();
        progress.text("text", "t", "one\ntw");
        progress.text("text", "another", "four\n");
        assert_eq!(shown(), "  │ one\n  │ four\n");
        progress.text("text", "t", "o\n\nthree");
        assert_eq!(shown(), "  │ one\n  │ four\n  │ two\n  │\n");
        progress.finish();
        assert!(shown().ends_with("  │ three\n"));
    }

    #[test]
    fn a_line_without_end_is_shown_in_pieces() {
        let (mut progress, lines) = Progress::to_memory();
        let piece = "é".repeat(1_000);
        for _ in 0..200 {
            progress.text("text", "t", &piece);
            let kept: usize = progress.pending.values().map(String::len).sum();
            assert!(kept <= LINE);
        }
        progress.finish();
        let shown = lines.lock().unwrap().clone();
        assert_eq!(shown.matches('é').count(), 200_000, "nothing is left out");
        assert!(shown.lines().count() > 1);
    }

    #[test]
    fn both_templates_are_well_formed() {
        for text in [WHOLE, CURRENT] {
            assert!(ProgressStyle::with_template(text).is_ok());
        }
    }
}
