//! How long it takes until all is as before, when a server comes back to a hundred thousand events that wait for it.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::figures::{Measured, Reach, Setting};
use crate::up::{Api, Process, folder};

/// How many events wait, at least.
const WAITING: f64 = 100_000.0;

/// Events a second of all builds together, which go on all the while.
const RATE: f64 = 8_000.0;

/// How long the builds run before the server is killed.
const BEFORE: Duration = Duration::from_secs(5);

/// How long the server may take to have them all committed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(50);

/// From the start of the new server until every event is committed within half a second of its making again.
pub(crate) fn recovery(setting: &Setting) -> anyhow::Result<Measured> {
    let data = folder(setting.folder.as_deref())?;
    let start = |args: &[&str]| Process::start(&setting.program, data.path(), args, &[]);
    let server = start(&["server", "--listen", "127.0.0.1:0"])?;
    let url = server.url("server")?;
    let broker = start(&["broker", "--listen", "127.0.0.1:0", "--server", &url])?;
    let broker_url = broker.url("broker")?;
    let runner = start(&["runner", "--id", "load", "--broker", &broker_url])?;
    let api = Api::new(&setting.program, data, &url)?;
    api.linked()?;

    // A little longer, for what the generators are late.
    let down = Duration::from_secs_f64(1.08 * WAITING / RATE);
    let seconds = (BEFORE + down + PATIENCE).as_secs_f64().to_string();
    #[expect(clippy::cast_precision_loss, reason = "builds are few")]
    let each = (RATE / setting.builds as f64).to_string();
    for number in 1..=setting.builds {
        let args = [
            "--rate",
            &each,
            "--seconds",
            &seconds,
            "--seed",
            &number.to_string(),
        ];
        api.build(&format!("load-{number}"), &setting.argv(&args))?;
    }
    std::thread::sleep(BEFORE);
    // How many there are, and when that was.
    #[expect(clippy::cast_precision_loss, reason = "events are far fewer than 2^52")]
    let committed = || anyhow::Ok((api.committed()?.0 as f64, Instant::now()));
    let (before, at) = committed()?;
    server.kill()?;
    std::thread::sleep(down);
    let back = Instant::now();
    let address = api.address().to_owned();
    let server = Process::start(
        &setting.program,
        api.data(),
        &["server", "--listen", &address],
        &[],
    )?;
    let (took, waiting) = loop {
        let (now, looked) = committed()?;
        let made = before + (looked - at).as_secs_f64() * RATE;
        if now >= made - RATE / 2.0 {
            // What was committed since, less what was made since.
            let took = (looked - back).as_secs_f64();
            break (took, now - before - took * RATE);
        }
        ensure!(
            back.elapsed() < PATIENCE,
            "what waits is not committed: {now} of {made}"
        );
        std::thread::sleep(LOOK);
    };
    runner.kill()?;
    broker.kill()?;
    server.kill()?;
    Ok(vec![
        (
            "events waiting for a killed server",
            "events",
            Reach::AtLeast(WAITING),
            waiting,
        ),
        (
            "until all that waited is committed",
            "s",
            Reach::AtMost(10.0),
            took,
        ),
    ])
}
