//! What every stage of Compline speaks: validated names, dates, the compliance type, the answers of AWS Config, and
//! the schema of each table. No I/O, no async, no clock.
//!
//! A value that exists is right: everything here is parsed at the border and cannot be built wrong afterwards.
//!
//! ```
//! use compline_model::{AccountId, Region, SnapshotDate};
//!
//! let account: AccountId = "000000000042".parse()?;
//! let date: SnapshotDate = "2026-03-01".parse()?;
//! assert_eq!((account.as_str(), date.minus_days(1).to_string()), ("000000000042", "2026-02-28".to_owned()));
//! let error = "42".parse::<AccountId>().unwrap_err();
//! assert_eq!(error.to_string(), r#""42" is not an account id: allowed is 12 digits, in quotes so that leading zeros stay"#);
//! assert!("eu-west".parse::<Region>().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod causes;
mod compliance_type;
mod dataset;
mod names;
mod pack_group;
mod quoted;
mod rows;
mod rule_name;
mod run_id;
mod snapshot_date;
mod snapshot_month;
mod table;

pub use answer::{Answers, Compliance, PackAnswer, PackCounts, Page, RuleAnswer, RuleCompliance, SourceAnswer};
pub use causes::causes;
pub use compliance_type::ComplianceType;
pub use dataset::Dataset;
pub use names::{AccountId, AggregatorId, AggregatorName, ConfigRuleName, InvalidName, PackName, Region};
pub use pack_group::pack_group;
pub use quoted::quoted;
pub use rows::{PART_ROWS, RowError, RowSource, named_columns, row_parts};
pub use rule_name::RuleName;
pub use run_id::RunId;
pub use snapshot_date::{InvalidDate, SnapshotDate};
pub use snapshot_month::SnapshotMonth;
pub use table::{Column, ColumnType, SCHEMA_VERSION, Table, WINDOWS, schema_of};
