//! What the builds of a round say: a pseudo-random plan of parts, and the lines in which an agent writes it.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

/// One thing that the agent says.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// More of a text (or of reasoning).
    Delta {
        reasoning: bool,
        id: String,
        text: String,
    },
    /// A line of reasoning that is whole by itself.
    Reasoning {
        message: String,
    },
    /// A new plan: what is to be done, how it reads while it is done, and where it stands.
    Plan {
        call: String,
        todos: Vec<[String; 3]>,
    },
    Input {
        call: String,
        tool: String,
        input: Value,
        todo: Option<i32>,
    },
    Output {
        call: String,
        output: Value,
    },
    Failure {
        call: String,
        error: String,
    },
    /// A line that is no part: it is text of standard output.
    Line {
        text: String,
    },
    /// A part that the server refuses, and a part of no meaning to it.
    Bad,
    Unknown {
        number: u32,
    },
}

/// Stands in a plan for half of a surrogate pair, which no Rust string can hold: it is written as the escape
/// `\ud83d`, and rows have U+FFFD in its place.
pub(crate) const HALF: char = '\u{e000}';
pub(crate) const HALF_ESCAPED: &str = "\\ud83d";

/// What rows make of a text: they hold neither U+0000 nor halves of pairs.
pub(crate) fn stored(text: &str) -> String {
    text.replace(['\0', HALF], "\u{fffd}")
}

impl Said {
    /// The line of it, with its end.
    pub(crate) fn line(&self) -> String {
        let part = match self {
            Self::Delta {
                reasoning,
                id,
                text,
            } => {
                let kind = if *reasoning {
                    "reasoning-delta"
                } else {
                    "text-delta"
                };
                json!({"type": kind, "id": id, "delta": text})
            }
            Self::Reasoning { message } => json!({"type": "reasoning", "message": message}),
            Self::Plan { call, todos } => {
                let todos: Vec<_> = todos
                    .iter()
                    .map(|[content, active, status]| json!({"content": content, "activeForm": active, "status": status}))
                    .collect();
                json!({"type": "tool-input-available", "toolCallId": call, "toolName": "TodoWrite", "input": {"todos": todos}})
            }
            Self::Input {
                call,
                tool,
                input,
                todo,
            } => {
                let mut part = json!({"type": "tool-input-available", "toolCallId": call, "toolName": tool, "input": input});
                if let Some(todo) = todo {
                    part["todoIndex"] = json!(todo);
                }
                part
            }
            Self::Output { call, output } => {
                json!({"type": "tool-output-available", "toolCallId": call, "output": output})
            }
            Self::Failure { call, error } => {
                json!({"type": "tool-output-error", "toolCallId": call, "errorText": error})
            }
            Self::Line { text } => return format!("{text}\n"),
            // Without its text.
            Self::Bad => json!({"type": "text-delta", "id": "bad"}),
            Self::Unknown { number } => {
                json!({"type": "data-fault-run", "data": {"number": number}})
            }
        };
        format!("{part}\n").replace(HALF, HALF_ESCAPED)
    }
}

/// Texts from everywhere in Unicode, what breaks careless code among them.
const ODD: [&str; 10] = [
    "plain words ",
    "zażółć gęślą jaźń ",
    "日本語のテキスト",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "e\u{301}\u{327}",
    "\u{202e}right to left\u{202c}",
    "\u{feff}\u{2028}\u{2029}",
    "\"quotes\" \\back\\slashes\\ \t\u{1}\u{1f}\u{7f}",
    "nul\0nul",
    "data: {\"type\":\"finish\"}\n\n",
];

/// The plan of one build.
pub(crate) fn make(seed: u64, parts: usize) -> Vec<Said> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut said = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut calls = 0;
    let mut next_call = |what: &str| {
        calls += 1;
        format!("{what}-{calls}")
    };
    // One build in four has something large: it is cut into many events, or into many parts of a row.
    let large = random
        .random_ratio(1, 4)
        .then(|| random.random_range(0..parts));
    for number in 0..parts {
        if large == Some(number) {
            let bytes = random.random_range(1 << 20..10 << 20);
            let text = words(&mut random, bytes);
            said.push(match bytes < 7 << 20 {
                true => Said::Delta {
                    reasoning: false,
                    id: "large".to_owned(),
                    text,
                },
                // No line of a part may be so long.
                false => Said::Line { text },
            });
        }
        said.push(match random.random_range(0..100) {
            0..50 => Said::Delta {
                reasoning: random.random_ratio(1, 8),
                id: format!("text-{}", random.random_range(0..4)),
                text: odd(&mut random),
            },
            50..55 => Said::Line {
                text: format!("line {number} {}", words(&mut random, 60)),
            },
            55..58 => Said::Reasoning {
                message: odd(&mut random),
            },
            58..61 => Said::Plan {
                call: next_call("plan"),
                todos: todos(&mut random),
            },
            61..63 => Said::Bad,
            63..65 => Said::Unknown {
                number: random.random(),
            },
            // An answer to a call that nobody made.
            65 => Said::Output {
                call: next_call("stray"),
                output: json!(odd(&mut random)),
            },
            _ if random.random_bool(0.5) && !open.is_empty() => {
                let call = open.swap_remove(random.random_range(0..open.len()));
                if random.random_ratio(1, 5) {
                    let error = odd(&mut random);
                    Said::Failure { call, error }
                } else {
                    let bytes = match random.random_ratio(1, 30) {
                        true => random.random_range(20_000..600_000),
                        false => random.random_range(0..2_000),
                    };
                    let output = json!({"said": words(&mut random, bytes), "odd": odd(&mut random), "number": number});
                    Said::Output { call, output }
                }
            }
            _ => {
                let call = next_call("call");
                open.push(call.clone());
                Said::Input {
                    call,
                    tool: ["Bash", "Edit", "Read"][random.random_range(0..3)].to_owned(),
                    input: json!({"command": odd(&mut random), "list": [number, null, true, 1.5]}),
                    todo: random
                        .random_ratio(1, 6)
                        .then(|| random.random_range(0..5)),
                }
            }
        });
    }
    said
}

fn odd(random: &mut StdRng) -> String {
    let mut text = String::new();
    for _ in 0..random.random_range(1..6) {
        text.push_str(ODD[random.random_range(0..ODD.len())]);
    }
    if random.random_ratio(1, 10) {
        text.push(HALF);
    }
    text
}

fn words(random: &mut StdRng, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 8);
    while text.len() < bytes {
        let word = random.random_range(0_u32..1 << 20);
        text.push_str(&format!("{word:05x} "));
    }
    text
}

fn todos(random: &mut StdRng) -> Vec<[String; 3]> {
    let count = random.random_range(0..7);
    let at = random.random_range(0..=count);
    let todo = |place: usize| {
        let status = match place.cmp(&at) {
            std::cmp::Ordering::Less => "completed",
            std::cmp::Ordering::Equal => "in_progress",
            std::cmp::Ordering::Greater => "pending",
        };
        [
            format!("do {place} {}", odd(random)),
            format!("doing {place}"),
            status.to_owned(),
        ]
    };
    (0..count).map(todo).collect()
}
