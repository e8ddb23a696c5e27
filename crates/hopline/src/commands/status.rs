//! `hopline status`: whether a Hopline runs, and how it is doing.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::target;
use crate::api::types::Status;
use crate::cli::Context;
use crate::cli::args::StatusArgs;
use crate::data::{DataFolder, Holder};
use crate::exit;
use crate::render::{Style, duration, events, plain};

/// A running Hopline, as far as it can be told from here.
struct Running {
    server: String,
    /// The one that holds the data folder, if it is that one.
    holder: Option<Holder>,
    status: Status,
}

/// Says how the running Hopline is doing; ends with 69 if there is none.
pub(crate) async fn status(args: StatusArgs, context: Context) -> anyhow::Result<ExitCode> {
    let data = context.settings.data_folder();
    let running = find(&context).await?;
    let mut out = std::io::stdout().lock();
    match &running {
        None if args.json => writeln!(out, "{}", json!({"running": false, "data": data}))?,
        None => {
            let data = data.display();
            writeln!(out, "no Hopline is running with the data folder {data}")?;
        }
        Some(running) if args.json => writeln!(out, "{}", running.line(&context)?)?,
        Some(running) => write!(out, "{}", running.shown(context.out))?,
    }
    Ok(match running {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::from(exit::UNAVAILABLE),
    })
}

async fn find(context: &Context) -> anyhow::Result<Option<Running>> {
    let settings = &context.settings;
    let Some(target) = target::find(settings).await? else {
        return Ok(None);
    };
    let status = target.api.status().await?;
    // A server that was named is not asked where its data lie.
    let holder = match settings.server {
        None => DataFolder::at(settings.data_folder()).holder()?,
        Some(_) => None,
    };
    Ok(Some(Running {
        server: target.api.base().to_owned(),
        holder,
        status,
    }))
}

impl Running {
    fn line(&self, context: &Context) -> anyhow::Result<serde_json::Value> {
        let mut line = serde_json::to_value(&self.status)?;
        line["running"] = true.into();
        line["server"] = self.server.as_str().into();
        if let Some(holder) = &self.holder {
            line["pid"] = holder.pid.into();
            line["data"] = serde_json::to_value(context.settings.data_folder())?;
            line["broker"] = serde_json::to_value(holder.broker.map(|at| format!("http://{at}")))?;
        }
        Ok(line)
    }

    fn shown(&self, style: Style) -> String {
        let status = &self.status;
        let pid = self.holder.as_ref();
        let pid = pid.map_or_else(String::new, |holder| format!(", pid {}", holder.pid));
        let running = format!("hopline {} runs", plain(&status.version));
        let mut lines = vec![format!(
            "{} at {}{pid}, for {}",
            style.good(&running),
            self.server,
            duration::nanos(status.uptime_seconds.saturating_mul(1_000_000_000)),
        )];
        let broker = self.holder.as_ref().and_then(|holder| holder.broker);
        lines.extend(broker.map(|broker| format!("broker    http://{broker}")));
        lines.push(format!("database  {}", plain(&status.database)));
        let names: Vec<_> = status.runners.iter().map(|name| plain(name)).collect();
        lines.push(match names.is_empty() {
            true => format!("runners   {}", style.warn("none is linked")),
            false => format!("runners   {}", names.join(", ")),
        });
        lines.push(format!("builds    {} running", status.running_builds));
        let events = events::by_outcome(&status.events, style);
        lines.push(format!("events    {events}"));
        let (taken, dropped) = (status.spans.taken, status.spans.dropped);
        let dropped = match dropped {
            0 => String::new(),
            dropped => style.bad(&format!(", {dropped} dropped")),
        };
        lines.push(format!("spans     {taken} taken{dropped}"));
        lines.push(String::new());
        lines.join("\n")
    }
}
