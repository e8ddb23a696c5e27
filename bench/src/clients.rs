//! A thousand live clients on one build, a tenth of whom read nothing: what that costs the build.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::figures::{LOOK, Measured, Reach, Setting, latencies};
use crate::stats::percentile;

/// How many follow the build, and how many of them are stalled.
const CLIENTS: usize = 1_000;
const STALLED: usize = CLIENTS / 10;

/// Events a second of the build.
const RATE: u32 = 200;

/// How often what has come for all clients is taken.
const TAKE: Duration = Duration::from_millis(20);

/// From sending to committing with the clients and without them, one after the other, so that the machine is the same for
/// both.
pub(crate) fn clients(setting: &Setting) -> anyhow::Result<Measured> {
    let (alone, _) = measure(setting, 0)?;
    let (followed, most_mib) = measure(setting, CLIENTS)?;
    Ok(vec![
        (
            "send to committed, 200 events/s, p99",
            "ms",
            Reach::Told,
            alone,
        ),
        (
            "the same with 1,000 live clients",
            "ms",
            Reach::Told,
            followed,
        ),
        (
            "with 1,000 live clients / without",
            "",
            Reach::AtMost(2.0),
            followed / alone,
        ),
        ("memory, 1,000 live clients", "MiB", Reach::Told, most_mib),
    ])
}

/// The 99th percentile in milliseconds, and the most memory in MiB.
fn measure(setting: &Setting, count: usize) -> anyhow::Result<(f64, f64)> {
    let up = setting.up(&[])?;
    let argv = setting.argv(&[
        "--rate",
        &RATE.to_string(),
        "--seconds",
        &setting.whole().to_string(),
    ]);
    let build = up.build("followed", &argv)?;
    let start = Instant::now();
    let clients: Result<Vec<_>, _> = (0..count).map(|_| up.follow(&build)).collect();
    let mut reading = clients?;
    let stalled = reading.split_off(count.saturating_sub(STALLED));
    ensure!(
        start.elapsed().as_secs_f64() < setting.warm_up,
        "opening so many clients took longer than the warm-up"
    );
    let ended = AtomicBool::new(false);
    let mut most_mib = 0.0_f64;
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| take(reading, &ended));
        let mut look = || {
            while start.elapsed().as_secs_f64() < setting.whole() {
                most_mib = most_mib.max(up.resident_mib()?);
                std::thread::sleep(LOOK);
            }
            up.drained()
        };
        let drained = look();
        // Else a measurement that failed would wait for it for ever.
        ended.store(true, Ordering::Release);
        drained?;
        let taken = taking.join().ok().context("read for the clients")??;
        // A text's piece is 80 bytes, and most events are one.
        let least = setting.seconds * f64::from(RATE) * 50.0;
        #[expect(clippy::cast_precision_loss, reason = "bytes are far fewer than 2^52")]
        let is_told = taken as f64 >= least;
        ensure!(
            count == 0 || is_told,
            "a client was told only {taken} bytes"
        );
        anyhow::Ok(())
    })?;
    drop(stalled);
    #[expect(clippy::cast_possible_truncation, reason = "seconds are few")]
    let first = (setting.warm_up * f64::from(RATE)) as i64;
    let mut millis = latencies(&up.trace(&build)?, first);
    up.stop()?;
    #[expect(clippy::cast_precision_loss, reason = "events are few")]
    let share = millis.len() as f64 / (setting.seconds * f64::from(RATE));
    ensure!(
        share > 0.95,
        "the way is known of {share:.2} of the events alone: spans are missing"
    );
    Ok((percentile(&mut millis, 99.0), most_mib))
}

/// Takes what comes for clients until told to end; answers how many bytes the one had that had the fewest.
fn take(mut clients: Vec<TcpStream>, ended: &AtomicBool) -> anyhow::Result<usize> {
    // Clients are on other machines, where nothing of the build's has to wait for them.
    rustix::process::nice(19).context("read for the clients")?;
    for client in &clients {
        client
            .set_nonblocking(true)
            .context("read for the clients")?;
    }
    let mut buffer = vec![0; 256 << 10];
    let mut had = vec![0; clients.len()];
    while !ended.load(Ordering::Acquire) {
        for (client, had) in clients.iter_mut().zip(&mut had) {
            loop {
                // Low priority alone does not make the system take the processor away from it at once.
                std::thread::yield_now();
                match client.read(&mut buffer) {
                    Ok(0) => anyhow::bail!("the server hung up on a live client"),
                    Ok(bytes) => *had += bytes,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).context("read for a client"),
                }
            }
        }
        std::thread::sleep(TAKE);
    }
    Ok(had.into_iter().min().unwrap_or_default())
}
