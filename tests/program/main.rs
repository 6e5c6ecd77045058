//! The whole program, as its users run it: the built binary, real HTTP, real files.

mod bad_input;
mod bad_nights;
mod import_rules;
mod killed;
mod nights;
mod reading;
mod s3;
mod support;
