//! Mails into a folder and over SMTP, against a server that refuses, greylists, hangs up or is silent.

use std::path::Path;

use driftline_config::{
    Email, MailTransport, Receiver, ReceiverKind, Secret, Subject, Wants, WindowId,
};

use super::deliver_http::{PATIENCE, hasty, settings};
use super::servers::{MailRules, MailServer};
use crate::Class;
use crate::deliver::{Deliverer, Outcome};
use crate::mail::{IMAGE_BYTES, IMAGES, Illustrate, Image, Mail, Pictured};
use crate::outbox::{OutboxRow, RowKind};

pub(super) fn mail_row() -> OutboxRow {
    let mail = Mail {
        subject: String::from("[driftline] flight-delay: input shift in dep_delay since 24 June"),
        text: String::from("57 % of requests – ä\n.\nafter a lonely dot\n"),
        html: String::from("<p>57 %</p>\n"),
        message_id: String::from("<4f1c@driftline>"),
        in_reply_to: Some(String::from("<0a0a@driftline>")),
        pictured: vec![Pictured {
            window: WindowId::from("flight-delay@20130624T000000Z.7d"),
            subject: Subject::from("feature:dep_delay"),
            check: String::from("distribution"),
        }],
    };
    OutboxRow {
        id: String::from("4f1c"),
        receiver: String::from("ops"),
        kind: RowKind::Mail(mail),
        model: String::from("flight-delay"),
        class: Class::InputShift,
        at_us: 0,
        created_by: String::from("4f1c"),
    }
}

pub(super) fn receiver(transport: MailTransport) -> Receiver {
    let to = ["a@example.org", "b@example.org", "c@example.org"].map(str::to_owned).to_vec();
    let email = Email { transport, from: String::from("Driftline <d@example.org>"), to };
    Receiver {
        name: String::from("ops"),
        on: vec![Wants::Alerts],
        kind: ReceiverKind::Email(email),
    }
}

pub(super) fn smtp(server: &str, user: Option<(&str, &str)>) -> MailTransport {
    MailTransport::Smtp {
        server: server.to_owned(),
        user: user.map(|(name, _)| name.to_owned()),
        password: user.map(|(_, password)| Secret::new(password)),
        ca: None,
    }
}

fn deliverer(transport: MailTransport) -> Deliverer {
    Deliverer::new(&[receiver(transport)], &settings()).unwrap()
}

async fn send_to(rules: MailRules) -> (MailServer, Outcome) {
    let server = MailServer::start(rules).await;
    let url = format!("smtp+insecure://127.0.0.1:{}", server.port);
    let outcome = deliverer(smtp(&url, None)).send(&mail_row()).await;
    (server, outcome)
}

fn refusing(address: &str, replies: &[&str]) -> MailRules {
    let replies = replies.iter().map(|&reply| reply.to_owned()).collect();
    MailRules { recipients: vec![(address.to_owned(), replies)], ..MailRules::default() }
}

#[tokio::test]
async fn a_mail_arrives_with_its_headers_and_both_parts() {
    let (server, outcome) = send_to(MailRules::default()).await;
    assert_eq!(outcome, Outcome::Delivered);
    let received = server.received().remove(0);
    assert_eq!(received.to.len(), 3);
    for line in [
        "Message-ID: <4f1c@driftline>",
        "In-Reply-To: <0a0a@driftline>",
        "References: <0a0a@driftline>",
        "Auto-Submitted: auto-generated",
        "From: Driftline <d@example.org>",
        "MIME-Version: 1.0",
    ] {
        assert!(received.message.contains(line), "{line} is not in\n{}", received.message);
    }
    assert!(received.message.contains("multipart/alternative"));
    assert!(received.message.contains("after a lonely dot"), "a dot ends no mail of ours");
    assert!(received.message.contains("\nDate: "));
}

fn image(bytes: usize) -> Image {
    Image { alt: String::from("dep_delay: <57 %> & \"more\""), width: 360, png: vec![0x89; bytes] }
}

/// The mail as it arrives, with the images of this function.
async fn illustrated(draw: impl Fn(&Mail) -> Vec<Image> + Send + Sync + 'static) -> String {
    let server = MailServer::start(MailRules::default()).await;
    let url = format!("smtp+insecure://127.0.0.1:{}", server.port);
    let deliverer = deliverer(smtp(&url, None)).illustrated(Illustrate::by(draw));
    assert_eq!(deliverer.send(&mail_row()).await, Outcome::Delivered);
    // Quoted-printable breaks long lines and writes equals signs out.
    let message = server.received().remove(0).message.clone();
    message.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=")
}

