//! The whole program, as its users run it: the built binary, real HTTP, real files.

mod answers;
mod bad_input;
mod bad_nights;
mod checked;
mod connecting;
mod damaged;
mod histories;
mod import_rules;
mod imports;
mod journaled;
mod killed;
mod leases;
mod maintained;
mod moto;
mod nights;
mod planning;
mod populations;
mod reading;
mod recomputed;
mod resumed;
mod s3;
mod support;
mod verified;
