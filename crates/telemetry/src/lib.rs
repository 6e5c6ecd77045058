//! What a run measured, for those who watch it: the same samples as a text file for Prometheus, in CloudWatch's embedded metric
//! format, and by OTLP, which takes the spans of a run as well.

mod embedded;
mod otlp;
mod prometheus;
mod sample;

pub use embedded::embedded;
pub use otlp::Otlp;
pub use prometheus::prometheus;
pub use sample::{Metric, Sample, Unit};
