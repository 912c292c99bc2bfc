//! A queue pair gets other rings and buffers while the adapter stays up, and when it does not, nothing is lost.

mod bench;
#[path = "../looping/mod.rs"]
mod looping;
mod refused;
mod sizes;
mod spoiled;
