//! `compline import`.

use super::day_of;
use super::run::perform;
use crate::arguments::ImportArguments;
use crate::failure::{Ending, Failure};
use crate::log::log_work;
use crate::nightly::{RunRequest, Source, nightly};
use crate::session::{Access, Clock};
use crate::settings::Settings;
use anyhow::anyhow;
use compline_fetcher::FilesAre;

pub(super) async fn import(arguments: ImportArguments, clock: Clock) -> Result<Ending, Failure> {
    let progress = log_work();
    let mut settings = Settings::read(&arguments.file, arguments.lake.as_deref()).map_err(Failure::Usage)?;
    settings.keep_only("--aggregator", std::slice::from_ref(&arguments.aggregator)).map_err(Failure::Usage)?;
    let (date, today) = (arguments.date, day_of(clock()));
    if date > today {
        return Err(Failure::Usage(anyhow!("--date {date}: it is {today} (UTC), so nothing can be of that day yet")));
    }
    let ImportArguments { paths: files, pages, from_month, replace, accept, json, wait, .. } = arguments;
    let dataset = arguments.dataset.0;
    let files_are = if pages { FilesAre::PagesOfOneList } else { FilesAre::Whole };
    let source = if from_month { Source::Month } else { Source::Files { files, files_are, replace } };
    let request =
        RunRequest { date, dataset: Some(dataset), source, accept, ignore_checkpoints: false, notifying: None };
    let access = Access::Write { wait: wait.or_none() };
    perform(&settings, ("import", date), access, (clock, progress), json, async |session| {
        session.check_begun(request.date)?;
        nightly(session, &request).await
    })
    .await
}
