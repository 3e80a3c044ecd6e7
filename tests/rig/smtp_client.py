"""Sends one mail as a careful client would and says how it went; shows that the test's mail server works.

Reads {"port", "ca", "user", "password"} on standard input, prints {"sent"} or {"refused": code}.
"""

import email.message
import json
import smtplib
import ssl
import sys


def main():
    case = json.load(sys.stdin)
    mail = email.message.EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "round trip", "a@example.org", "b@example.org"
    mail.set_content("seen")
    with smtplib.SMTP("localhost", case["port"], timeout=20) as client:
        client.starttls(context=ssl.create_default_context(cafile=case["ca"]))
        try:
            client.login(case["user"], case["password"])
            client.send_message(mail)
        except smtplib.SMTPAuthenticationError as refusal:
            return {"refused": refusal.smtp_code}
        except smtplib.SMTPDataError as refusal:
            return {"refused": refusal.smtp_code}
    return {"sent": True}


if __name__ == "__main__":
    print(json.dumps(main()))
