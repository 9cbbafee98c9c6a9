//! The two growing files of a pack that is being written: its data and its block digests.
//!
//! Data is collected in large buffers that a thread of its own writes, so that hashing the next goes on meanwhile.
//! Blocks of zeros are never written. Both files can be rewound to an earlier position.

use crate::durable::create_new;
use crate::error::{IoContext, Result};
use crate::index::HEADER;
use crate::{BLOCK, BlockDigest};
use direct::{AlignedBuffer, Direct};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// The length of a data buffer, bytes.
const BUFFER: usize = 4 << 20;
/// How many buffers there are: one being filled, the others being written.
const BUFFERS: usize = 3;
/// How many block digests are kept before they are written.
const DIGESTS: usize = 32 << 10;

/// A buffer of data with the ranges that are not zeros.
struct Piece {
    offset: u64,
    bytes: AlignedBuffer,
    runs: Vec<Range<usize>>,
}

impl Piece {
    fn write(&self, file: &PackFile) -> std::io::Result<()> {
        self.runs.iter().try_for_each(|run| {
            file.direct.write_all_at(&file.file, &self.bytes[run.clone()], self.offset + run.start as u64)
        })
    }
}

/// The file of the data, and the way into it past the page cache.
struct PackFile {
    file: File,
    direct: Direct,
}

enum Order {
    Write(Piece),
    Truncate(u64),
}

/// The thread that writes; started when there is more than one buffer to write.
struct Background {
    orders: Sender<Order>,
    /// Buffers come back when they are written, or not at all after an error.
    done: Receiver<std::io::Result<AlignedBuffer>>,
    thread: JoinHandle<()>,
    /// How many buffers it has.
    out: usize,
}

impl Background {
    fn start(file: &Arc<PackFile>) -> std::io::Result<Background> {
        let (orders, to_do) = channel::<Order>();
        let (finished, done) = channel();
        let file = Arc::clone(file);
        let thread = std::thread::Builder::new().name("pack writer".into()).spawn(move || {
            for order in to_do {
                let outcome = match order {
                    Order::Write(piece) => piece.write(&file).map(|()| Some(piece.bytes)),
                    Order::Truncate(length) => file.file.set_len(length).map(|()| None),
                };
                let failed = outcome.is_err();
                if let Some(answer) = outcome.transpose()
                    && (finished.send(answer).is_err() || failed)
                {
                    return;
                }
            }
        })?;
        Ok(Background { orders, done, thread, out: 0 })
    }

    /// Gives an order. That nobody takes it means that an earlier one failed, so that failure is the answer.
    fn order(&self, order: Order) -> std::io::Result<()> {
        self.orders.send(order).or_else(|_| {
            self.done.try_iter().try_for_each(|buffer| buffer.map(drop))?;
            Err(std::io::Error::other("the writing thread ended"))
        })
    }
}

/// The data of a pack.
pub(crate) struct Data {
    path: PathBuf,
    file: Arc<PackFile>,
    /// The buffer that is being filled; `filled` bytes of it are.
    piece: Piece,
    filled: usize,
    background: Option<Background>,
    spare: Vec<AlignedBuffer>,
}

