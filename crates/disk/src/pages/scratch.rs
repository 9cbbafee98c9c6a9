//! The scratch file: dirty pages that memory has no room for.
//!
//! It has no name, so that nothing is left behind however the process ends.

use super::PAGE;
use super::index::MAX_NUMBER;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Page-sized places in an unnamed file.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: PathBuf,
    file: Option<File>,
    /// Places that the file has.
    places: u32,
    free: Vec<u32>,
    staging: Vec<u8>,
}

impl Scratch {
    pub(super) fn new(dir: PathBuf) -> Scratch {
        Scratch { dir, file: None, places: 0, free: Vec::new(), staging: Vec::new() }
    }

    /// Writes pages and says where each one is. Neighbouring places are written in one call.
    pub(super) fn write<'a>(
        &mut self,
        pages: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> io::Result<Vec<u32>> {
        if self.file.is_none() {
            let file = tempfile::tempfile_in(&self.dir).map_err(|error| self.explain("make", &error))?;
            self.file = Some(file);
        }
        let places = self.take(pages.len())?;
        self.staging.clear();
        for page in pages {
            self.staging.extend_from_slice(page);
        }
        let mut done = 0;
        for run in places.chunk_by(|a, b| a + 1 == *b) {
            let bytes = &self.staging[done * PAGE..(done + run.len()) * PAGE];
            done += run.len();
            let file = self.file.as_ref().expect("opened above");
            if let Err(error) = file.write_all_at(bytes, offset(run[0])) {
                let error = self.explain("write to", &error);
                self.free.extend(places);
                return Err(error);
            }
        }
        Ok(places)
    }

    /// Fills `page` from a place that was written.
    pub(super) fn read(&self, place: u32, page: &mut [u8]) -> io::Result<()> {
        self.read_part(place, 0, page)
    }

    /// Fills `buf` from the bytes after the first `within` of a place that was written.
    pub(super) fn read_part(&self, place: u32, within: usize, buf: &mut [u8]) -> io::Result<()> {
        let file = self.file.as_ref().expect("places are handed out by write, which makes the file");
        file.read_exact_at(buf, offset(place) + within as u64).map_err(|error| self.explain("read", &error))
    }

    /// Gives a place back.
    pub(super) fn release(&mut self, place: u32) {
        self.free.push(place);
    }

    /// Takes `count` places, ascending where they are new.
    fn take(&mut self, count: usize) -> io::Result<Vec<u32>> {
        let reused = self.free.len().min(count);
        let fresh = (count - reused) as u32;
        if fresh > MAX_NUMBER - self.places {
            return Err(io::Error::other("the scratch file of a disk overlay has no places left"));
        }
        let mut taken = self.free.split_off(self.free.len() - reused);
        taken.sort_unstable();
        taken.extend(self.places..self.places + fresh);
        self.places += fresh;
        Ok(taken)
    }

    fn explain(&self, what: &str, error: &io::Error) -> io::Error {
        let message = format!("cannot {what} the scratch file in {}: {error}", self.dir.display());
        io::Error::new(error.kind(), message)
    }
}

fn offset(place: u32) -> u64 {
    u64::from(place) * PAGE as u64
}
