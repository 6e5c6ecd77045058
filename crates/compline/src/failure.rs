//! How a command ends when it does not end well.

use crate::leases::Busy;
use std::fmt;

/// Why a command failed, and so its exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage or settings: nothing was done.
    Usage(anyhow::Error),
    /// The command failed.
    Run(anyhow::Error),
    /// Another run is at work: nothing was done.
    Busy(Busy),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Run(_) => 1,
            Self::Busy(_) => 5,
        }
    }

    pub(crate) fn run(error: impl Into<anyhow::Error>) -> Self {
        error.into().downcast().map_or_else(Self::Run, Self::Busy)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The alternate form has the causes, and no backtrace.
            Self::Usage(error) | Self::Run(error) => write!(f, "{error:#}"),
            Self::Busy(busy) => write!(f, "{busy}"),
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
