//! Answers whole, and answers that stop half way.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// An answer's body; `ending` is what comes after its first part.
#[derive(Debug)]
pub(crate) struct Answer {
    first: Option<Bytes>,
    ending: Ending,
    length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Whole,
    Stalled,
    Cut,
}

impl Answer {
    pub(crate) fn whole(body: Bytes) -> Self {
        Self { length: body.len() as u64, first: Some(body), ending: Ending::Whole }
    }

    /// Half of it, and then nothing more on an open connection.
    pub(crate) fn stalled(body: Bytes) -> Self {
        Self { length: body.len() as u64, first: Some(body.slice(..body.len() / 2)), ending: Ending::Stalled }
    }

    /// Half of it, and then the connection is closed.
    pub(crate) fn cut(body: Bytes) -> Self {
        Self { length: body.len() as u64, first: Some(body.slice(..body.len() / 2)), ending: Ending::Cut }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match (self.first.take(), self.ending) {
            (Some(first), _) => Poll::Ready(Some(Ok(Frame::data(first)))),
            (None, Ending::Whole) => Poll::Ready(None),
            (None, Ending::Cut) => Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted)))),
            (None, Ending::Stalled) => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
