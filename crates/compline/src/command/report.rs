//! `compline report`.

use crate::arguments::{ReportArguments, ReportFormat};
use crate::failure::{Ending, Failure};
use crate::log::{self, log_to_stderr};
use crate::output::{document, done_result};
use crate::replace::replace;
use crate::report::{AccountNames, Listing, ReportRequest, figures};
use crate::session::{Clock, Opening, Session, session};
use crate::settings::{NamesSource, REPORT_DAYS};
use crate::signals;
use anyhow::{Context, anyhow};
use compline_report::Figures;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) async fn report(arguments: &ReportArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_to_stderr("error");
    let settings = arguments.pipeline.settings()?;
    let wanted = settings.report.as_ref();
    let today = super::day_of(clock());
    let date = arguments.date.unwrap_or(today);
    if date > today {
        return Err(Failure::Usage(anyhow!("--date {date}: it is {today} (UTC), so nothing can be of that day yet")));
    }
    let days = arguments.days.or(wanted.map(|report| report.days)).unwrap_or(REPORT_DAYS);
    let source = arguments.account_names.as_ref().or(wanted.and_then(|report| report.account_names.as_ref()));
    let names = tokio::select! {
        names = AccountNames::of_source(source, &settings) => names.map_err(|error| match source {
            Some(NamesSource::Organizations) => Failure::run(error),
            _ => Failure::Usage(error),
        })?,
        signal = signals::received() => return Ok(Ending::Stopped(signal)),
    };
    let is_whole = !arguments.pipeline.is_partial();
    let opening = Opening::to_read(&settings, "report", clock, progress);
    let ended = session(opening, async |session: &Session<'_>| {
        let request = ReportRequest { date, days, names: &names, without_names: None, is_whole };
        let listed = Listing::of(&session.lake).await?;
        Box::pin(figures(session, &request, &listed)).await
    });
    ended.await?.then(|figures| {
        if let Some(why) = &figures.without_names {
            log::warned(&format!("the report has no names of accounts: {why}"));
        }
        let text = text(&figures, arguments.format).map_err(Failure::Run)?;
        let default = (arguments.format == ReportFormat::Html).then(|| PathBuf::from("report.html"));
        match arguments.output.clone().or(default).filter(|path| path.as_os_str() != "-") {
            None => document(&text)?,
            Some(path) if is_same(&path, &arguments.pipeline.file) => {
                let path = path.display();
                return Err(Failure::Usage(anyhow!("--output {path}: that is the pipeline file; give another FILE")));
            }
            Some(path) => {
                write(&path, &text).map_err(Failure::Run)?;
                done_result(&format!("the report of {date} is in {}\n", path.display()));
            }
        }
        Ok(Ending::Done)
    })
}

fn text(figures: &Figures, format: ReportFormat) -> anyhow::Result<String> {
    Ok(match format {
        ReportFormat::Html => figures.html()?,
        ReportFormat::Json => figures.json()?,
        ReportFormat::Csv => figures.csv()?,
        ReportFormat::Markdown => figures.markdown(),
    })
}

/// Whether two paths are of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Writes a file at once, or leaves it as it was.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let doing = || format!("cannot write the report to {}", path.display());
    // A device, such as /dev/stdout, is no file to be replaced.
    if path.starts_with("/dev") && std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut device| device.write_all(text.as_bytes()))
            .with_context(doing);
    }
    replace(path, text.as_bytes()).with_context(doing)
}
