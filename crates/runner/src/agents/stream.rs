//! The agent `stream`: a program that writes the parts itself, one line each.
//!
//! This is the way with the most events. Lines are cut out of what one read brought, each is parsed once, borrowed, to
//! know what it is, and its own bytes become the event; what came with one read goes to the outbox together.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use hopline_telemetry::pending::UNFINISHED_AFTER;
use hopline_wire::SpanId;
use hopline_wire::command::CommandLine;
use hopline_wire::part::{BadPart, PLAN_TOOL, Part, Plan, TextKind, Todo};
use serde_json::value::RawValue;
use tokio::process::{ChildStderr, ChildStdout};

use super::child::{Patience, Program, attend, judge, note_exit};
use super::output::Masks;
use super::parts::{Texts, simple};
use super::tools::Tools;
use super::{Outcome, Run};
use crate::events::{Batch, Failure};
use crate::mask::{Mask, StreamMask};
use crate::output::{
    Chunk, ChunkLimits, Line, LineReader, OutputReader, OutputStream, Utf8Decoder,
};

/// The longest line taken as a part, in bytes; what is longer comes in pieces, as text.
const MAX_LINE_BYTES: usize = 8 << 20;

/// Text of one event, in bytes.
const TEXT_BYTES: usize = 8 << 10;

pub(super) async fn run(program: &CommandLine, run: &Run<'_>) -> Outcome {
    let mut agent = StreamAgent {
        build: run.build.id(),
        tools: Tools::new(run.trace.clone(), run.build.id()),
        texts: Texts::new(""),
        secrets: Secrets::new(run.mask.as_ref()),
        decoder: Utf8Decoder::default(),
        text: String::new(),
        after_part: false,
        plan: None,
    };
    let ended = execute(program, run, &mut agent).await;
    let todos = agent.todos();
    let mut batch = run.emitter.batch().await;
    agent.texts.end(&mut batch, agent.build);
    agent.tools.close();
    batch.flush().await;
    Outcome {
        todos,
        summary: "the agent ended well".to_owned(),
        exit_code: ended.is_ok().then_some(0),
        failure: ended.err(),
    }
}

async fn execute(
    command: &CommandLine,
    run: &Run<'_>,
    agent: &mut StreamAgent,
) -> Result<(), Failure> {
    let program = Program {
        command,
        directory: run.directory.clone(),
        env: &BTreeMap::new(),
        time_limit: run.time_limit,
    };
    let mut process = program.start(run, run.build).await?;
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    let exit = attend(&mut process, run.stop, run.core.grace, |patience| {
        pump(run, agent, stdout, stderr, patience)
    })
    .await?;
    let failure = judge("the agent", &exit, run.time_limit);
    note_exit(run.build, &exit, failure.as_ref());
    failure.map_or(Ok(()), Err)
}

/// Turns both outputs into events until they end.
async fn pump(
    run: &Run<'_>,
    agent: &mut StreamAgent,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    mut patience: Patience,
) {
    let mut lines = stdout.map(|stdout| LineReader::new(stdout, MAX_LINE_BYTES));
    let mut errors = Some(OutputReader::new(
        None::<ChildStdout>,
        stderr,
        ChunkLimits::default(),
    ));
    let mut look = tokio::time::interval(UNFINISHED_AFTER);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while lines.is_some() || errors.is_some() {
        let next = async {
            tokio::select! {
                line = next_line(&mut lines) => Next::Line(line),
                chunk = next_error(&mut errors) => Next::Error(chunk),
                _ = look.tick() => Next::Look,
            }
        };
        let next = patience.wait(next).await;
        let mut batch = run.emitter.batch().await;
        match next {
            Some(Next::Line(Some(line))) => {
                patience.took(line.bytes.len());
                agent.take_in(&line, &mut batch);
                while !batch.is_full()
                    && let Some(line) = lines.as_mut().and_then(LineReader::take)
                {
                    patience.took(line.bytes.len());
                    agent.take_in(&line, &mut batch);
                }
                agent.flush_text(&mut batch);
            }
            Some(Next::Line(None)) => lines = None,
            Some(Next::Error(Some(chunk))) => {
                patience.took(chunk.text.len());
                agent.tell(chunk, &mut batch);
            }
            Some(Next::Error(None)) => errors = None,
            Some(Next::Look) => agent.tools.show_late(),
            None => break,
        }
        batch.flush().await;
    }
    let mut batch = run.emitter.batch().await;
    // Of pipes that were let go.
    while let Some(line) = lines.as_mut().and_then(LineReader::rest) {
        agent.take_in(&line, &mut batch);
    }
    agent.decoder.finish(&mut agent.text);
    agent.flush_text(&mut batch);
    while let Some(chunk) = errors.as_mut().and_then(OutputReader::rest) {
        agent.tell(chunk, &mut batch);
    }
    agent.tell_rest(&mut batch);
    batch.flush().await;
}

/// What the pump waits for.
enum Next {
    Line(Option<Line>),
    Error(Option<Chunk>),
    Look,
}

/// The next line; none at the end. Never ready once the end was told.
async fn next_line(lines: &mut Option<LineReader<ChildStdout>>) -> Option<Line> {
    let Some(lines) = lines else {
        return std::future::pending().await;
    };
    loop {
        match lines.next().await {
            Ok(line) => return line,
            Err(error) => tracing::warn!("cannot read an agent's output: {error}"),
        }
    }
}

/// The next piece of standard error; none at the end. Never ready once the end was told.
async fn next_error(errors: &mut Option<OutputReader<ChildStdout, ChildStderr>>) -> Option<Chunk> {
    let Some(errors) = errors else {
        return std::future::pending().await;
    };
    loop {
        match errors.next().await {
            Ok(chunk) => return chunk,
            Err(error) => tracing::warn!("cannot read an agent's errors: {error}"),
        }
    }
}

