//! The whole program, as its users run it: the built binary, real HTTP, real files. A file per command or promise.

mod bad_input;
mod bad_nights;
mod check;
mod checkpoints;
mod credentials;
mod damage;
mod environment;
mod held;
mod histories;
mod import;
mod import_rules;
mod journal;
mod kills;
mod leases;
mod ledger;
mod maintain;
mod months;
mod plan;
mod policy;
mod populations;
mod run;
mod s3;
mod s3_calls;
mod support;
mod trends;
mod verify;
