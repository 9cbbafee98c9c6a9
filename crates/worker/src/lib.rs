//! Engine jobs: one request in, one result out, on a store and disk files.
