//! Content-addressed storage: packs laid out for splicing, objects, references, garbage collection, check.