/// Keeps a build's secrets out of what its program says, where they come in pieces: of standard output and error, and
/// of each text that it writes delta by delta.
struct Secrets {
    mask: Option<Mask>,
    outputs: Masks,
    texts: HashMap<(TextKind, String), StreamMask>,
}

impl Secrets {
    fn new(mask: Option<&Mask>) -> Self {
        Self {
            mask: mask.cloned(),
            outputs: Masks::new(mask),
            texts: HashMap::new(),
        }
    }

    fn json<'t>(&self, json: &'t str) -> Cow<'t, str> {
        let mask = self.mask.as_ref();
        mask.map_or(json.into(), |mask| mask.json(json))
    }

    /// What can be told of a text's delta, if that is something else.
    fn delta(&mut self, kind: TextKind, id: &str, delta: &str) -> Option<String> {
        let mask = self.mask.as_ref()?;
        let text = self.texts.entry((kind, id.to_owned()));
        let told = text.or_insert_with(|| mask.stream()).push(delta);
        (told != delta).then_some(told)
    }
}

fn text_delta(kind: TextKind, id: &str, delta: &str) -> String {
    let kind = match kind {
        TextKind::Text => "text-delta",
        TextKind::Reasoning => "reasoning-delta",
    };
    simple(kind, &[("id", id), ("delta", delta)])
}

struct StreamAgent {
    build: SpanId,
    tools: Tools,
    texts: Texts,
    secrets: Secrets,
    decoder: Utf8Decoder,
    /// Lines that are text, until something else comes.
    text: String,
    /// Whether the line before was a part: an empty line then only ends a server-sent event.
    after_part: bool,
    /// The last plan, not looked into before the end.
    plan: Option<Box<RawValue>>,
}

impl StreamAgent {
    fn take_in(&mut self, line: &Line, batch: &mut Batch<'_>) {
        let content = line.content().trim_ascii();
        if content.is_empty() && std::mem::take(&mut self.after_part) {
            return;
        }
        self.after_part = line.whole && self.take_part(content, batch);
        if !self.after_part {
            self.decoder.decode(&line.bytes, &mut self.text);
            if self.text.len() >= TEXT_BYTES {
                self.flush_text(batch);
            }
        }
    }

    /// Sends the line, if it is a part.
    fn take_part(&mut self, content: &[u8], batch: &mut Batch<'_>) -> bool {
        let json = content.strip_prefix(b"data:").map(<[u8]>::trim_ascii);
        if json == Some(b"[DONE]") {
            self.flush_text(batch);
            self.tell_texts(batch, |_, _| true);
            batch.done(self.build);
            return true;
        }
        let json = json.unwrap_or(content);
        if !json.starts_with(b"{") {
            return false;
        }
        let Ok(json) = std::str::from_utf8(json) else {
            return false;
        };
        let json = &*self.secrets.json(json);
        let cause = match Part::read(json) {
            Ok(Part::TextDelta { kind, id, delta }) => {
                if let Some(told) = self.secrets.delta(kind, &id, &delta) {
                    self.flush_text(batch);
                    if !told.is_empty() {
                        batch.part(self.build, &text_delta(kind, &id, &told));
                    }
                    return true;
                }
                self.build
            }
            Ok(part) => {
                match &part {
                    Part::TextEnd { kind, id } => {
                        self.tell_texts(batch, |held, text| (held, text) == (*kind, &**id));
                    }
                    Part::Finish => self.tell_texts(batch, |_, _| true),
                    _ => {}
                }
                if let Part::ToolInput { name, input, .. } = &part
                    && name == PLAN_TOOL
                {
                    self.plan = Some((*input).to_owned());
                }
                self.tools.cause(&part)
            }
            // A part with a mistake: the server judges it, and tells which one it was.
            Err(BadPart::Field { .. }) => self.build,
            Err(_) => return false,
        };
        self.flush_text(batch);
        batch.part(cause, json);
        true
    }

    fn flush_text(&mut self, batch: &mut Batch<'_>) {
        if self.text.is_empty() {
            return;
        }
        let chunk = Chunk {
            stream: OutputStream::Stdout,
            text: std::mem::take(&mut self.text),
        };
        self.tell(chunk, batch);
    }

    /// Sends what can be told of a piece of text.
    fn tell(&mut self, chunk: Chunk, batch: &mut Batch<'_>) {
        if let Some(chunk) = self.secrets.outputs.of(chunk) {
            self.texts.add(batch, self.build, &chunk);
        }
    }

    /// Sends what was held back of the texts that are asked for, as they have ended.
    fn tell_texts(&mut self, batch: &mut Batch<'_>, which: impl Fn(TextKind, &str) -> bool) {
        let texts = &mut self.secrets.texts;
        for ((kind, id), mut mask) in texts.extract_if(|(kind, id), _| which(*kind, id)) {
            let rest = mask.end();
            if !rest.is_empty() {
                batch.part(self.build, &text_delta(kind, &id, &rest));
            }
        }
    }

    /// Sends all that was held back.
    fn tell_rest(&mut self, batch: &mut Batch<'_>) {
        self.tell_texts(batch, |_, _| true);
        for chunk in self.secrets.outputs.rest() {
            self.texts.add(batch, self.build, &chunk);
        }
    }

    /// The plan as it stood last.
    fn todos(&self) -> Vec<Todo> {
        let plan = self.plan.as_ref().and_then(|plan| Plan::read(plan).ok());
        plan.map(|plan| plan.todos).unwrap_or_default()
    }
}
