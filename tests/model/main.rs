//! A model that watches everything that can be done to one lake.
//!
//! Random sequences of steps (`step`) are done by the built program to a lake (`world`, `operate`). After each, what a reader
//! sees (`lake`) is held against a model (`model`) that is no more than a map from aggregator and day to rows (`watch`). What
//! is otherwise must be the test's own doing, and `verify` must say so; and where nothing is, `verify` must say that.
//!
//! Each sequence comes of a number, which is printed when it fails, beside the shortest sequence that was found and the rule
//! that it breaks. That sequence, as it is printed, goes into `regressions`.
//!
//! ```sh
//! cargo test --workspace --test model                              # a few sequences, always the same
//! COMPLINE_MODEL_CASES=5000 cargo test --workspace --test model    # so many in a folder, a share on S3, with a catalog, of rules
//! COMPLINE_MODEL_SEED=17 cargo test --workspace --test model       # from that number on
//! COMPLINE_MODEL_GO_ON=1 cargo test ...                            # a line for each sequence that fails, none shortened
//! COMPLINE_UNDER_TEST=/path/to/compline cargo test ...             # another binary than the one just built
//! ```

mod aws;
mod catalog;
mod clean;
mod dataset;
mod facts;
mod lake;
mod model;
mod operate;
mod regressions;
mod s3;
mod search;
mod soak;
mod step;
mod trends;
mod watch;
mod world;

use catalog::Moto;
use dataset::Dataset;
use search::search;
use step::Place;

#[test]
fn a_folder_says_what_the_model_says_whatever_is_done_to_it() {
    search(Place::Folder, Dataset::Packs, 1, None);
}

#[test]
fn a_bucket_says_what_the_model_says_whatever_is_done_to_it() {
    search(Place::S3, Dataset::Packs, 4, None);
}

#[test]
fn rules_in_a_folder_are_what_the_model_says_whatever_is_done_to_them() {
    search(Place::Folder, Dataset::Rules, 3, None);
}

#[test]
fn rules_in_a_bucket_are_what_the_model_says_whatever_is_done_to_them() {
    search(Place::S3, Dataset::Rules, 12, None);
}

#[test]
fn a_catalog_shows_what_the_model_says_whatever_is_done_to_the_lake() {
    let moto = Moto::start();
    search(Place::Projected, Dataset::Packs, 16, Some(&moto));
    search(Place::Registered, Dataset::Packs, 16, Some(&moto));
}
