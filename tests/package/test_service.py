"""The client and `init` against a real broker: nobody waits for a broker that is away, and nothing is lost
unseen."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request

import pytest


REQUESTS = int(os.environ.get("DRIFTLINE_CLIENT_REQUESTS", "100000"))
AWAY_SECONDS = 10
#: Requests with the client, before some without.
TURN = 500
#: What the client may add to the 99th percentile.
P99_SECONDS = 0.001


def captures(bootstrap, topic, days, per_day, moved_from):
    from driftline.client import Client

    client = Client(bootstrap, topic=topic, model="m", queue=1_000_000)
    now = int(time.time())
    midnight = now - now % 86_400
    for day in range(-days, 0):
        for row in range(per_day):
            shift = 60 if day >= moved_from else 0
            client.capture(
                {"x": (row * 37) % 100 + shift + 0.5, "colour": "red" if row % 3 else "blue"},
                {"label": "a" if row % 2 else "b"},
                ts=float(midnight + day * 86_400 + row * 86_000 // per_day),
                latency_us=1000,
                status=200,
            )
    client.close(60)
    counts = client.counts()
    assert counts["sent"] == days * per_day, counts
    return midnight


def answered(url, until, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                document = json.load(answer)
            if until(document):
                return document
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{url} did not say it within {seconds} s")


def test_init_gives_a_configuration_that_alarms(binary, kafka, tmp_path):
    pytest.importorskip("confluent_kafka")
    midnight = captures(kafka.bootstrap, "init.captures", 30, 400, -4)
    before = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(midnight - 6 * 86_400))
    done = subprocess.run(
        [binary, "init", "--bootstrap", kafka.bootstrap, "--topic", "init.captures", "--to", before],
        cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "next: driftline run --config driftline.yaml" in done.stdout
    assert subprocess.run([binary, "validate"], cwd=tmp_path).returncode == 0
    service = subprocess.Popen([binary, "run"], cwd=tmp_path, stderr=open(tmp_path / "log", "w"))
    try:
        url = "http://127.0.0.1:9464/api/v1/models/m/reports?limit=60"
        reports = answered(url, lambda document: '"alarm"' in json.dumps(document))
        assert "feature:x" in json.dumps(reports)
    finally:
        service.terminate()
        service.wait(60)


def test_a_broker_that_is_away_slows_no_request(kafka, tmp_path):
    pytest.importorskip("fastapi")
    pytest.importorskip("confluent_kafka")
    import asyncio

    from driftline.client import Client
    from driftline.middleware import CaptureMiddleware
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/predict")
    async def predict(body: dict):
        return {"label": "late", "score": body["x"] / 10}

    client = Client(
        kafka.bootstrap, topic="client.captures", model="m", properties={"queue.buffering.max.messages": 20_000}
    )
    with_client = CaptureMiddleware(app, client=client, paths=["/predict"])

    async def one(target):
        body = json.dumps({"x": 5}).encode()
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "path": "/predict", "raw_path": b"/predict", "query_string": b"", "root_path": "",
            "scheme": "http", "headers": [(b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        status = []

        async def send(message):
            if message["type"] == "http.response.start":
                status.append(message["status"])

        started = time.perf_counter()
        await target(scope, receive, send)
        took = time.perf_counter() - started
        assert status == [200]
        return took

    async def many(target, count):
        times = []
        for _ in range(count):
            # A server waits for its sockets between requests, and others have the interpreter meanwhile.
            await asyncio.sleep(0)
            times.append(await one(target))
        return times

    p99 = lambda times: sorted(times)[int(len(times) * 0.99)]
    async def by_turns():
        """Whatever else the machine does is both's."""
        await many(app, 1000)
        without, beside = [], []
        for _ in range(REQUESTS // TURN):
            beside += await many(with_client, TURN)
            without += await many(app, TURN // 5)
        return p99(without), p99(beside)

    away = threading.Thread(
        target=lambda: (
            time.sleep(1),
            os.kill(kafka.process.pid, signal.SIGSTOP),
            time.sleep(AWAY_SECONDS),
            os.kill(kafka.process.pid, signal.SIGCONT),
        )
    )
    away.start()
    without, beside = asyncio.run(by_turns())
    away.join()
    client.close(60)
    counts = client.counts()
    print(f"p99 without {without * 1e6:.0f} us, with {beside * 1e6:.0f} us, {counts}")
    assert beside - without < P99_SECONDS
    assert counts["waiting"] == 0 and counts["failed"] == 0
    assert counts["sent"] + counts["shed"] == REQUESTS
    assert arrived(kafka.bootstrap, "client.captures") == counts["sent"]


def arrived(bootstrap, topic):
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "count"})
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.close()
    return high - low


