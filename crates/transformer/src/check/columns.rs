//! The rows that are kept as the columns of `pack_compliance`.

use super::{Keys, Place, Ranks};
use crate::ShardRows;
use crate::flatten::Row;
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, RecordBatch, StringViewArray, TimestampMillisecondArray,
    UInt32Array,
};
use arrow::compute::take;
use arrow::error::ArrowError;
use compline_model::{RunId, Table, pack_group};
use std::sync::Arc;

/// The columns of the rows at some places. Each text is there once, and its rows point to it.
pub(super) fn columns(shards: &[ShardRows], keys: &Keys<'_>, places: &[Place]) -> Result<RecordBatch, ArrowError> {
    let shard = |place: &Place| &shards[place.shard as usize];
    let row = |place: &Place| -> &Row { &shard(place).rows[place.row as usize] };
    let numbers = |ranks: &Ranks<'_>, number: fn(&Row) -> u32| {
        let rank = |place: &Place| ranks.of_shards[place.shard as usize][number(row(place)) as usize];
        places.iter().map(rank).collect::<UInt32Array>()
    };
    let texts = |texts: &[&str], numbers: &UInt32Array| take(&StringViewArray::from_iter_values(texts), numbers, None);

    let Keys { accounts, regions, names } = keys;
    let account_id = texts(&accounts.texts, &numbers(accounts, |row| row.account))?;
    let aws_region = texts(&regions.texts, &numbers(regions, |row| row.region))?;
    let of_names = numbers(names, |row| row.name);
    let conformance_pack_name = texts(&names.texts, &of_names)?;
    let groups: Vec<&str> = names.texts.iter().map(|name| pack_group(name)).collect();
    let group = texts(&groups, &of_names)?;
    let is_of_organization = groups.iter().zip(&names.texts).map(|(group, name)| Some(group.len() != name.len()));
    let is_organization_pack = take(&is_of_organization.collect::<BooleanArray>(), &of_names, None)?;
    drop(of_names);

    let types = Ranks::of(shards, |shard| &shard.types);
    let of_types: UInt32Array = places
        .iter()
        .map(|place| row(place).compliance_type().map(|number| types.of_shards[place.shard as usize][number as usize]))
        .collect();
    let compliance_type = texts(&types.texts, &of_types)?;
    let counts = |of: fn(&Row) -> Option<i32>| -> ArrayRef {
        Arc::new(places.iter().map(|place| of(row(place))).collect::<Int32Array>())
    };
    let rates: Float64Array = places.iter().map(|place| row(place).counts().rate()).collect();

    let (source_status, source_updated_at) = sources(shards, places)?;
    let (collected_at, run_id) = pages(shards, places)?;
    let columns = vec![
        account_id,
        aws_region,
        conformance_pack_name,
        group,
        is_organization_pack,
        compliance_type,
        counts(|row| row.counts().compliant),
        counts(|row| row.counts().non_compliant),
        counts(|row| row.counts().insufficient_data()),
        counts(|row| row.counts().total),
        Arc::new(rates),
        source_status,
        source_updated_at,
        collected_at,
        run_id,
    ];
    RecordBatch::try_new(Table::PackCompliance.schema(), columns)
}

/// What is known of each row's source. Rows of an account and region follow each other, so that each is looked up once.
fn sources(shards: &[ShardRows], places: &[Place]) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    let mut statuses: Vec<&str> = Vec::new();
    let (mut of_rows, mut times) = (Vec::with_capacity(places.len()), Vec::with_capacity(places.len()));
    let mut last = (None, (None, None));
    for place in places {
        let shard = &shards[place.shard as usize];
        let Row { account, region, .. } = shard.rows[place.row as usize];
        let source = (place.shard, account, region);
        if last.0 != Some(source) {
            let state = shard.sources().get(shard.accounts.get(account), shard.regions.get(region));
            let number = state.map(|state| position(&mut statuses, state.status.as_str()));
            last = (Some(source), (number, state.and_then(|state| state.updated_at)));
        }
        of_rows.push(last.1.0);
        times.push(last.1.1);
    }
    let statuses = take(&StringViewArray::from_iter_values(&statuses), &UInt32Array::from(of_rows), None)?;
    Ok((statuses, Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))))
}

/// When each row was collected, and by which run.
fn pages(shards: &[ShardRows], places: &[Place]) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    let mut runs: Vec<RunId> = Vec::new();
    let (mut of_rows, mut times) = (Vec::with_capacity(places.len()), Vec::with_capacity(places.len()));
    for place in places {
        let page = shards[place.shard as usize].page(place.row as usize);
        of_rows.push(position(&mut runs, page.run_id));
        times.push(page.collected_at);
    }
    let runs: StringViewArray = runs.iter().map(|run_id| Some(run_id.to_string())).collect();
    let run_id = take(&runs, &UInt32Array::from(of_rows), None)?;
    Ok((Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")), run_id))
}

/// The position of a value among the few that there are, where it is added if it is new.
fn position<T: PartialEq>(values: &mut Vec<T>, value: T) -> u32 {
    let at = values.iter().position(|other| *other == value).unwrap_or_else(|| {
        values.push(value);
        values.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}
