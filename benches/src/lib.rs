//! Benchmarks of Flumen's parts.
