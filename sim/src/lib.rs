//! Whole-cluster simulation.
