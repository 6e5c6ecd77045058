//! The environment that AWS is asked from: variables, profile files, credentials and certificate authorities; and a plain HTTP
//! client for other servers, with the same proxy and authorities.
//!
//! It is loaded in one place for every service, so that what is wrong with it is one sentence before anything is done, and so
//! that no setting of the environment which a pipeline file makes moot stands in the way.

mod attempts;
mod connection;
mod credentials;
mod environment;
mod http;
mod trust;
mod unexplained;
mod variables;

pub use attempts::{FailedAttempts, OnceAWhile};
pub use connection::{connection_hint, credentials_hint, limit_hint};
pub use environment::{Environment, EnvironmentError, Identity};
pub use http::{HttpAnswer, HttpClient, HttpError, HttpUrl, InvalidUrl};
pub use unexplained::{start_of, unexplained};
