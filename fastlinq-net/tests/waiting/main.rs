//! Tasks that wait for a queue pair, polled by hand: nothing that happens between looking and sleeping is missed.

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod late;
#[path = "../looping/mod.rs"]
mod looping;
mod steps;
mod users;
