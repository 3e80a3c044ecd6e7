//! What is to be delivered survives the way into the store and back.

use driftline_alerting::Class;
use driftline_alerting::alertmanager::Alert;
use driftline_alerting::mail::{Mail, Pictured};
use driftline_alerting::outbox::RowKind;
use driftline_config::WindowId;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

fn mails() -> impl Strategy<Value = RowKind> {
    let pictured = any::<[String; 3]>().prop_map(|[window, subject, check]| Pictured {
        window: WindowId::from(window),
        subject: Subject::from(subject),
        check,
    });
    let pictured = vec(pictured, 0..3);
    let parts = (any::<[String; 4]>(), option::of(any::<String>()), pictured);
    parts.prop_map(|([subject, text, html, message_id], in_reply_to, pictured)| {
        RowKind::Mail(Mail { subject, text, html, message_id, in_reply_to, pictured })
    })
}

fn alerts() -> impl Strategy<Value = RowKind> {
    let texts = || btree_map(any::<String>(), any::<String>(), 0..4);
    let ends = (any::<i64>(), option::of(any::<i64>()));
    let parts = (texts(), texts(), ends, option::of(any::<String>()));
    parts.prop_map(|(labels, annotations, (starts_us, ends_us), generator_url)| {
        RowKind::Alert(Alert { labels, annotations, starts_us, ends_us, generator_url })
    })
}

fn bodies() -> impl Strategy<Value = OutboxBody> {
    let webhooks = any::<[String; 2]>().prop_map(|[event, body]| RowKind::Webhook { event, body });
    let kinds = prop_oneof![mails(), webhooks, alerts()];
    let class = prop::sample::select(Class::ALL.to_vec());
    let rows = (kinds, any::<[String; 4]>(), class, any::<i64>());
    let messages = rows.prop_map(|(kind, [id, receiver, model, created_by], class, at_us)| {
        let row = OutboxRow { id, receiver, kind, model, class, at_us, created_by };
        OutboxBody::Message(Box::new(row))
    });
    let reports = any::<[String; 2]>().prop_map(|[key, value]| OutboxBody::Report { key, value });
    prop_oneof![messages, reports]
}

proptest! {
    /// A body that cannot be written fails the commit, and the service with it; one that comes back otherwise
    /// is a message that was never decided on.
    #[test]
    fn every_body_of_the_outbox_is_what_it_was_after_the_store(body in bodies()) {
        let bytes = serde_json::to_vec(&body).unwrap();
        prop_assert_eq!(serde_json::from_slice::<OutboxBody>(&bytes).unwrap(), body);
    }
}
