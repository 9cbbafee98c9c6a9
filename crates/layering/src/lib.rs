//! Capture, compose and compare layers: plan first, then execute.
