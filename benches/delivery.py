"""Measures how long it takes from the event that closes a window to the mail and the webhook about it.

    delivery.py --driftline BINARY --consumer EXECUTABLE [--repetitions 20]

As many models as repetitions, each in a topic of its own with a window whose columns have moved; one after the
other gets the heartbeat that closes it. The time goes from before the heartbeat is sent to the first byte of
the mail's text at the SMTP server, and to the first byte of the POST at the webhook, both in this process.
Names in the environment as for `fleet.py`.
"""

import queue
import random
import re
import socket
import statistics
import threading
import time

import end_to_end
import script
import service
import traffic

ROWS = 2_000
WAIT_S = 60


def listen(talk):
    """Lets `talk` have each connection, in threads; the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def hear(connection):
        try:
            with connection, connection.makefile("rwb") as lines:
                talk(lines)
        except ConnectionError:
            pass  # The service ended.

    def accept():
        while True:
            connection, _ = server.accept()
            threading.Thread(target=hear, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return server.getsockname()[1]


def mail_server(arrived):
    """An SMTP server that puts (instant of the first byte, text) of each mail into `arrived`."""

    def talk(lines):
        def say(text):
            lines.write(text + b"\r\n")
            lines.flush()

        say(b"220 bench")
        for line in lines:
            verb = line[:4].upper()
            if verb == b"DATA":
                say(b"354 go on")
                text = [lines.readline()]
                at = time.monotonic()
                while text[-1] not in (b".\r\n", b""):
                    text.append(lines.readline())
                arrived.put((at, b"".join(text)))
            say(b"221 bye" if verb == b"QUIT" else b"250 ok")

    return listen(talk)


def webhook_server(arrived):
    """An HTTP server that puts (instant of the first byte, text) of each POST into `arrived`."""

    def talk(lines):
        for first in lines:
            at, length, head = time.monotonic(), 0, first
            while head.strip():
                if head.lower().startswith(b"content-length:"):
                    length = int(head.split(b":")[1])
                head = lines.readline()
            arrived.put((at, lines.read(length)))
            lines.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            lines.flush()

    return listen(talk)


def topic_of(number):
    return f"bench.delivery.{number}"


def config(folder, bootstrap, port, baseline, ports, repetitions):
    mail_port, webhook_port = ports
    models = "".join(
        f"  - {{name: alarm-{number}, captures: {{topic: {topic_of(number)}, start: earliest, max_ahead: 36500d}}, "
        f"baseline: {baseline}, window: {{every: 1h, lateness: 0s, idle: off}}}}\n" for number in range(repetitions))
    return (f'kafka: {{bootstrap: "{bootstrap}", dead_letters: off}}\nstate: {folder}/state\n'
            f'http: {{listen: "127.0.0.1:{port}"}}\nalerts: {{max_age: off, for: {{drift: 1 of 1}}}}\n'
            f'models:\n{models}receivers:\n'
            f'  - {{name: mail, email: {{server: "smtp+insecure://127.0.0.1:{mail_port}", '
            'from: driftline@example.org, to: [ops@example.org]}}\n'
            f'  - {{name: hook, on: [alerts], webhook: {{url: "http://127.0.0.1:{webhook_port}/"}}}}\n')


def fill(bootstrap, names, repetitions):
    """A window of each model, whose values are none of the baseline's."""
    # Without version and score it would be a broken input, which panes tell before the window closes.
    texts = traffic.feature_texts(
        names, 500, lambda: f',"version":"3","status":200,"prediction":{{"score":{random.random():.4f}}}')
    sender = traffic.sender_to(bootstrap)
    for model in range(repetitions):
        for number in range(ROWS):
            ts_ms = traffic.BEGIN_MS + number * (traffic.HOUR_MS - 1) // ROWS
            capture = f'{{"v":1,"model":"alarm-{model}","ts":{ts_ms}{texts[number % len(texts)]}'
            traffic.send(sender, topic_of(model), capture, ts_ms, 0)
    sender.flush()


def first_about(model, arrived, begun):
    """Milliseconds from `begun` to the first message that the features of the model have moved."""
    while True:
        at, text = arrived.get(timeout=WAIT_S)
        if at >= begun and re.search(rb"\b%s\b" % model.encode(), text) and b"input shift" in text:
            return (at - begun) * 1000


def measure(options, folder, bootstrap):
    baseline = end_to_end.write_baseline(options.consumer, options.driftline, folder)
    traffic.create(bootstrap, {topic_of(number): 1 for number in range(options.repetitions)})
    fill(bootstrap, end_to_end.features(baseline), options.repetitions)
    mails, posts = queue.Queue(), queue.Queue()
    ports = mail_server(mails), webhook_server(posts)
    port, file = end_to_end.free_port(), folder / "delivery.yaml"
    file.write_text(config(folder, bootstrap, port, baseline, ports, options.repetitions))
    process = service.start(options.driftline, file)
    rows = ROWS * options.repetitions
    service.wait("every row", lambda: service.metric(port, "driftline_records_total") == rows, process)
    found = {"mail": [], "webhook": []}
    try:
        for number in range(options.repetitions):
            begun = time.monotonic()
            traffic.heartbeats(bootstrap, topic_of(number), 1, traffic.BEGIN_MS + 2 * traffic.HOUR_MS)
            found["webhook"].append(first_about(f"alarm-{number}", posts, begun))
            found["mail"].append(first_about(f"alarm-{number}", mails, begun))
    finally:
        service.kill(process)
    return [(f"heartbeat to the first byte of the {what}, {which} of {options.repetitions}", "≤ 1 s",
             f"{of(found[what]):.0f} ms")
            for what in found for which, of in (("median", statistics.median), ("worst", max))]


if __name__ == "__main__":
    script.run(__doc__, lambda _: "from an event to its messages", measure,
               {"repetitions": 20})
