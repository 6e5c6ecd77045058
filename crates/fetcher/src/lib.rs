//! AWS Config to pages: the plan of shards, the SDK adapter, pagination, pages kept as files.
//!
//! A [`Connector`] makes one [`AggregatorClient`] per aggregator; [`plan_shards`] splits what is wanted into [`Shard`]s;
//! a [`ShardReader`] reads one of them page by page. The only retry is the SDK's, at a pace of our own; the only thing
//! done on top of it is to read a shard anew when AWS Config refuses its page token.

mod accounts;
mod client;
mod connect;
mod discover;
mod dump;
mod error;
mod found;
mod in_turn;
mod lines;
#[cfg(test)]
#[path = "../../../tests/mutate.rs"]
mod mutate;
mod pack_counts;
mod paged_list;
mod paging;
mod plan;
mod population;
mod probe;
mod reader;
mod recorder;
mod wire;

pub use accounts::account_names;
pub use client::{AggregatorClient, page_rows};
pub use connect::{AggregatorAddress, Connector, FetchOptions, Role};
pub use discover::{CountedPacks, Discovery, ShardPlan, Sources, Wanted};
pub use dump::{Archive, Dump, DumpError, Dumped, FilesAre, SourcesPage, read_shard};
pub use error::{FetchError, FetchErrorKind};
pub use found::FoundAggregator;
pub use plan::{FanOut, Filter, FilterLists, Shard, Split, UnknownFanOut, plan_shards, split_needed};
pub use population::Population;
pub use probe::Probe;
pub use reader::{ShardReader, ShardStep, ShardTally};
pub use recorder::CallCounts;