#[tokio::test]
async fn images_are_parts_of_the_mail_that_its_html_names() {
    let message = illustrated(|mail| {
        assert_eq!(mail.pictured[0].subject, "feature:dep_delay");
        (0..9).map(|at| image(if at == 1 { IMAGE_BYTES + 1 } else { 9 })).collect()
    })
    .await;
    let count = |text: &str| message.matches(text).count();
    assert_eq!((count("multipart/alternative"), count("multipart/related")), (1, 1), "{message}");
    let ids: Vec<String> = (1..=IMAGES).map(|at| format!("figure-{at}.4f1c@driftline")).collect();
    for id in &ids {
        assert_eq!(count(&format!("Content-ID: <{id}>")), 1, "{id} in {message}");
        assert!(message.contains(&format!("cid:{id}")), "{id} in {message}");
    }
    assert_eq!(count("Content-Type: image/png"), IMAGES, "{message}");
    assert_eq!(count("Content-Disposition: inline"), IMAGES, "{message}");
    assert!(count("&lt;57 %&gt; &amp; &quot;more&quot;") > 0, "{message}");
}

#[tokio::test]
async fn a_mail_whose_images_fail_goes_without_them() {
    let drawings: [fn(&Mail) -> Vec<Image>; 3] =
        [|_| Vec::new(), |_| panic!("no font"), |_| vec![image(IMAGE_BYTES + 1)]];
    for draw in drawings {
        let message = illustrated(draw).await;
        assert!(!message.contains("related") && !message.contains("cid:"), "{message}");
    }
}

#[tokio::test]
async fn a_refused_recipient_keeps_no_other_from_the_mail() {
    let (server, outcome) = send_to(refusing("b@example.org", &["550 no such user"])).await;
    assert_eq!(outcome, Outcome::Delivered);
    assert_eq!(server.received()[0].to.len(), 2);
}

#[tokio::test]
async fn a_greylisted_recipient_is_tried_again_and_the_others_are_not() {
    let server =
        MailServer::start(refusing("b@example.org", &["451 come back", "250 welcome"])).await;
    let url = format!("smtp+insecure://127.0.0.1:{}", server.port);
    let deliverer = deliverer(smtp(&url, None));
    let Outcome::Retry { why, .. } = deliverer.send(&mail_row()).await else {
        panic!("greylisting is not final");
    };
    assert!(why.contains("b@example.org"), "{why}");
    assert_eq!(deliverer.send(&mail_row()).await, Outcome::Delivered);
    let recipients: Vec<usize> = server.received().iter().map(|mail| mail.to.len()).collect();
    assert_eq!(recipients, [2, 1]);
    assert!(server.received()[1].to[0].contains("b@example.org"));
}

#[tokio::test]
async fn a_mail_that_nobody_took_is_not_delivered() {
    let replies = |replies: &[&str]| replies.iter().map(|&reply| reply.to_owned()).collect();
    let recipients = vec![
        (String::from("a@example.org"), replies(&["550 no such user"])),
        (String::from("b@example.org"), replies(&["451 come back", "550 no such user"])),
        (String::from("c@example.org"), replies(&["550 no such user"])),
    ];
    let server = MailServer::start(MailRules { recipients, ..MailRules::default() }).await;
    let url = format!("smtp+insecure://127.0.0.1:{}", server.port);
    let deliverer = deliverer(smtp(&url, None));
    assert!(matches!(deliverer.send(&mail_row()).await, Outcome::Retry { .. }));
    assert!(matches!(deliverer.send(&mail_row()).await, Outcome::Failed { .. }));
}

#[tokio::test]
async fn refusals_of_all_recipients_or_of_the_sender_are_final() {
    let all = ["a", "b", "c"]
        .map(|name| (format!("{name}@example.org"), vec![String::from("550 no such user")]));
    let rules = MailRules { recipients: all.to_vec(), ..MailRules::default() };
    let (server, outcome) = send_to(rules).await;
    assert!(matches!(outcome, Outcome::Failed { .. }));
    assert!(server.received().is_empty());
    let sender = |reply: &str| MailRules { sender: Some(reply.to_owned()), ..MailRules::default() };
    let (_, outcome) = send_to(sender("553 not from you")).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    let (_, outcome) = send_to(sender("421 busy")).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
}

/// lettre#1027: its timeout covers connecting only, a silent server held the sender for ever.
#[tokio::test]
async fn a_silent_server_takes_no_longer_than_the_timeout() {
    let silent = MailRules { silent: true, ..MailRules::default() };
    let silent_after_data = MailRules { silent_after_data: true, ..MailRules::default() };
    for rules in [silent, silent_after_data] {
        let server = MailServer::start(rules).await;
        let url = format!("smtp+insecure://127.0.0.1:{}", server.port);
        let deliverer = Deliverer::new(&[receiver(smtp(&url, None))], &hasty()).unwrap();
        let row = mail_row();
        let outcome = tokio::time::timeout(PATIENCE, deliverer.send(&row)).await;
        let outcome = outcome.expect("the timeout ends it");
        let why = String::from("the mail server 127.0.0.1 did not finish within 500ms");
        assert_eq!(outcome, Outcome::Retry { after: None, why });
    }
}

