"""The client: what waits is bounded, what is shed is counted, and nothing reaches the model."""

import asyncio
import json
import os
import threading
import time
from datetime import datetime, timezone

import pytest
from driftline.client import Client
from driftline.middleware import CaptureMiddleware, FlaskCaptures, captured


class Broker:
    """Stands for Kafka's producer: takes messages, refuses while `full`, acknowledges at `poll`."""

    def __init__(self):
        self.messages = []
        self.unanswered = []
        self.full = False
        self.silent = False

    def __call__(self, settings):
        self.settings = settings
        return self

    def produce(self, topic, value, key, on_delivery):
        if self.full:
            raise BufferError("queue full")
        self.messages.append((topic, key, json.loads(value)))
        self.unanswered.append(on_delivery)

    def poll(self, _timeout):
        if not self.silent:
            self.unanswered.clear()

    def __len__(self):
        return len(self.unanswered)

    def flush(self, _timeout):
        self.poll(0)


@pytest.fixture
def broker():
    return Broker()


def client_of(broker, **more):
    return Client("localhost:1", topic="captures", model="m", producer=broker, **more)


def test_a_capture_is_the_event_of_the_contract(broker):
    numpy = pytest.importorskip("numpy")
    client = client_of(broker, version="3")
    client.capture(
        {"a": numpy.float64(1.5), "b": numpy.int64(2), "c": "x", "d": None, "e": float("nan")},
        {"label": "late", "score": numpy.array([0.5])},
        id="7f",
        ts=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc),
        latency_us=1234,
        status=200,
    )
    client.label("7f", "on time", observed_ts=1767323045.0)
    assert client.flush()
    (_, key, event), (_, _, label) = broker.messages
    assert key == "7f"
    assert event.pop("features")["a"] == 1.5
    assert event == {
        "v": 1, "model": "m", "version": "3", "id": "7f", "ts": "2026-01-02T03:04:05.678000Z",
        "latency_us": 1234, "status": 200, "prediction": {"label": "late", "score": 0.5},
    }  # fmt: skip
    assert label["label"] == "on time" and label["observed_ts"].startswith("2026-01-02T03:04:05")
    client.close()


def test_what_waits_is_bounded_and_what_is_shed_is_counted(broker):
    broker.full = True
    client = client_of(broker, queue=100)
    client._start = lambda: None
    for _ in range(250):
        client.capture({"x": 1})
    assert client.counts() == {"sent": 0, "shed": 150, "failed": 0, "waiting": 100}
    del client._start
    assert not client.flush(0.3) or client.counts()["shed"] == 250
    client.close(0.1)


def test_a_broker_that_is_away_costs_captures_and_no_time(broker):
    broker.silent = True
    client = client_of(broker)
    slowest = 0.0
    for _ in range(2000):
        started = time.perf_counter()
        client.capture({"x": 1})
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 0.1
    assert client.counts()["waiting"] > 0
    broker.silent = False
    assert client.flush()
    assert client.counts() == {"sent": 2000, "shed": 0, "failed": 0, "waiting": 0}


def test_nothing_raises_into_the_model(broker):
    client = client_of(broker)

    class Hostile:
        def __str__(self):
            raise RuntimeError("no text")

    client.capture({"x": Hostile()})
    client.capture({("a", "tuple"): 1})
    client.capture({"x": 1}, ts=datetime(2026, 1, 1))
    client.capture({"x": 1}, id="good")
    assert client.flush()
    assert [key for _, key, _ in broker.messages] == ["good"]
    assert client.counts()["failed"] == 3


def test_threads_lose_nothing(broker):
    client = client_of(broker)

    def send():
        for _ in range(500):
            client.capture({"x": 1})

    threads = [threading.Thread(target=send) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert client.flush()
    assert client.counts()["sent"] == 4000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_sends_its_own_and_not_its_parents(broker):
    broker.silent = True
    client = client_of(broker)
    client.capture({"x": "parent"}, id="parent")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        broker.messages.clear()
        broker.silent = False
        client.capture({"x": "child"}, id="child")
        client.flush()
        os.write(write, json.dumps([key for _, key, _ in broker.messages]).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert json.loads(os.read(read, 1000)) == ["child"]
    broker.silent = False
    assert client.flush()
    assert [key for _, key, _ in broker.messages] == ["parent"]


def test_fastapi(broker):
    fastapi = pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    from fastapi.testclient import TestClient

    client = client_of(broker)
    app = fastapi.FastAPI()
    app.add_middleware(CaptureMiddleware, client=client, paths=["/predict"])

    @app.post("/predict")
    async def predict(body: dict):
        if body.get("bad"):
            raise fastapi.HTTPException(422)
        return {"label": "late", "score": body["x"] / 10}

    @app.get("/health")
    async def health():
        return "ok"

    web = TestClient(app)
    assert web.post("/predict", json={"x": 5}, headers={"x-request-id": "r1"}).json()["score"] == 0.5
    assert web.post("/predict", json={"bad": True}).status_code == 422
    assert web.get("/health").status_code == 200
    assert client.flush()
    (_, key, good), (_, _, bad) = broker.messages
    assert key == "r1" and good["features"] == {"x": 5} and good["status"] == 200
    assert good["prediction"] == {"label": "late", "score": 0.5} and good["latency_us"] > 0
    assert bad["status"] == 422 and "prediction" not in bad


def test_flask(broker):
    flask = pytest.importorskip("flask")
    client = client_of(broker)
    app = flask.Flask("m")
    FlaskCaptures(app, client=client, paths=["/predict"], prediction=lambda body: body["answer"])

    @app.post("/predict")
    def predict():
        return {"answer": flask.request.get_json()["x"] * 2}

    assert app.test_client().post("/predict", json={"x": 4}).get_json() == {"answer": 8}
    assert client.flush()
    assert broker.messages[0][2]["features"] == {"x": 4}
    assert broker.messages[0][2]["prediction"] == 8


def test_the_decorator(broker):
    client = client_of(broker)

    @captured(client)
    def predict(dep_delay, carrier="UA"):
        return {"score": dep_delay / 100}

    @captured(client, features=lambda row: row, prediction=lambda score: {"score": score})
    async def later(row):
        return row["x"]

    @captured(client)
    def fails(x):
        raise KeyError("x")

    assert predict(12) == {"score": 0.12}
    assert asyncio.run(later({"x": 3})) == 3
    with pytest.raises(KeyError):
        fails(1)
    assert client.flush()
    first, second, third = (event for _, _, event in broker.messages)
    assert first["features"] == {"dep_delay": 12} and first["prediction"] == {"score": 0.12}
    assert second["features"] == {"x": 3} and second["prediction"] == {"score": 3}
    assert third["status"] == 500 and "prediction" not in third
