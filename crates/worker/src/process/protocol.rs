//! What parent and child say to each other: one JSON value per line.

use crate::{Failure, Job, Outcome, Paths};
use operation::Unit;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, ErrorKind, Read};
use std::path::PathBuf;

/// Version of everything in this module. Parent and child are the same program, unless someone has mixed them up.
pub(super) const PROTOCOL: u32 = 1;

/// Bytes of an order at most.
pub(super) const MAX_ORDER: u64 = 16 << 20;

/// What the child is to do. It is sent once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The store's directory.
    pub(super) store: PathBuf,
    /// The job.
    pub(super) job: Job,
    /// What may be touched.
    pub(super) paths: Paths,
    /// Most memory for data, bytes.
    pub(super) memory: u64,
    /// Most bytes of the answer.
    pub(super) answer: u64,
    /// Whether `qemu-img` may be started.
    pub(super) converter: bool,
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Event {
    /// The first line.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
    },
    /// Something for the log of whoever asked.
    Log(String),
    /// A step of the job begins.
    Step {
        /// Its name.
        name: String,
        /// How much there is to do, where that is known.
        total: Option<u64>,
        /// What amounts count.
        unit: Unit,
    },
    /// So much more of the step is done.
    Advance(u64),
    /// The job is done; the last line.
    Outcome(Box<Outcome>),
    /// The job failed; the last line.
    Failure(Failure),
}

/// A line with its end.
pub(super) fn line<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// The value of the next line of at most `max` bytes; `None` at the end.
///
/// # Errors
/// `InvalidData` when it is longer, is cut off, or is no such value; otherwise what reading gave.
pub(super) fn read_line<T: DeserializeOwned>(from: &mut impl BufRead, max: u64) -> io::Result<Option<T>> {
    let mut bytes = Vec::new();
    from.by_ref().take(max.saturating_add(1)).read_until(b'\n', &mut bytes)?;
    let wrong = |why: String| io::Error::new(ErrorKind::InvalidData, why);
    match bytes.pop() {
        None => Ok(None),
        Some(b'\n') => {
            let value = serde_json::from_slice(&bytes);
            value.map(Some).map_err(|why| wrong(format!("a line is not understood: {why}")))
        }
        Some(_) if bytes.len() as u64 >= max => Err(wrong(format!("a line is longer than {max} bytes"))),
        Some(_) => Err(wrong("the last line is cut off".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], max: u64) -> Result<Option<Event>, String> {
        read_line(&mut &text[..], max).map_err(|why| why.to_string())
    }

    #[test]
    fn what_is_said_is_heard() {
        let step = Event::Step { name: "Storing\nthe disk".into(), total: Some(7), unit: Unit::Bytes };
        let mut text = line(&step).unwrap();
        assert_eq!(text, b"{\"step\":{\"name\":\"Storing\\nthe disk\",\"total\":7,\"unit\":\"bytes\"}}\n");
        text.extend(line(&Event::Advance(3)).unwrap());
        let mut from = &text[..];
        let first = read_line(&mut from, 1000).unwrap();
        assert!(
            matches!(first, Some(Event::Step { name, total: Some(7), .. }) if name == "Storing\nthe disk")
        );
        assert!(matches!(read_line(&mut from, 1000).unwrap(), Some(Event::Advance(3))));
        assert!(read_line::<Event>(&mut from, 1000).unwrap().is_none());
    }

    #[test]
    fn long_cut_and_strange_lines_are_refused_and_read_no_further_than_the_limit() {
        assert!(read(b"{\"advance\":1}\n", 13).unwrap().is_some(), "as long as it may be");
        assert!(read(b"{\"advance\":1}\n", 12).unwrap_err().contains("longer than 12 bytes"));
        assert!(read(b"{\"advance\":1}", 100).unwrap_err().contains("cut off"));
        for strange in
            [&b"hello\n"[..], b"{}\n", b"\n", b"{\"advance\":-1}\n", b"\xff\xfe\n", b"{\"advance\":1}}\n"]
        {
            assert!(read(strange, 100).unwrap_err().contains("not understood"), "{strange:?}");
        }
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert!(read_line::<Event>(&mut endless, 1000).unwrap_err().to_string().contains("longer than"));
    }
}
