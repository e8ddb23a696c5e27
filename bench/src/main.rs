//! Measures Hopline's figures on the machine it runs on, and prints them as a table. The method is described in
//! `bench/README.md`; `bench/run` builds everything and calls this.

mod clients;
mod figures;
mod recovery;
mod stats;
mod up;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use figures::Figure;

/// What to measure, and how long.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Args {
    /// How often each figure is measured
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds of load before a throughput is measured
    #[arg(long, default_value_t = 10.0)]
    warm_up: f64,
    /// Seconds of load that are measured
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Builds at once, where a figure has several
    #[arg(long, default_value_t = 8)]
    builds: usize,
    /// What to measure [default: everything]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Kind>,
    /// The program to measure [default: hopline beside this one]
    #[arg(long)]
    hopline: Option<PathBuf>,
    /// Where data folders are made [default: the system's folder for temporary files]
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// The figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Events a second of several builds, and memory.
    Builds,
    /// Events a second of one build.
    One,
    /// From sending to committing, at 50 events a second.
    Latency,
    /// Late events of a build against early ones.
    Growth,
    /// Every event traced against none.
    Tracing,
    /// A thousand live clients of a build.
    Clients,
    /// A server that was killed, and comes back to what waits for it.
    Recovery,
    /// `hopline run -- true`.
    Run,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let beside = |name: &str| -> anyhow::Result<PathBuf> {
        let own = std::env::current_exe().context("find this program")?;
        Ok(own.with_file_name(name))
    };
    let setting = figures::Setting {
        program: match &args.hopline {
            Some(program) => program
                .canonicalize()
                .context("find the program to measure")?,
            None => beside("hopline")?,
        },
        load: beside("hopline-load")?,
        folder: args.folder.clone(),
        warm_up: args.warm_up,
        seconds: args.seconds,
        builds: args.builds,
    };
    let wanted = |kind: Kind| args.only.is_empty() || args.only.contains(&kind);
    let mut measured: Vec<Figure> = Vec::new();
    for run in 1..=args.runs {
        eprintln!("run {run} of {}", args.runs);
        let kinds = Kind::value_variants()
            .iter()
            .copied()
            .filter(|kind| wanted(*kind));
        for kind in kinds {
            let figures = match kind {
                Kind::Builds => figures::builds(&setting)?,
                Kind::One => figures::one_build(&setting)?,
                Kind::Latency => figures::latency(&setting)?,
                Kind::Growth => figures::growth(&setting)?,
                Kind::Tracing => figures::tracing(&setting)?,
                Kind::Clients => clients::clients(&setting)?,
                Kind::Recovery => recovery::recovery(&setting)?,
                Kind::Run => figures::run_true(&setting)?,
            };
            for (name, unit, reach, value) in figures {
                eprintln!("  {name}: {value:.2} {unit}");
                figures::add(&mut measured, name, unit, reach, value);
            }
        }
    }
    println!("{}", figures::table(&measured));
    Ok(())
}
