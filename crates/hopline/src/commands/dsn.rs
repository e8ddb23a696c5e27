//! `hopline dsn`: makes, lists and revokes the DSNs by which programs send spans.

use std::io::Write as _;
use std::process::ExitCode;

use super::target;
use crate::api::dsns::Dsn;
use crate::cli::Context;
use crate::cli::access::{DsnArgs, DsnCommand};
use crate::render::plain;
use crate::render::table::{Align, Table};

/// Does what is asked with the DSNs of the running Hopline.
pub(crate) async fn dsn(args: DsnArgs, context: Context) -> anyhow::Result<ExitCode> {
    let target = target::require(&context.settings).await?;
    let (dsns, told) = match &args.command {
        DsnCommand::Create { name } => {
            let made = target.api.create_dsn(name).await?;
            let told = made.dsn.clone();
            (vec![made], Some(told))
        }
        DsnCommand::List => (target.api.dsns().await?, None),
        DsnCommand::Revoke { number } => {
            let revoked = target.api.revoke_dsn(*number).await?;
            let told = format!("the DSN {} is revoked", revoked.number);
            (vec![revoked], Some(told))
        }
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        for dsn in &dsns {
            writeln!(out, "{}", serde_json::to_value(dsn)?)?;
        }
    } else {
        match told {
            Some(told) => writeln!(out, "{told}")?,
            None if dsns.is_empty() => writeln!(out, "no DSNs")?,
            None => write!(out, "{}", table(&dsns).render(context.out, 0))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(dsns: &[Dsn]) -> Table {
    let columns = [
        ("number", Align::Right),
        ("name", Align::Left),
        ("dsn", Align::Left),
        ("created", Align::Left),
        ("revoked", Align::Left),
    ];
    let mut table = Table::new(&columns, 1);
    for dsn in dsns {
        let revoked = dsn.revoked_at.map(|at| at.to_string());
        table.row(vec![
            dsn.number.to_string().into(),
            plain(&dsn.name).into(),
            plain(&dsn.dsn).into(),
            dsn.created_at.to_string().into(),
            revoked.unwrap_or_else(|| "-".to_owned()).into(),
        ]);
    }
    table
}
