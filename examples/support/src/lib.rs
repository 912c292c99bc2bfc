//! What the examples share: choosing an adapter, bringing it up, and somebody at the other end of its cable.
//!
//! On a card there is a network at the other end. The software adapter in the same process has nothing there, so the
//! examples join a second one to it, from which a [`Visitor`] sends.

mod adapter;
mod visitor;

pub use adapter::{
    AdapterArgs, Running, UpAdapter, bring_up, idle, open_far_port, stop_flag, storage,
};
pub use fastlinq_host::{AdapterName, AnyHost};
pub use visitor::Visitor;

#[doc = include_str!("../../../docs/host-guide.md")]
pub mod host_guide {}

#[cfg(test)]
mod tests {
    /// Lines of the guide's first program that a reader sees.
    fn skeleton() -> impl Iterator<Item = &'static str> {
        let guide = include_str!("../../../docs/host-guide.md").lines();
        let block = guide.skip_while(|line| *line != "```rust").skip(1);
        let block = block.take_while(|line| *line != "```");
        block.filter(|line| *line != "#" && !line.starts_with("# "))
    }

    #[test]
    fn the_skeleton_of_a_host_has_a_hundred_lines() {
        let lines = skeleton().count();
        assert!((40..=100).contains(&lines), "{lines} lines");
        assert!(skeleton().any(|line| line.contains("Host for Board")));
    }
}
