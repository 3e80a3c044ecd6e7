"""Captures and labels on their way to Kafka, without ever standing in the way of the model.

What a request costs is one append to a bounded queue. Serialising and sending are a thread's work. A full
queue sheds, and counts what it shed; a broker that is away costs captures and nothing else.
"""

import atexit
import json
import logging
import math
import os
import threading
import time
import uuid
import weakref
from collections import deque
from datetime import date, datetime, timezone

log = logging.getLogger("driftline")

#: Captures that are sent between two looks at whether somebody else wants the interpreter.
BITE = 8
#: Captures that wait for the thread: a second of a busy model.
QUEUE = 10_000
#: Messages that wait in the Kafka client for a broker, and how long the last of them wait at the end.
IN_FLIGHT = 100_000
FLUSH_SECONDS = 5.0
#: Bytes of all that waits for a broker.
IN_FLIGHT_KIBIBYTES = 64 * 1024
#: How long a capture waits for its broker before it counts as failed.
DELIVERY_SECONDS = 60
#: How often the same trouble is logged.
LOG_EVERY_SECONDS = 60.0

_clients = weakref.WeakSet()


class Client:
    """Sends the captures of one model (docs/contracts.md, section 3).

    >>> client = Client("localhost:9092", topic="flights.captures", model="flight-delay", version="3")
    >>> client.capture(features={"dep_delay": 12}, prediction={"label": "late", "score": 0.83})

    Nothing here raises into the model and nothing waits. `counts()` tells what became of the captures:
    `sent` were acknowledged, `shed` were dropped before they were sent, `failed` were refused or never
    arrived, `waiting` are on their way. Safe in threads and across `fork`; flushed at exit.
    """

    def __init__(
        self,
        bootstrap="localhost:9092",
        *,
        topic,
        model,
        version=None,
        label_topic=None,
        properties=None,
        queue=QUEUE,
        sample_rate=1.0,
        producer=None,
    ):
        if queue < 1:
            raise ValueError("queue: at least 1")
        if not 0.0 < sample_rate <= 1.0:
            raise ValueError("sample_rate: above 0 and at most 1")
        self.topic = topic
        self.model = model
        self.version = version
        self.label_topic = label_topic or topic
        self._sample_rate = sample_rate
        self._settings = {
            "bootstrap.servers": bootstrap,
            "client.id": "driftline-client",
            "compression.type": "lz4",
            "linger.ms": 50,
            "enable.idempotence": True,
            "queue.buffering.max.messages": IN_FLIGHT,
            "queue.buffering.max.kbytes": IN_FLIGHT_KIBIBYTES,
            "delivery.report.only.error": True,
            "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
            # One broker that is away says so once a minute, and not at each try.
            "log.connection.close": False,
            **(properties or {}),
        }
        self._make_producer = _producer if producer is None else producer
        self._most = queue
        self._fresh()
        _clients.add(self)

    # What a model calls.

    def capture(
        self,
        features=None,
        prediction=None,
        *,
        id=None,
        ts=None,
        latency_us=None,
        status=None,
        version=None,
    ):
        """One request with its answer; returns its id, by which its label may come later.

        `features` and `prediction` are mappings of plain values; a prediction may be one value. `ts` is a
        datetime with a zone, or seconds since 1970; now where it is left out.
        """
        try:
            if id is None:
                id = uuid.uuid4().hex
            if self._sample_rate < 1.0 and not _sampled(id, self._sample_rate):
                return id
            self._put(("capture", id, ts if ts is not None else time.time(), features, prediction,
                       latency_us, status, version if version is not None else self.version))
        except Exception:
            self._trouble("a capture could not be taken", exc_info=True)
        return id

    def label(self, id, label, *, observed_ts=None, capture_ts=None):
        """What was known afterwards about the request of this id."""
        try:
            observed = observed_ts if observed_ts is not None else time.time()
            self._put(("label", id, observed, label, capture_ts))
        except Exception:
            self._trouble("a label could not be taken", exc_info=True)

    # What an operator asks.

    def counts(self):
        """What became of the captures and labels: sent, shed, failed, waiting."""
        if self._pid != os.getpid():
            self._fresh()
        with self._lock:
            unanswered = len(self._producer) if self._producer is not None else 0
            waiting = len(self._queue) + self._bite + unanswered
            return {
                "sent": max(0, self._produced - self._undelivered - unanswered),
                "shed": self._shed,
                "failed": self._failed + self._undelivered,
                "waiting": waiting,
            }

    def flush(self, timeout=FLUSH_SECONDS):
        """Waits until everything has arrived, at most so many seconds; whether it has."""
        end = time.monotonic() + timeout
        self._start()
        while time.monotonic() < end:
            if self.counts()["waiting"] == 0:
                return True
            self._wake.set()
            time.sleep(0.01)
        return self.counts()["waiting"] == 0

    def close(self, timeout=FLUSH_SECONDS):
        """Flushes and ends the thread. What comes afterwards is shed."""
        if self._closed:
            return
        arrived = self.flush(timeout)
        self._closed = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)
        if not arrived:
            self._trouble(f"not everything arrived: {self.counts()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # How it works.

    def _fresh(self):
        """An empty queue without a thread: at the start, and in a child after a fork."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._queue = deque()
        self._wake = threading.Event()
        self._thread = None
        self._closed = False
        self._producer = None
        # Of the thread: handed over, refused, never acknowledged, in hand.
        self._produced = self._failed = self._undelivered = self._bite = 0
        self._shed = 0
        self._logged = 0.0

    def _put(self, entry):
        if self._pid != os.getpid():
            self._fresh()
        # A deque that is asked for its length and appended to needs no lock: the bound may be passed by as
        # many entries as there are threads.
        if self._closed or len(self._queue) >= self._most:
            with self._lock:
                self._shed += 1
            return
        self._queue.append(entry)
        if self._thread is None:
            self._start()
        # The thread looks by itself every few milliseconds: waking it at each request would cost the
        # request a switch of threads.

    def _start(self):
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="driftline", daemon=True)
                self._thread.start()

    def _work(self):
        pid = self._pid
        while not (self._closed and not self._queue):
            if self._pid != pid:
                return
            try:
                if self._producer is None:
                    self._producer = self._make_producer(self._settings)
                self._turn(self._producer)
            except Exception:
                self._trouble("captures cannot be sent", exc_info=True)
                time.sleep(1.0)
        if self._producer is not None:
            self._producer.flush(0.5)

    def _turn(self, producer):
        """Sends what waits, in small bites: while one lasts, no request has the interpreter."""
        with self._lock:
            entries = [self._queue.popleft() for _ in range(min(BITE, len(self._queue)))]
            self._bite = len(entries)
        for entry in entries:
            self._send(producer, entry)
        # What failed is reported here, and what arrived is counted by the Kafka client itself.
        producer.poll(0)
        if not entries:
            self._wake.wait(0.005)
            self._wake.clear()
        else:
            time.sleep(0.0002)

    def _send(self, producer, entry):
        topic = self.label_topic if entry[0] == "label" else self.topic
        produced = shed = 0
        try:
            value = self._value(entry)
            producer.produce(topic, value=value, key=str(entry[1]), on_delivery=self._delivered)
            produced = 1
        except BufferError:
            shed = 1
            self._trouble("the broker is away or slow: captures are shed")
        except Exception:
            self._trouble("a capture cannot be sent", exc_info=True)
        with self._lock:
            self._bite -= 1
            self._produced += produced
            self._shed += shed
            self._failed += not (produced or shed)

    def _delivered(self, error, _message):
        if error is not None:
            with self._lock:
                self._undelivered += 1
            self._trouble(f"a capture did not arrive: {error}")

    def _value(self, entry):
        if entry[0] == "label":
            _, id, observed, label, capture_ts = entry
            event = {"v": 1, "model": self.model, "id": str(id), "label": _plain(label),
                     "observed_ts": _instant(observed)}
            if capture_ts is not None:
                event["capture_ts"] = _instant(capture_ts)
            return json.dumps(event, default=_plain).encode()
        _, id, ts, features, prediction, latency_us, status, version = entry
        event = {"v": 1, "model": self.model, "id": str(id), "ts": _instant(ts)}
        if version is not None:
            event["version"] = str(version)
        if latency_us is not None:
            event["latency_us"] = int(latency_us)
        if status is not None:
            event["status"] = int(status)
        if self._sample_rate < 1.0:
            event["sample_rate"] = self._sample_rate
        if features is not None:
            event["features"] = features
        if prediction is not None:
            event["prediction"] = prediction
        return json.dumps(event, default=_plain).encode()

    def _trouble(self, sentence, **more):
        now = time.monotonic()
        if now - self._logged >= LOG_EVERY_SECONDS or self._logged == 0.0:
            self._logged = now
            log.warning("driftline: %s (%s)", sentence, self.model, **more)


def _producer(settings):
    try:
        from confluent_kafka import Producer
    except ImportError as error:
        raise ImportError("sending captures takes confluent-kafka: pip install 'driftline[kafka]'") from error
    return Producer(settings, logger=logging.getLogger("driftline.kafka"))


def _sampled(id, rate):
    """Whether a request is taken, by its id alone: the same for all that know the id."""
    return uuid.uuid5(uuid.NAMESPACE_OID, str(id)).int / 2.0**128 < rate


def _instant(ts):
    if isinstance(ts, datetime):
        if ts.tzinfo is None:
            raise ValueError("a time without a zone: datetime.now(timezone.utc)")
        return ts.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(ts, str):
        return ts
    return datetime.fromtimestamp(ts, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _plain(value):
    """What JSON does not know: numbers and arrays of NumPy, dates, decimals, mappings of other kinds."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    if hasattr(value, "tolist"):
        listed = value.tolist()
        return listed[0] if isinstance(listed, list) and len(listed) == 1 else listed
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {str(key): value[key] for key in value.keys()}
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    number = getattr(value, "__float__", None)
    if number is not None and math.isfinite(float(value)):
        return float(value)
    return str(value)


def _after_fork_in_child():
    for client in list(_clients):
        client._fresh()


def _at_exit():
    for client in list(_clients):
        if client._pid == os.getpid():
            client.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
