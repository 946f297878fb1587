//! The configuration: raw as written, lowered to what the program needs, all errors at once.

pub mod model;

pub use model::Config;
