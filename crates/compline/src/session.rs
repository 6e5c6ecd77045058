//! A session: one command and the lake that it reads or writes, from opening it to its exit code.
//!
//! Everything that reads or writes a lake goes through here: the lake is opened, leases are acquired, the date is fixed once
//! they are held, a signal or a lost lease ends the work, what is being cleaned up gets its time, and leases are released.

use crate::failure::{Ending, Failure, NotRecorded, Panicked, Signal, Stopped};
use crate::journal::Journal;
use crate::leases::Leases;
use crate::log::{self, SPANS};
use crate::progress::Progress;
use crate::settings::{Settings, lake_name};
use crate::signals;
use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use compline_aws::{Environment, EnvironmentError, Identity};
use compline_model::{AggregatorId, Dataset, RunId, SnapshotDate};
use compline_sink::{Holder, Lake, LakeLocation};
use futures::FutureExt;
use serde::Serialize;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::sync::watch;
use tracing::Instrument;

/// Tells the time.
pub(crate) type Clock = fn() -> DateTime<Utc>;

/// How long stopped work may end by itself. With what follows, it is less than the 30 s that Kubernetes, ECS and systemd give.
const END: Duration = Duration::from_secs(10);

/// How long a stopped command may clean up.
const SETTLE: Duration = Duration::from_secs(3);

/// How far this machine's clock may be off before another UTC day is taken for its mistake. S3 and AWS Config take requests
/// from clocks that are off by less, and within it a run at midnight may be of either day.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// What a session is for.
pub(crate) struct Opening<'a> {
    pub(crate) settings: &'a Settings,
    /// The command, as it is named to those who wait for its leases.
    pub(crate) command: &'static str,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) progress: Progress,
    /// What is said when a signal stops it.
    pub(crate) when_stopped: &'static str,
    /// Whether its work ends by itself at a signal, by [`Session::until_stopped`], since there is something to say of how far it came. Other
    /// work is dropped.
    pub(crate) ends_itself: bool,
    /// Whether it brings nothing and may change what is there, so that it fails where there is no lake: one would be made, and found without
    /// a day and without a problem.
    pub(crate) expects_lake: bool,
}

impl<'a> Opening<'a> {
    /// That of a command which only reads the lake. Warns where a folder is not there, which reads as a lake without days.
    pub(crate) fn to_read(settings: &'a Settings, command: &'static str, clock: Clock, progress: Progress) -> Self {
        if let Some(missing) = missing_folder(settings) {
            log::warned(&missing);
        }
        Self::of(settings, command, Access::Read, (clock, progress), "nothing was changed")
    }

    /// That of a command whose work is dropped at a signal, and which may begin a lake.
    pub(crate) fn of(
        settings: &'a Settings,
        command: &'static str,
        access: Access,
        (clock, progress): (Clock, Progress),
        when_stopped: &'static str,
    ) -> Self {
        Self { settings, command, access, clock, progress, when_stopped, ends_itself: false, expects_lake: false }
    }
}

/// What is wrong where a lake is a folder that is not there.
fn missing_folder(settings: &Settings) -> Option<String> {
    let LakeLocation::Folder(folder) = &settings.lake else { return None };
    // One that may not be looked at is told as that.
    let folder = matches!(folder.try_exists(), Ok(false)).then(|| folder.display())?;
    Some(format!("there is no folder {folder}: is the lake's address right, and is it mounted?"))
}

/// What a session may do to the lake.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    /// Read it.
    Read,
    /// Write the days of the aggregators of the settings, waiting so long for a run that holds one of their leases.
    Write { wait: Duration },
    /// The same for every aggregator that the lake has as well.
    WriteAll { wait: Duration },
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// Its work is done.
    Done(T),
    /// A signal ended it.
    Stopped(Signal, RunId),
}

impl<T> Ended<T> {
    /// The exit code of what came of it.
    pub(crate) fn then(self, told: impl FnOnce(T) -> Result<Ending, Failure>) -> Result<Ending, Failure> {
        match self {
            Self::Done(value) => told(value),
            Self::Stopped(signal, _) => Ok(Ending::Stopped(signal)),
        }
    }
}

/// A command with its lake.
pub(crate) struct Session<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) lake: Lake,
    pub(crate) command: &'static str,
    pub(crate) run_id: RunId,
    /// When the leases were held, and the work began.
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) clock: Clock,
    pub(crate) progress: Progress,
    leases: Leases,
    stop: Stop,
}

/// The signal that is to end a session, once there is one.
type Stop = watch::Receiver<Option<Signal>>;

/// Opens the lake of the settings: for a session, and for `check`, which only probes it.
///
/// # Errors
/// A folder in whose way there is a file; an S3 without a region or credentials.
pub(crate) async fn open_lake(settings: &Settings) -> anyhow::Result<Lake> {
    Ok(Lake::open(&settings.lake, settings.compression).await?)
}

