//! What a run leaves behind: samples, the environment, and the directory that holds both. Layout: `results/README.md`.

pub mod environment;
pub mod sample;
pub mod soak;
pub mod store;
