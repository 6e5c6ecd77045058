//! AWS Config's side of the wire: AWS JSON 1.1 over HTTP/1.1, with a made-up organization and faults on demand.
//!
//! It answers for conformance packs and their summary, Config rules, aggregators and the status of their sources.
//!
//! `/` answers as of the simulator's own date, `/YYYY-MM-DD` as of any other. boto3 and the AWS CLI work against it as
//! they are. Signatures are not checked; the region they name is, since an aggregator exists in one region.

mod body;
mod days;
mod faults;
mod operation;
mod organization;
mod request;
mod rows;
mod rule_rows;
mod server;
mod token;

pub use faults::{Faults, InvalidFaults};
pub use organization::{AggregatorFacts, Organization, OrganizationSpec};
pub use server::Simulator;
