//! The parts that the runner writes itself: plans, tool calls, and texts.

use hopline_wire::SpanId;
use hopline_wire::part::{PLAN_TOOL, Plan, Todo, TodoStatus};

use crate::events::{Batch, Members, object};
use crate::output::{Chunk, OutputStream};

/// A part that has only members that are texts.
pub(super) fn simple(kind: &str, members: &[(&str, &str)]) -> String {
    object(|out| {
        out.text("type", kind);
        for (name, value) in members {
            out.text(name, value);
        }
    })
}

/// `tool-input-available`.
pub(super) fn tool_input(
    id: &str,
    name: &str,
    todo_index: Option<usize>,
    write: impl FnOnce(&mut Members<'_>),
) -> String {
    let input = object(write);
    object(|out| {
        out.text("type", "tool-input-available")
            .text("toolCallId", id)
            .text("toolName", name)
            .raw("input", &input);
        if let Some(index) = todo_index {
            out.value("todoIndex", &index);
        }
    })
}

/// `tool-output-available`.
pub(super) fn tool_output(id: &str, write: impl FnOnce(&mut Members<'_>)) -> String {
    let output = object(write);
    object(|out| {
        out.text("type", "tool-output-available")
            .text("toolCallId", id)
            .raw("output", &output);
    })
}

/// The plan that the runner keeps for an agent that keeps none: told whole at each change.
pub(super) struct RunnersPlan {
    plan: Plan,
    told: usize,
}

impl RunnersPlan {
    /// A todo for each name, none begun.
    pub(super) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let todo = |name: &str| Todo {
            content: name.to_owned(),
            active_form: name.to_owned(),
            status: TodoStatus::Pending,
        };
        Self {
            plan: Plan {
                todos: names.into_iter().map(todo).collect(),
            },
            told: 0,
        }
    }

    /// The todo `index` begins; those before it are done.
    pub(super) fn begin(&mut self, index: usize) {
        for (at, todo) in self.plan.todos.iter_mut().enumerate() {
            todo.status = match at.cmp(&index) {
                std::cmp::Ordering::Less => TodoStatus::Completed,
                std::cmp::Ordering::Equal => TodoStatus::InProgress,
                std::cmp::Ordering::Greater => TodoStatus::Pending,
            };
        }
    }

    /// All are done.
    pub(super) fn complete(&mut self) {
        self.begin(self.plan.todos.len());
    }

    /// Adds the plan's call and its answer.
    pub(super) fn tell(&mut self, batch: &mut Batch<'_>, cause: SpanId) {
        self.told += 1;
        let id = format!("plan-{}", self.told);
        let todos = &self.plan.todos;
        let call = tool_input(&id, PLAN_TOOL, None, |input| {
            input.value("todos", todos);
        });
        batch.part(cause, &call);
        let answer = tool_output(&id, |output| {
            output.value("todos", &todos.len());
        });
        batch.part(cause, &answer);
    }

    pub(super) fn into_todos(self) -> Vec<Todo> {
        self.plan.todos
    }
}

/// The texts that one program writes: one for each of its two outputs, begun when something comes.
pub(super) struct Texts {
    ids: [String; 2],
    begun: [bool; 2],
}

impl Texts {
    /// Texts with the ids `<prefix>stdout` and `<prefix>stderr`.
    pub(super) fn new(prefix: &str) -> Self {
        let id = |stream: OutputStream| format!("{prefix}{}", stream.as_str());
        Self {
            ids: [id(OutputStream::Stdout), id(OutputStream::Stderr)],
            begun: [false; 2],
        }
    }

    /// Adds more of a text.
    pub(super) fn add(&mut self, batch: &mut Batch<'_>, cause: SpanId, chunk: &Chunk) {
        let index = chunk.stream as usize;
        let id = &self.ids[index];
        if !std::mem::replace(&mut self.begun[index], true) {
            batch.part(cause, &simple("text-start", &[("id", id)]));
        }
        let delta = simple("text-delta", &[("id", id), ("delta", &chunk.text)]);
        batch.part(cause, &delta);
    }

    /// Ends the texts that were begun.
    pub(super) fn end(self, batch: &mut Batch<'_>, cause: SpanId) {
        for (id, begun) in self.ids.iter().zip(self.begun) {
            if begun {
                batch.part(cause, &simple("text-end", &[("id", id)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hopline_wire::part::Part;

    use super::*;

    #[test]
    fn the_runners_parts_read_as_parts() {
        let call = tool_input("c", "build", Some(2), |input| {
            input.text("run", "make");
        });
        let Ok(Part::ToolInput {
            id,
            name,
            input,
            todo_index,
        }) = Part::read(&call)
        else {
            panic!("{call}");
        };
        assert_eq!((&*id, &*name, todo_index), ("c", "build", Some(2)));
        assert_eq!(input.get(), r#"{"run":"make"}"#);
        let answer = tool_output("c", |output| {
            output.value("exitCode", &0);
        });
        assert!(matches!(Part::read(&answer), Ok(Part::ToolOutput { .. })));
    }

    #[test]
    fn a_plan_has_one_todo_in_progress_at_most() {
        let mut plan = RunnersPlan::new(["a", "b", "c"]);
        plan.begin(1);
        assert_eq!(plan.plan.active_index(), 1);
        let statuses: Vec<_> = plan.plan.todos.iter().map(|todo| todo.status).collect();
        use TodoStatus::{Completed, InProgress, Pending};
        assert_eq!(statuses, [Completed, InProgress, Pending]);
        plan.complete();
        assert_eq!(plan.plan.active_index(), -1);
        assert!(
            plan.into_todos()
                .iter()
                .all(|todo| todo.status == Completed)
        );
    }
}
