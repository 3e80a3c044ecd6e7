//! An hour of accidents on a real broker: one opening mail for each, and none for what is no accident.

mod hour;
mod mail;