#[tokio::test]
async fn a_broken_connection_is_replaced_once() {
    let hanging_up = |hang_ups| MailRules { hang_ups, ..MailRules::default() };
    let (server, outcome) = send_to(hanging_up(1)).await;
    assert_eq!((outcome, server.connections()), (Outcome::Delivered, 2));
    let (server, outcome) = send_to(hanging_up(2)).await;
    assert!(matches!(outcome, Outcome::Retry { .. }));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_later() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = deliverer(smtp(&format!("smtp+insecure://{free}"), None)).send(&mail_row()).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
}

#[tokio::test]
async fn starttls_is_required() {
    let server = MailServer::start(MailRules::default()).await;
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let outcome = deliverer(smtp(&url, None)).send(&mail_row()).await;
    let Outcome::Retry { why, .. } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("STARTTLS"), "{why}");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_refused_password_keeps_the_mail() {
    for (reply, is_delivered) in [("535 wrong", false), ("235 welcome", true)] {
        let rules = MailRules { auth: Some(reply.to_owned()), ..MailRules::default() };
        let server = MailServer::start(rules).await;
        let url = format!("smtp+insecure://127.0.0.1:{}", server.port);
        let outcome = deliverer(smtp(&url, Some(("u", "s3cret")))).send(&mail_row()).await;
        assert_eq!(outcome == Outcome::Delivered, is_delivered, "{outcome:?}");
        assert!(matches!(outcome, Outcome::Delivered | Outcome::Retry { .. }));
        assert!(!format!("{outcome:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn a_folder_takes_each_mail_once_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mails = folder.path().join("mails");
    let deliverer = deliverer(MailTransport::Folder(mails.clone()));
    for _ in 0..2 {
        assert_eq!(deliverer.send(&mail_row()).await, Outcome::Delivered);
    }
    let names: Vec<String> = std::fs::read_dir(&mails)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["4f1c-ops.eml"]);
    let written = std::fs::read_to_string(mails.join("4f1c-ops.eml")).unwrap();
    assert!(written.contains("Message-ID: <4f1c@driftline>"));
    assert!(written.contains("To: a@example.org, b@example.org, c@example.org"));
}

#[tokio::test]
async fn an_id_cannot_leave_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mails = folder.path().join("mails");
    let deliverer = deliverer(MailTransport::Folder(mails.clone()));
    let row = OutboxRow { id: String::from("../x/y"), ..mail_row() };
    assert_eq!(deliverer.send(&row).await, Outcome::Delivered);
    assert!(mails.join(".._x_y-ops.eml").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_tried_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside_a_file = file.path().join("mails");
    let outcome = deliverer(MailTransport::Folder(inside_a_file)).send(&mail_row()).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
}

#[test]
fn receivers_that_cannot_work_are_refused_at_the_start() {
    let refused = |transport: MailTransport| {
        Deliverer::new(&[receiver(transport)], &settings()).unwrap_err().to_string()
    };
    for server in ["mail.example.org", "http://mail:25", "smtp://", "smtp://u:p@mail:25"] {
        let problem = refused(smtp(server, None));
        assert!(problem.contains("smtp://host:port"), "{server}: {problem}");
    }
    let MailTransport::Smtp { server, user, .. } = smtp("smtp://mail:587", Some(("u", "p"))) else {
        return;
    };
    let half = MailTransport::Smtp { server: server.clone(), user, password: None, ca: None };
    assert!(refused(half).contains("belong together"));
    let ca = Some(Path::new("/nowhere/ca.pem").to_owned());
    let with_ca =
        |ca| MailTransport::Smtp { server: server.clone(), user: None, password: None, ca };
    assert!(refused(with_ca(ca)).contains("/nowhere/ca.pem"));
    let empty = tempfile::NamedTempFile::new().unwrap();
    assert!(refused(with_ca(Some(empty.path().to_owned()))).contains("no PEM certificate"));

    let mut nobody = receiver(MailTransport::Folder("x".into()));
    if let ReceiverKind::Email(email) = &mut nobody.kind {
        email.to = vec![String::from("not an address")];
    }
    let problem = Deliverer::new(&[nobody], &settings()).unwrap_err().to_string();
    assert!(problem.contains("not an address"), "{problem}");
}

#[tokio::test]
async fn a_mail_server_and_a_folder_are_reached_without_a_mail() {
    let server = MailServer::start(MailRules::default()).await;
    let url = format!("smtp+insecure://127.0.0.1:{}", server.port);
    let reached = deliverer(smtp(&url, None)).reach("ops").await.unwrap();
    assert!(reached.ends_with("answers, no encryption"), "{reached}");
    let refused = deliverer(smtp("smtp://127.0.0.1:1", None)).reach("ops").await.unwrap_err();
    assert!(refused.contains("the mail server 127.0.0.1:1"), "{refused}");

    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| MailTransport::Folder(folder.path().join(name));
    assert!(deliverer(inside("mails")).reach("ops").await.is_ok());
    assert_eq!(folder.path().join("mails").read_dir().unwrap().count(), 0, "nothing is left");
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(deliverer(inside("file")).reach("ops").await.is_err());
}
