//! The neutral model of one file-system volume, shared by every file system that Lamina layers.
//!
//! A volume is read as a whole into a [`Tree`] of [`Node`]s and changed through a [`VolumeEditor`], node by node and
//! never by path. File contents are not part of the model: a stream says where its bytes lie on the volume, and an
//! editor is told which ranges of which source to splice in.
//!
//! The model keeps what a file system can hold and interprets little of it. What only one file system has (reparse
//! points, extended attributes, POSIX modes) travels as [`Property`] or [`Security`] and is refused by an editor that
//! cannot express it.

mod editor;
mod error;
mod name;
mod node;
mod tree;

pub use editor::{NewData, NewRun, NewStream, VolumeEditor};
pub use error::{Error, Refusal, Result};
pub use name::Name;
pub use node::{
    FileId, Kind, Link, Metadata, Node, Property, Run, Security, Stream, StreamData, StreamFlags, Times,
};
pub use tree::{Child, Tree, VolumeFacts};
