//! `sy`: a file sync tool with rsync's habits, built to be faster than rsync.
//!
//! The modules, in the order in which a file passes:
//!
//! | module | for |
//! |---|---|
//! | [`cli`] | the command line: as typed, resolved; everything that is printed |
//! | [`location`] | `PATH` and `[USER@]HOST:PATH`; what a trailing slash means |
//! | [`client`], [`server`], [`local`] | the three ways in: a sync with another machine, its other end, a sync on one machine |
//! | [`transport`] | links: the remote shell, standard input and output, memory |
//! | [`session`] | one sync over one link: the roles, the file list whole or in chunks, what is under way |
//! | [`protocol`] | frames and messages; its head is the protocol's reference |
//! | [`source`], [`filter`] | the trees that are sent, and what is left out of them |
//! | [`ids`] | the owners of the other machine as those of this one |
//! | [`plan`] | what is done about one entry |
//! | [`delta`] | Tridgell's algorithm: signature, generator, patch |
//! | [`destination`] | what is made, deleted and put right at the other side |
//! | [`tree`] | a tree on disk, always reached through a handle on its root |
//! | [`options`], [`events`], [`error`] | what both ends know; what a watcher is told; what can end a sync |
//! | [`heap`] | what the allocator was asked for, in a build with the instrument for it |
//! | [`phases`] | the table of optimizations, each a cargo feature with one seam |
//! | [`daemon`] | the persistent server, and the connections that it keeps for syncs to come |
//!
//! Dependencies point down this list. `delta` names no other module, `transport` only the errors.

#![warn(missing_docs)]

pub mod cli;
pub mod client;
pub mod daemon;
pub mod delta;
pub mod destination;
pub mod error;
pub mod events;
pub mod filter;
pub mod heap;
pub mod ids;
pub mod local;
pub mod location;
pub mod options;
pub mod phases;
pub mod plan;
pub mod protocol;
pub mod server;
pub mod session;
pub mod source;
pub mod transport;
pub mod tree;
