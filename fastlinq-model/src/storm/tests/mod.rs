//! Bring-ups of the storm firmware alone, on a fabric of vectors, by a small driver.

mod aggregation;
mod explicit;
mod frames;
mod harness;
mod hostile;
mod receive;
mod segmentation;
mod slow_path;
mod steering;
mod switching;
mod transmit;
