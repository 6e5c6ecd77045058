//! The reports beside the tables: that of the day, and the latest.

use super::{AccountNames, ReportRequest, figures};
use crate::session::Session;
use anyhow::bail;
use bytes::Bytes;
use compline_model::{Dataset, SnapshotDate};
use compline_sink::ReportFile;

/// How often a report is made again because another run replaced it meanwhile.
const MAX_ATTEMPTS: u32 = 5;

/// Writes the reports of a day that a run was about, where the settings want them.
///
/// # Errors
/// A lake that does not answer, or does not take them: it costs no day.
pub(crate) async fn publish(session: &Session<'_>, date: SnapshotDate) -> anyhow::Result<()> {
    let Some(settings) = &session.settings.report else { return Ok(()) };
    let names =
        AccountNames::of_source(settings.account_names.as_ref(), session.settings).await.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "the report has no names of accounts");
            AccountNames::default()
        });
    let days = session.lake.partitions(Dataset::PACKS.facts).await?;
    let last = days.values().filter_map(|dates| dates.last()).max().copied().unwrap_or(date).max(date);
    let of_day = ReportFile::Of(date);
    if date == last {
        return write(session, &[of_day, ReportFile::Latest], date, settings.days, &names).await;
    }
    write(session, &[of_day], date, settings.days, &names).await?;
    write(session, &[ReportFile::Latest], last, settings.days, &names).await
}

/// Makes a report once for all the files that it is to be in, and again while another run was quicker with one of them.
async fn write(
    session: &Session<'_>,
    files: &[ReportFile],
    date: SnapshotDate,
    days: u32,
    names: &AccountNames,
) -> anyhow::Result<()> {
    for _ in 0..MAX_ATTEMPTS {
        // Before the tables are read: a run that ends meanwhile knows more.
        let mut seen = Vec::with_capacity(files.len());
        for file in files {
            seen.push((*file, session.lake.seen_report(*file).await?));
        }
        let request = ReportRequest { date, days, names, is_whole: true };
        let html = Bytes::from(figures(session, &request).await?.html()?);
        let mut is_there = true;
        for (file, seen) in seen {
            is_there &= session.lake.replace_report(file, seen, html.clone()).await?;
        }
        if is_there {
            return Ok(());
        }
    }
    bail!("other runs replaced the report of {date} {MAX_ATTEMPTS} times while it was made")
}
