"""A webhook receiver for the tests: checks Standard Webhooks signatures with code of its own.

    webhook_server.py [OPTIONS AS JSON]

Prints one JSON line when it listens ({"port"}) and one for each delivery: path, headers, body (as
text), the status it answered, and `fault`: null when the signature holds, else what is wrong.
"""

import base64
import hashlib
import hmac
import http.server
import json
import sys
import threading
import time

OPTIONS = {
    "secret": None,  # whsec_<base64>, or any text taken as bytes; null: signatures are not looked at
    "statuses": [],  # answers to the first deliveries, 204 afterwards
    "headers": {},  # sent with every answer, such as Retry-After or Location
    "silent": False,  # take the request and never answer
}
TOLERANCE_S = 300
OUTPUT = threading.Lock()


def say(line):
    with OUTPUT:
        print(json.dumps(line), flush=True)


def key_of(secret):
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"))
    return secret.encode()


def fault_of(secret, headers, body):
    """What is wrong with a delivery by the Standard Webhooks specification, or None."""
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if name not in headers:
            return f"no {name} header"
    try:
        age_s = time.time() - int(headers["webhook-timestamp"])
    except ValueError:
        return "webhook-timestamp is not a whole number of seconds"
    if abs(age_s) > TOLERANCE_S:
        return f"webhook-timestamp is {age_s:.0f} s old"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    for word in headers["webhook-signature"].split():
        version, _, value = word.partition(",")
        if version == "v1" and hmac.compare_digest(base64.b64decode(value), wanted):
            return None
    return "no signature matches"


class Receiver(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, options):
        super().__init__(("127.0.0.1", 0), Delivery)
        self.options, self.statuses, self.turn = options, list(options["statuses"]), threading.Lock()


class Delivery(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        options = self.server.options
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if options["silent"]:
            say({"path": self.path, "headers": headers, "body": body.decode(), "status": None,
                 "fault": None})
            threading.Event().wait()
        with self.server.turn:
            status = self.server.statuses.pop(0) if self.server.statuses else 204
        fault = options["secret"] and fault_of(options["secret"], headers, body)
        # First: whoever has its answer may look at what was printed.
        say({"path": self.path, "headers": headers, "body": body.decode(),
             "status": 401 if fault else status, "fault": fault})
        self.send_response(401 if fault else status)
        for name, value in options["headers"].items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    receiver = Receiver(OPTIONS | json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
    say({"port": receiver.server_address[1]})
    receiver.serve_forever()
