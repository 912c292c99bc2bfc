//! Runs the init program of the storm firmware file.
