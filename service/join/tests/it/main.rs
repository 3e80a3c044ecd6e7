//! The join against a direct computation, in any order of arrival and through any crash.

mod any_order;
mod columns;
mod sample;
mod world;
