//! How a command ends when it does not end well.

use crate::leases::Busy;
use crate::settings::Problem;
use compline_aws::EnvironmentError;
use serde::Serialize;
use std::fmt;

/// Why a command failed, and so its exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage or settings: nothing was done.
    Usage(anyhow::Error),
    /// The command failed.
    Run(anyhow::Error),
    /// Another run holds a lease: nothing was done.
    Busy(Busy),
    /// A mistake of ours or of a library's, which has been told.
    Panicked,
}

/// Why nothing was done of a day, where its ledger is to have no row of that: the date or the lake is not this run's to write.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotRecorded(pub(crate) String);

/// Trends go on from a table that is gone and that nothing can compute again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NeedsDropped(pub(crate) String);

/// The work panicked, which has been told.
#[derive(Debug, thiserror::Error)]
#[error("the work panicked")]
pub(crate) struct Panicked;

/// A signal ended the work.
#[derive(Debug, thiserror::Error)]
#[error("stopped by {0}")]
pub(crate) struct Stopped(pub(crate) Signal);

/// A panic, as a line for an operator.
pub(crate) fn words_of_panic(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let what = panic.payload_as_str().unwrap_or("something unexpected");
    let place = panic.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "compline stopped at something that it does not know{place}: {what}; what is committed stays committed, and what was \
         begun is completed by the next run; please report it"
    )
}

/// What a command that has run to its end has to say by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything asked for is done.
    Done,
    /// Nothing of it is.
    Failed,
    /// Some of it is.
    Partial,
    /// A day waits for a person to accept it.
    Held,
    /// A signal ended it.
    Stopped(Signal),
}

/// The signals that end a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Signal {
    #[serde(rename = "SIGINT")]
    Interrupt,
    #[serde(rename = "SIGTERM")]
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Run(_) | Self::Panicked => 1,
            Self::Busy(_) => 5,
        }
    }

    /// The same for people, with what it points at, if it points at something.
    pub(crate) fn shown(&self) -> Option<String> {
        match self {
            Self::Usage(error) => error.downcast_ref::<Problem>()?.shown(),
            _ => None,
        }
    }

    /// The failure of a command, by what its error is.
    pub(crate) fn run(error: impl Into<anyhow::Error>) -> Self {
        let error = error.into();
        if error.is::<EnvironmentError>() {
            return Self::Usage(error);
        }
        if error.is::<Panicked>() {
            return Self::Panicked;
        }
        error.downcast().map_or_else(Self::Run, Self::Busy)
    }
}

impl From<EnvironmentError> for Failure {
    fn from(error: EnvironmentError) -> Self {
        Self::Usage(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The alternate form has the causes, and no backtrace.
            Self::Usage(error) | Self::Run(error) => write!(f, "{error:#}"),
            Self::Busy(busy) => write!(f, "{busy}"),
            Self::Panicked => f.write_str("it panicked"),
        }
    }
}

impl Ending {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Partial => 3,
            Self::Held => 4,
            Self::Stopped(Signal::Interrupt) => 130,
            Self::Stopped(Signal::Terminate) => 143,
        }
    }
}
