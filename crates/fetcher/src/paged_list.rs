//! A list of AWS Config, read page by page, with the lines that its checkpoint is made of.

use crate::AggregatorClient;
use crate::client::{Asked, Call};
use crate::error::{Cause, FetchError};
use crate::lines::{Lines, PageHead};
use crate::paging::{Paging, Refused};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use compline_model::RunId;

/// One list that comes in pages: a shard, or another list of the aggregator.
#[derive(Debug)]
pub(crate) struct PagedList {
    client: AggregatorClient,
    operation: &'static str,
    /// From 1 for a shard; 0 for another list.
    shard: usize,
    /// What it is in an error, such as `, shard 3 (aws_region=eu-west-1)`; nothing for another list.
    label: String,
    run_id: RunId,
    paging: Paging,
    lines: Option<Lines>,
    /// Pages without an item, one after the other.
    empty: u32,
}

/// So many empty pages one after the other are said, and as many again: a list that does not end goes on until the run's deadline.
const MANY_EMPTY: u32 = 100;

/// One step of reading a list.
pub(crate) enum Step<T> {
    /// The items of the next page, and when it arrived.
    Page(Vec<T>, DateTime<Utc>),
    /// What the list gave so far is void: it is read again from its first page.
    Restarted,
}

impl PagedList {
    pub(crate) fn new(client: AggregatorClient, operation: &'static str, run_id: RunId) -> Self {
        let (shard, label) = (0, String::new());
        Self { client, operation, shard, label, run_id, paging: Paging::default(), lines: None, empty: 0 }
    }

    pub(crate) fn of_shard(self, shard: usize, label: String) -> Self {
        Self { shard, label, ..self }
    }

    /// The next step, or nothing after the last page.
    pub(crate) async fn next<T>(
        &mut self,
        ask: impl AsyncFn(Call<'_>) -> Result<Asked<T>, FetchError>,
    ) -> Result<Option<Step<T>>, FetchError> {
        while !self.paging.finished {
            let part = format!("{}, page {}", self.label, self.paging.page + 1);
            let doing = self.client.doing(self.operation, &part);
            let failed = |cause| FetchError::transient(doing.clone(), cause);
            let call = Call { operation: self.operation, part: &part, token: self.paging.token.as_deref() };
            let (page, body) = match ask(call).await? {
                Asked::Answered(page, body) => (page, body),
                Asked::TokenRefused => match self.paging.refused().map_err(|_| failed(Cause::RefusedTooOften))? {
                    Refused::AskAgain => continue,
                    Refused::Restart => {
                        self.lines = None;
                        tracing::warn!(
                            operation = self.operation,
                            shard = self.shard,
                            restarts = self.paging.restarts,
                            "shard restarted: its page token was refused twice"
                        );
                        return Ok(Some(Step::Restarted));
                    }
                },
            };
            self.paging.answered(page.next_token).map_err(|_| failed(Cause::RepeatedToken))?;
            // The clock is read where the answer arrives: the time a row was true is a fact of the wire.
            let arrived = Utc::now();
            self.empty = if page.items.is_empty() { self.empty + 1 } else { 0 };
            if self.empty > 0 && self.empty.is_multiple_of(MANY_EMPTY) {
                let Self { operation, shard, empty, .. } = *self;
                tracing::warn!(
                    operation,
                    shard,
                    empty,
                    "AWS Config answers with one empty page after the other, and names a next one"
                );
            }
            self.record(&body, arrived).map_err(|error| failed(Cause::NotRecorded(error.to_string())))?;
            return Ok(Some(Step::Page(page.items, arrived)));
        }
        Ok(None)
    }

    fn record(&mut self, body: &Bytes, arrived: DateTime<Utc>) -> std::io::Result<()> {
        let head = PageHead::new(self.operation, (self.shard, self.paging.page), arrived, self.run_id);
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => self.lines.insert(Lines::new()?),
        };
        lines.push(head, body)
    }

    /// Every item of the list, and when the last page of it arrived: whole, or an error.
    pub(crate) async fn every_item<T>(
        &mut self,
        ask: impl AsyncFn(Call<'_>) -> Result<Asked<T>, FetchError>,
    ) -> Result<(Vec<T>, DateTime<Utc>), FetchError> {
        let (mut items, mut arrived) = (Vec::new(), DateTime::UNIX_EPOCH);
        while let Some(step) = self.next(&ask).await? {
            match step {
                Step::Page(page, at) => {
                    items.extend(page);
                    arrived = at;
                }
                Step::Restarted => items.clear(),
            }
        }
        Ok((items, arrived))
    }

    /// The lines of all pages, compressed.
    pub(crate) fn lines(self) -> Result<Bytes, FetchError> {
        let doing = self.client.doing(self.operation, &self.label);
        let failed = |error: std::io::Error| FetchError::transient(doing, Cause::NotRecorded(error.to_string()));
        self.lines.map_or(Ok(Bytes::new()), Lines::finish).map_err(failed)
    }
}
