//! The reports beside the tables: that of the day, and the latest.

use super::{AccountNames, Listing, ReportRequest, figures};
use crate::session::Session;
use anyhow::bail;
use bytes::Bytes;
use compline_model::SnapshotDate;
use compline_sink::ReportFile;

/// How often a report is made again because another run replaced it meanwhile.
const MAX_ATTEMPTS: u32 = 5;

/// Writes the reports of a day that a run was about, where the settings want them.
///
/// # Errors
/// A lake that does not answer, or does not take them: it costs no day.
pub(crate) async fn publish(session: &Session<'_>, date: SnapshotDate) -> anyhow::Result<()> {
    let Some(settings) = session.settings.report.as_ref().filter(|report| report.is_published) else { return Ok(()) };
    let named = AccountNames::of_source(settings.account_names.as_ref(), session.settings).await;
    let (names, without_names) = match named {
        Ok(names) => (names, None),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "the report has no names of accounts");
            // Who reads the report need not see whom AWS was asked as.
            (AccountNames::default(), Some("they could not be read when it was made; the log of the run says why"))
        }
    };
    let named = (&names, without_names);
    for _ in 0..MAX_ATTEMPTS {
        if attempt(session, date, settings.days, named).await? {
            return Ok(());
        }
    }
    bail!("other runs replaced the reports of {date} {MAX_ATTEMPTS} times while they were made")
}

/// Makes the report of a day and the latest; gives whether both are there, since another run may have been quicker with one of them.
async fn attempt(
    session: &Session<'_>,
    date: SnapshotDate,
    days: u32,
    (names, without_names): (&AccountNames, Option<&str>),
) -> anyhow::Result<bool> {
    let lake = &session.lake;
    // Before anything is listed or read: a run that ends meanwhile knows more, also of a later day.
    let of_day = (ReportFile::Of(date), lake.seen_report(ReportFile::Of(date)).await?);
    let latest = (ReportFile::Latest, lake.seen_report(ReportFile::Latest).await?);
    let listed = Listing::of(lake).await?;
    let last = listed.last_day().map_or(date, |last| last.max(date));
    let report = async |date| {
        let request = ReportRequest { date, days, names, without_names, is_whole: true };
        anyhow::Ok(Bytes::from(figures(session, &request, &listed).await?.html()?))
    };
    let html = report(date).await?;
    let is_there = lake.replace_report(of_day.0, of_day.1, html.clone()).await?;
    let html = if last == date { html } else { report(last).await? };
    Ok(lake.replace_report(latest.0, latest.1, html).await? && is_there)
}
