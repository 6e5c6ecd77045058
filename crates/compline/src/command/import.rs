//! `compline import`.

use super::run::perform;
use super::{Clock, day_of};
use crate::arguments::ImportArguments;
use crate::failure::{Ending, Failure};
use crate::nightly::{Night, Source};
use crate::settings::Settings;
use anyhow::anyhow;
use compline_fetcher::FilesAre;

pub(super) async fn import(arguments: ImportArguments, clock: Clock) -> Result<Ending, Failure> {
    let mut settings = Settings::read(&arguments.file, arguments.lake.as_deref()).map_err(Failure::Usage)?;
    settings.keep_only(std::slice::from_ref(&arguments.aggregator)).map_err(Failure::Usage)?;
    let (started_at, date) = (clock(), arguments.date);
    let today = day_of(started_at);
    if date > today {
        return Err(Failure::Usage(anyhow!("--date {date}: it is {today} (UTC), so nothing can be of that day yet")));
    }
    let ImportArguments { paths: files, pages, replace, accept, json, wait, .. } = arguments;
    let files_are = if pages { FilesAre::PagesOfOneList } else { FilesAre::Whole };
    let source = Source::Files { files, files_are, replace };
    let wait = wait.or_none();
    perform(&Night { settings: &settings, date, source, accept, fresh: false, wait, started_at, clock }, json).await
}
