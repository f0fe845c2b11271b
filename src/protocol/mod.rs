#![doc = include_str!("PROTOCOL.md")]

pub mod batch;
pub mod buffers;
pub mod chunk;
pub mod codec;
mod extensions;
mod fields;
pub mod frame;
pub mod hello;
pub mod message;
pub mod payload;

#[cfg(test)]
mod tests;
