//! Measuring: timers, histograms and their export.
