"""Reads a mail with Python's own parser: {"mail"} in, {"subject", "text", "html", "defects"} out."""

import email
import email.policy
import json
import sys

if __name__ == "__main__":
    mail = email.message_from_string(json.load(sys.stdin)["mail"], policy=email.policy.default)
    bodies = {kind: mail.get_body((kind,)) for kind in ("plain", "html")}
    text, html = (body and body.get_content() for body in bodies.values())
    defects = [repr(defect) for part in mail.walk() for defect in part.defects]
    json.dump({"subject": mail["subject"], "text": text, "html": html, "defects": defects}, sys.stdout)
