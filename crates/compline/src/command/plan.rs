//! `compline plan`.

use super::day_of;
use crate::arguments::PlanArguments;
use crate::failure::{Ending, Failure};
use crate::plan::words;
use crate::print;
use crate::session::{Clock, environment};
use anyhow::anyhow;
use compline_fetcher::Connector;
use compline_model::RunId;

pub(super) async fn plan(arguments: &PlanArguments, clock: Clock) -> Result<Ending, Failure> {
    let PlanArguments { pipeline, date, discover } = arguments;
    let settings = pipeline.settings()?;
    let now = clock();
    let today = day_of(now);
    let date = date.unwrap_or(today);
    if date > today {
        let what = anyhow!("--date {date}: it is {today} (UTC), so nothing can be of that day yet");
        return Err(Failure::Usage(what));
    }
    let connector = match discover {
        true => Some(Connector::new(environment(&settings).await?, settings.fetch_options(date))),
        false => None,
    };
    let (text, ending) = words(&settings, date, RunId::new(now), connector.as_ref()).await;
    print(&text)?;
    Ok(ending)
}
