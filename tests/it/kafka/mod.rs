//! What befalls reading and writing on real brokers: their topics, their network, their locks and bad data.

mod broker;
mod clocks;
mod cluster;
mod ends;
mod large_reports;
mod network;
mod poison;
mod secure;
