//! Does every row end where it belongs, once, whatever an agent, a disk or a twin does?

mod adopt;
mod aside;
mod disk;
mod exactly_once;
mod identity;
mod rows;
mod world;
