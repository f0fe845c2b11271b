//! The lab from outside: its binary, its server, its far hosts.

mod common;
mod far;
mod measure;
mod phases;
mod relay;
