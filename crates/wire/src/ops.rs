//! The operations that spans name in `sentry.op` ([`crate::span::Span::op`]): one constant for each row
//! of the span table in `docs/wire.md`. Whoever makes a span and whoever reads one use these.

/// A command's request, as the server received it.
pub const HTTP_SERVER: &str = "http.server";

/// `broker.routeCommand.*`: a command on its way to a runner.
pub const COMMAND_ROUTE: &str = "broker.command.route";

/// `handleCommand.*`: a command at its runner.
pub const RUNNER_COMMAND: &str = "runner.command";

/// `runner.build`: the agent's run.
pub const BUILD: &str = "build";

/// `runner.step.*`: a step's child process.
pub const SUBPROCESS: &str = "subprocess";

/// `runner.tool.*`: a tool call of an agent.
pub const EXECUTE_TOOL: &str = "gen_ai.execute_tool";

/// `runner.sendEvent.*`: an event's first hop.
pub const EVENT_SEND: &str = "runner.event.send";

/// `broker.forwardEvent.*`: an event's second hop.
pub const EVENT_FORWARD: &str = "broker.event.forward";

/// `api.runner.events.*`: an event's third hop.
pub const EVENT_PROCESS: &str = "api.runner.event.process";

/// `persistent-processor.persistEvent.*`: an event's last hop before the database.
pub const PERSIST_EVENT: &str = "db.persist.event";

/// `persistent-processor.finalizeSession.*`: the last hop of the event that ends a build.
pub const PERSIST_FINALIZE: &str = "db.persist.finalize";

/// One statement of a group commit.
pub const DB_QUERY: &str = "db.query";

/// `refreshRawState`: a session's column of state, written anew.
pub const STATE_REFRESH: &str = "db.state.refresh";

/// `websocket.broadcast`: a flush to the live clients.
pub const BROADCAST: &str = "websocket.broadcast";

/// `useBuildWebSocket.*`: an update as the browser received it.
pub const UI_RECEIVE: &str = "ui.websocket.receive";

/// `react.render.*`: an update as the browser painted it.
pub const UI_RENDER: &str = "ui.react.render";

/// The hops of an event, in the order in which it takes them. An event ends with one of
/// [`PERSIST_EVENT`] and [`PERSIST_FINALIZE`], hence the lists.
pub const EVENT_HOPS: [&[&str]; 4] = [
    &[EVENT_SEND],
    &[EVENT_FORWARD],
    &[EVENT_PROCESS],
    &[PERSIST_EVENT, PERSIST_FINALIZE],
];