impl Data {
    pub(crate) fn create(path: PathBuf) -> Result<Data> {
        let file = Arc::new(PackFile { file: create_new(&path)?, direct: Direct::open(&path) });
        let piece = Piece { offset: 0, bytes: AlignedBuffer::new(BUFFER), runs: Vec::new() };
        Ok(Data { path, file, piece, filled: 0, background: None, spare: Vec::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next bytes to fill: at least one block, a multiple of the block. Their content is arbitrary.
    pub(crate) fn space(&mut self) -> Result<&mut [u8]> {
        if self.filled == self.piece.bytes.len() {
            self.hand_over().on("write", &self.path)?;
        }
        Ok(&mut self.piece.bytes[self.filled..])
    }

    /// Takes the first block of the [space](Data::space) into the pack.
    pub(crate) fn take_block(&mut self, is_zero: bool) {
        let end = self.filled + BLOCK as usize;
        if !is_zero {
            match self.piece.runs.last_mut() {
                Some(run) if run.end == self.filled => run.end = end,
                _ => self.piece.runs.push(self.filled..end),
            }
        }
        self.filled = end;
    }

    fn hand_over(&mut self) -> std::io::Result<()> {
        if self.background.is_none() {
            self.background = Some(Background::start(&self.file)?);
        }
        let background = self.background.as_mut().expect("it was just started");
        while let Ok(buffer) = background.done.try_recv() {
            background.out -= 1;
            self.spare.push(buffer?);
        }
        let bytes = match self.spare.pop() {
            Some(buffer) => buffer,
            None if background.out + 1 < BUFFERS => AlignedBuffer::new(BUFFER),
            None => {
                background.out -= 1;
                background.done.recv().map_err(std::io::Error::other)??
            }
        };
        let next = self.piece.offset + self.filled as u64;
        let full = std::mem::replace(&mut self.piece, Piece { offset: next, bytes, runs: Vec::new() });
        self.filled = 0;
        background.out += 1;
        background.order(Order::Write(full))
    }

    /// Forgets everything from `offset` (bytes, a multiple of the block) on.
    pub(crate) fn rewind(&mut self, offset: u64) -> Result<()> {
        if offset >= self.piece.offset {
            self.filled = (offset - self.piece.offset) as usize;
            while let Some(run) = self.piece.runs.last_mut() {
                if run.start < self.filled {
                    run.end = run.end.min(self.filled);
                    break;
                }
                self.piece.runs.pop();
            }
            return Ok(());
        }
        // What was written beyond must be gone: a hole may come to lie there.
        self.piece.offset = offset;
        self.piece.runs.clear();
        self.filled = 0;
        let background = self.background.as_ref().expect("only what was handed over lies before the buffer");
        background.order(Order::Truncate(offset)).on("write", &self.path)
    }

    /// Writes what is left and makes all of it durable.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.finish_io().on("write", &self.path)
    }

    fn finish_io(&mut self) -> std::io::Result<()> {
        if let Some(Background { orders, done, thread, .. }) = self.background.take() {
            drop(orders);
            let outcome = done.iter().try_for_each(|buffer| buffer.map(drop));
            thread.join().map_err(|_| std::io::Error::other("the writing thread panicked"))?;
            outcome?;
        }
        self.piece.write(&self.file)?;
        self.file.file.set_len(self.piece.offset + self.filled as u64)?;
        self.file.file.sync_data()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // The thread must not write on after the file was removed, or the space would come back late.
        if let Some(Background { orders, thread, .. }) = self.background.take() {
            drop(orders);
            _ = thread.join();
        }
    }
}

/// The block digests of a pack, in the file that becomes its index.
pub(crate) struct Digests {
    path: PathBuf,
    file: File,
    /// The number of the first block whose digest is still pending.
    first: u64,
    pending: Vec<BlockDigest>,
}

impl Digests {
    pub(crate) fn create(path: PathBuf) -> Result<Digests> {
        let file = create_new(&path)?;
        Ok(Digests { path, file, first: 0, pending: Vec::new() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> u64 {
        self.first + self.pending.len() as u64
    }

    pub(crate) fn push(&mut self, digest: BlockDigest) -> Result<()> {
        self.pending.push(digest);
        if self.pending.len() >= DIGESTS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.file
            .write_all_at(self.pending.as_flattened(), HEADER + self.first * 32)
            .on("write", &self.path)?;
        self.first += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    pub(crate) fn rewind(&mut self, blocks: u64) {
        match blocks.checked_sub(self.first) {
            Some(keep) => self.pending.truncate(keep as usize),
            None => {
                self.first = blocks;
                self.pending.clear();
            }
        }
    }

    /// Passes the digests from block `from` on to `visit`, `chunk` at a time.
    pub(crate) fn read_back(
        &mut self,
        from: u64,
        chunk: u64,
        visit: &mut dyn FnMut(&[BlockDigest]),
    ) -> Result<()> {
        self.flush()?;
        let mut digests = Vec::new();
        let mut at = from;
        while at < self.first {
            digests.resize((self.first - at).min(chunk) as usize, [0; 32]);
            FileExt::read_exact_at(&self.file, digests.as_flattened_mut(), HEADER + at * 32)
                .on("read", &self.path)?;
            visit(&digests);
            at += digests.len() as u64;
        }
        Ok(())
    }

    /// Writes what surrounds the digests and makes the file durable.
    pub(crate) fn finish(&mut self, header: &[u8], tail: &[u8]) -> Result<()> {
        self.flush()?;
        let tail_at = HEADER + self.first * 32;
        let write = || {
            self.file.write_all_at(header, 0)?;
            self.file.write_all_at(tail, tail_at)?;
            self.file.set_len(tail_at + tail.len() as u64)?;
            self.file.sync_all()
        };
        write().on("write", &self.path)
    }
}
