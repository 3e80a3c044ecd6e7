//! The built binary as a whole: started, loaded, killed, starved, asked; over a real broker where it needs one.

mod bounds;
mod candidates;
mod chaos;
mod crash;
mod demo;
mod errors;
mod first_start;
mod idle;
mod pairs;
mod secrets;
mod serving;
mod store;
mod templates;
mod time;
mod way;