/// The environment that AWS Config is asked from, as the settings have it.
///
/// # Errors
/// One that AWS cannot be asked from.
pub(crate) async fn environment(settings: &Settings) -> Result<Environment, EnvironmentError> {
    Environment::load(settings.identity()).await
}

/// Does work in a session.
///
/// # Errors
/// A lake that does not answer, a lease that another run holds, or whatever the work fails with.
pub(crate) async fn session<T>(
    opening: Opening<'_>,
    work: impl AsyncFnOnce(&Session<'_>) -> anyhow::Result<T>,
) -> Result<Ended<T>, Failure> {
    for warning in &opening.settings.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(missing) = missing_folder(opening.settings).filter(|_| opening.expects_lake) {
        return Err(Failure::Run(anyhow::anyhow!(missing)));
    }
    let asked_at = (opening.clock)();
    let run_id = RunId::new(asked_at);
    let opened = async {
        if opening.settings.has_aws_lake() {
            // What is wrong with it is wrong usage, and said before anything is asked.
            Environment::load(Identity::DefaultChain).await?;
        }
        open_lake(opening.settings).await.map_err(Failure::run)
    };
    let lake = tokio::select! {
        lake = opened => lake?,
        signal = signals::received() => return Ok(Ended::Stopped(signal, run_id)),
    };
    let (command, when_stopped, ends_itself) = (opening.command, opening.when_stopped, opening.ends_itself);
    let (stopper, stop) = watch::channel(None);
    // On the heap: the future of a whole command is large.
    let mut work = Box::pin(within(opening, (asked_at, run_id), (lake.clone(), stop), work));
    let mut is_hurried = false;
    let ended = tokio::select! {
        done = &mut work => done.map(Ended::Done).map_err(Failure::run),
        signal = signals::received() => {
            tracing::warn!(%run_id, "stopped: {when_stopped}");
            stopper.send_replace(Some(signal));
            tokio::select! {
                ended = tokio::time::timeout(END, &mut work), if ends_itself => match ended {
                    Ok(Err(error)) if !error.is::<Stopped>() && !error.is::<Panicked>() => tracing::error!("{error:#}"),
                    _ => {}
                },
                // Whoever asks again does not want to wait.
                () = signals::received_again(), if ends_itself => is_hurried = true,
                else => {
                    let outcome = StoppedSession { run_id: run_id.to_string(), outcome: "stopped" };
                    log::outcome(command, Ending::Stopped(signal), &outcome);
                }
            }
            Ok(Ended::Stopped(signal, run_id))
        }
    };
    drop(work);
    match ended {
        Ok(Ended::Stopped(..)) if is_hurried => {}
        Ok(Ended::Stopped(..)) => settle_soon(&lake).await,
        _ => tokio::select! {
            () = lake.settle() => {}
            _ = signals::received() => {}
        },
    }
    ended
}

/// Waits for what is being cleaned up, for as long as a stopped command may.
async fn settle_soon(lake: &Lake) {
    let _ = tokio::time::timeout(SETTLE, lake.settle()).await;
}

/// What a command that was dropped says of itself to machines.
#[derive(Serialize)]
struct StoppedSession {
    run_id: String,
    outcome: &'static str,
}

async fn within<T>(
    opening: Opening<'_>,
    (asked_at, run_id): (DateTime<Utc>, RunId),
    (lake, stop): (Lake, Stop),
    work: impl AsyncFnOnce(&Session<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let Opening { settings, command, access, clock, progress, expects_lake, .. } = opening;
    if expects_lake && !lake.is_there().await? {
        let name = lake_name(&settings.lake);
        bail!("there is nothing of Compline in {name}: is the lake's address right, and is it mounted?");
    }
    let leases = match access {
        Access::Read => Leases::none(),
        Access::Write { wait } | Access::WriteAll { wait } => {
            let mut ids: BTreeSet<AggregatorId> =
                settings.aggregators.iter().map(|one| one.address.id.clone()).collect();
            if matches!(access, Access::WriteAll { .. }) {
                ids.extend(lake.inventory(asked_at).await?.aggregators());
            }
            let holder = Holder::here(run_id, command, asked_at);
            unless_stopped(&stop, Leases::acquire(&lake, ids, &holder, wait)).await?
        }
    };
    // After the leases: while another run was waited for, midnight may have passed.
    let started_at = clock();
    let session = Session { settings, lake, command, run_id, started_at, clock, progress, leases, stop };
    // A panic ends the work as an error does: the leases are released, and what is in the journal is the next session's.
    let span = tracing::info_span!(target: SPANS, "run", run_id = %session.run_id, command);
    let done = AssertUnwindSafe(Box::pin(work(&session)).instrument(span)).catch_unwind().await;
    if session.stopped_by().is_some() {
        // What was dropped may still be written: before another run may write.
        settle_soon(&session.lake).await;
    }
    session.leases.release().await;
    done.unwrap_or_else(|_| bail!(Panicked))
}

/// Does work until a signal is to end it.
///
/// # Errors
/// Those of the work, or [`Stopped`].
async fn unless_stopped<T>(stop: &Stop, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut stop = stop.clone();
    let stopped = async {
        match stop.wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(signal)) => Stopped(signal),
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        // First the work: what is done is done, and what ends by itself knows more of how far it came.
        biased;
        done = work => done,
        stopped = stopped => Err(stopped.into()),
    }
}

/// How far this machine's clock is off, in words. `ahead` is how far the server's is ahead of it.
fn clock_is_off(server: &str, ahead: TimeDelta) -> String {
    let way = if ahead < TimeDelta::zero() { "ahead" } else { "behind" };
    let off = humantime::format_duration(Duration::from_secs(ahead.num_seconds().unsigned_abs()));
    format!("this machine's clock is {off} {way} of {server}'s")
}

/// Compares this machine's clock with a server's, for a person who is there to set it.
///
/// # Errors
/// It is off by more than S3 and AWS Config take requests with.
pub(crate) fn check_clock(server: &str, ahead: TimeDelta) -> Result<(), String> {
    if ahead.abs() <= CLOCK_TOLERANCE {
        return Ok(());
    }
    Err(format!("{}; set the clock (NTP): a run on a wrong day writes nothing", clock_is_off(server, ahead)))
}

impl Session<'_> {
    /// The UTC day on which the session began.
    pub(crate) fn today(&self) -> SnapshotDate {
        SnapshotDate::from(self.started_at.date_naive())
    }

    /// Whether this session may write an aggregator's days.
    pub(crate) fn may_write(&self, id: &AggregatorId) -> bool {
        self.leases.has(id)
    }

    /// The lake as this session may write it for an aggregator.
    pub(crate) fn lake_of(&self, id: &AggregatorId) -> Lake {
        self.leases.fenced(&self.lake, id)
    }

    /// How far the clock of the lake's server is ahead of this machine's; nothing for a folder.
    pub(crate) fn clock_offset(&self) -> Option<TimeDelta> {
        self.lake.clock_offset()
    }

    /// The run that holds the lease of an aggregator, if it is another than this one.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn other_holder(&self, id: &AggregatorId) -> anyhow::Result<Option<Holder>> {
        if self.leases.has(id) {
            return Ok(None);
        }
        Ok(self.lake.lease_holder(id).await?)
    }

    /// The journal of an aggregator's dataset, in which what stopped runs left is finished by now.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn journal(&self, dataset: &'static Dataset, id: &AggregatorId) -> anyhow::Result<Journal> {
        Journal::open(self.lake_of(id).of(dataset), id.clone(), self.run_id, self.command, (self.clock)()).await
    }

    /// Does work on an aggregator's days for as long as its lease is held.
    ///
    /// # Errors
    /// Those of the work, or a lease that was lost.
    pub(crate) async fn guarded<T>(
        &self,
        id: &AggregatorId,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            error = self.leases.lost(id) => Err(error.into()),
        }
    }

    /// Does work until a signal is to end the session.
    ///
    /// # Errors
    /// Those of the work, or [`Stopped`].
    pub(crate) async fn until_stopped<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        unless_stopped(&self.stop, work).await
    }

    /// The signal that ended the session's work, if one did.
    pub(crate) fn stopped_by(&self) -> Option<Signal> {
        *self.stop.borrow()
    }

    /// The UTC day by the clock of the lake's server, where that is far from this machine's.
    pub(crate) fn today_there(&self) -> SnapshotDate {
        let ahead = self.clock_offset().filter(|ahead| ahead.abs() > CLOCK_TOLERANCE).unwrap_or_default();
        SnapshotDate::from(((self.clock)() + ahead).date_naive())
    }

    /// Compares a day that was given with the clock of the lake's server.
    ///
    /// # Errors
    /// It has not begun there.
    pub(crate) fn check_begun(&self, date: SnapshotDate) -> anyhow::Result<()> {
        let there = self.today_there();
        if date <= there {
            return Ok(());
        }
        let clock = clock_is_off("S3", self.clock_offset().unwrap_or_default());
        bail!(NotRecorded(format!(
            "{clock}: there it is {there} (UTC), so nothing can be of {date} yet; set the clock (NTP); nothing was written"
        )))
    }

    /// Compares the session's date with a server's clock, which is that much ahead of this machine's.
    ///
    /// # Errors
    /// It is another UTC day there: what is collected now would be committed as another day's.
    pub(crate) fn check_date(&self, date: SnapshotDate, server: &str, ahead: Option<TimeDelta>) -> anyhow::Result<()> {
        let Some(ahead) = ahead.filter(|ahead| ahead.abs() > CLOCK_TOLERANCE) else { return Ok(()) };
        let there = SnapshotDate::from((self.started_at + ahead).date_naive());
        if there == date {
            return Ok(());
        }
        let clock = clock_is_off(server, ahead);
        bail!(NotRecorded(format!(
            "{clock}: here it is {date} (UTC) and there {there}, and a day would be \
             taken for another; set the clock (NTP) and run again; nothing was written"
        )))
    }
}
