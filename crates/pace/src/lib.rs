//! How fast calls are sent to an API whose limit is not known: who calls waits for a turn ([`Pace::turn`]), says how the call was answered
//! ([`Pace::answered`]), and asks when a throttled one is sent again ([`Pace::reserve`]). The law is in `pace.rs`, in eleven steps.

mod pace;

pub use pace::{Line, Pace};
