//! Tests over the public interface, in the order of the way: decide, retrain, write, deliver.

mod alertmanager;
mod channel;
mod decide;
mod deliver_http;
mod deliver_mail;
mod dispatch;
mod encryption;
mod fold;
mod messages;
mod outbox;
mod properties;
mod retrain;
mod servers;
mod story;
