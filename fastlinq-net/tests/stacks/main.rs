//! Network stacks and middleware on two software adapters with a cable between them.

mod embassy;
mod middleware;
mod smoltcp;
mod station;
