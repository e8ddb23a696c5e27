//! `hopline token`: makes, lists and revokes the tokens of runners.

use std::io::Write as _;
use std::process::ExitCode;

use hopline_wire::Timestamp;

use super::target;
use crate::api::tokens::RunnerToken;
use crate::cli::Context;
use crate::cli::access::{TokenArgs, TokenCommand};
use crate::render::plain;
use crate::render::table::{Align, Table};

/// Does what is asked with the tokens of the running Hopline.
pub(crate) async fn token(args: TokenArgs, context: Context) -> anyhow::Result<ExitCode> {
    let target = target::require(&context.settings).await?;
    match &args.command {
        TokenCommand::Create { runner } => {
            let made = target.api.create_runner_token(runner).await?;
            let mut out = std::io::stdout().lock();
            if args.json {
                writeln!(out, "{}", serde_json::to_value(&made)?)?;
            } else {
                writeln!(out, "{}", made.token)?;
                // Beside the token, which whoever calls this may want to keep without a word more.
                writeln!(
                    std::io::stderr(),
                    "The runner {} links with it as HOPLINE_RUNNER_SECRET. It is shown this once; revoke it with: hopline token revoke {}",
                    plain(&made.about.runner_id),
                    made.about.id
                )?;
            }
        }
        TokenCommand::List => list(&target.api.runner_tokens().await?, &args, &context)?,
        TokenCommand::Revoke { id } => {
            let revoked = target.api.revoke_runner_token(id).await?;
            let mut out = std::io::stdout().lock();
            if args.json {
                writeln!(out, "{}", serde_json::to_value(&revoked)?)?;
            } else {
                let runner = plain(&revoked.runner_id);
                writeln!(
                    out,
                    "the token {} of the runner {runner} is revoked",
                    revoked.id
                )?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(tokens: &[RunnerToken], args: &TokenArgs, context: &Context) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.json {
        for token in tokens {
            writeln!(out, "{}", serde_json::to_value(token)?)?;
        }
        return Ok(());
    }
    if tokens.is_empty() {
        writeln!(out, "no tokens")?;
        return Ok(());
    }
    let columns = [
        ("id", Align::Left),
        ("runner", Align::Left),
        ("created", Align::Left),
        ("last used", Align::Left),
        ("revoked", Align::Left),
    ];
    let mut table = Table::new(&columns, 1);
    for token in tokens {
        let at =
            |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        table.row(vec![
            token.id.clone().into(),
            plain(&token.runner_id).into(),
            token.created_at.to_string().into(),
            at(token.last_used_at).into(),
            at(token.revoked_at).into(),
        ]);
    }
    write!(out, "{}", table.render(context.out, 0))?;
    Ok(())
}
