//! Bindings to libntfs-3g, generated from its headers.
