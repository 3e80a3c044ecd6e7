"""Measures one service with many models: memory, start, idle cost, and all windows closing at once.

    fleet.py --driftline BINARY --consumer EXECUTABLE [--models 1000] [--rows 500]

One topic of a real broker, 20 features a model, two open windows each with `--rows` rows. The consumer is the
benchmark executable that writes captures for a baseline. `DRIFTLINE_TEST_KAFKA` names the broker's jars and
`tests/rig/setup.sh env` sets it; the Python of the same environment has the client.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from confluent_kafka import Producer

import end_to_end

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOPIC, PARTITIONS, FEATURES = "bench.fleet", 4, 20
# A Monday.
BEGIN_MS, HOUR_MS = 1_767_571_200_000, 3_600_000
IDLE_S, PATIENCE_S = 20, 600


def config(folder, bootstrap, port, baseline, models):
    head = (f'kafka: {{bootstrap: "{bootstrap}", reports: off, dead_letters: off}}\nstate: {folder}/state\n'
            f'http: {{listen: "127.0.0.1:{port}"}}\nalerts: {{max_age: off}}\n'
            'defaults:\n  window: {every: 1h, lateness: 3h, idle: off}\n  tolerance: {ks: 0.5}\nmodels:\n')
    return head + "".join(f"  - {{name: m{number}, captures: {{topic: {TOPIC}, start: earliest, max_ahead: 36500d}}, "
                          f"baseline: {baseline}}}\n" for number in range(models))


def produce(bootstrap, rows, at_ms, name_of, names):
    """Sends `rows` rows within an hour from `at_ms`, with the features of the baseline."""
    sender = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "compression.type": "lz4",
                       "queue.buffering.max.messages": 500_000})
    texts = [",".join(f'"{name}":{random.gauss(0, 100):.3f}' for name in names) for _ in range(500)]
    for number in range(rows):
        ts = at_ms + number * (HOUR_MS - 1) // rows
        value = f'{{"v":1,"model":"{name_of(number)}","ts":{ts},"latency_us":900,"features":{{{texts[number % 500]}}}}}'
        send(sender, value, ts, number % PARTITIONS)
    sender.flush()


def send(sender, value, ts, partition):
    while True:
        try:
            sender.produce(TOPIC, value, timestamp=ts, partition=partition)
            return
        except BufferError:
            sender.poll(0.2)


def heartbeats(bootstrap, ts):
    sender = Producer({"bootstrap.servers": bootstrap})
    for partition in range(PARTITIONS):
        send(sender, f'{{"v":1,"ts":{ts},"heartbeat":true}}', ts, partition)
    sender.flush()


def metric(port, name):
    """The sum of a metric over its labels; None while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except (urllib.error.URLError, ConnectionError):
        return None
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))


def ready(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def wait(what, holds, process):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            sys.exit(f"bench: we waited for {what}")
        time.sleep(0.05)


def resident_mib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def start(driftline, file):
    return subprocess.Popen([driftline, "run", "--config", file], stderr=subprocess.DEVNULL)


def measure(options, folder, bootstrap):
    baseline = end_to_end.write_baseline(options.consumer, options.driftline, folder)
    columns = json.loads(baseline.read_text())["columns_seen"]
    names = [name.removeprefix("feature:") for name in columns if name.startswith("feature:")][:FEATURES]
    assert len(names) == FEATURES, columns
    port, file = end_to_end.free_port(), folder / "fleet.yaml"
    file.write_text(config(folder, bootstrap, port, baseline, options.models))
    rows = options.models * options.rows
    for window in range(2):
        produce(bootstrap, rows, BEGIN_MS + window * HOUR_MS, lambda number: f"m{number // PARTITIONS % options.models}", names)
    found = {}
    process = start(options.driftline, file)
    begun = time.monotonic()
    wait("every row", lambda: metric(port, "driftline_records_total") == 2 * rows, process)
    found["rows/s while catching up, start included"] = f"{2 * rows / (time.monotonic() - begun):,.0f}"
    time.sleep(6)  # One regular checkpoint.
    found["resident, two open windows a model"] = f"{resident_mib(process):,.0f} MiB"
    before = end_to_end.cpu_seconds(process)
    time.sleep(IDLE_S)
    found["idle"] = f"{(end_to_end.cpu_seconds(process) - before) / IDLE_S * 100:.2f} % of a core"
    process.send_signal(signal.SIGKILL)
    process.wait()
    size = sum(path.stat().st_size for path in (folder / "state").rglob("*") if path.is_file())
    found["state"] = f"{size / 2**20:,.0f} MiB"
    begun = time.monotonic()
    process = start(options.driftline, file)
    wait("an answer", lambda: ready(port, "/livez"), process)
    found["start to an answer"] = f"{time.monotonic() - begun:.1f} s"
    wait("readiness", lambda: ready(port, "/readyz"), process)
    found["start to ready"] = f"{time.monotonic() - begun:.1f} s"
    found["resident after the start"] = f"{resident_mib(process):,.0f} MiB"
    begun = time.monotonic()
    heartbeats(bootstrap, BEGIN_MS + 5 * HOUR_MS)
    wait("every window", lambda: metric(port, "driftline_windows_total") == 2 * options.models, process)
    found[f"{2 * options.models} windows closed, judged and committed"] = f"{time.monotonic() - begun:.1f} s"
    process.send_signal(signal.SIGTERM)
    process.wait()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--driftline", required=True)
    parser.add_argument("--consumer", required=True)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "broker").mkdir()
        with end_to_end.Broker(ROOT, os.environ["DRIFTLINE_TEST_KAFKA"], folder / "broker") as broker:
            from confluent_kafka.admin import AdminClient, NewTopic
            client = AdminClient({"bootstrap.servers": broker.bootstrap})
            client.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(60)
            found = measure(options, folder, broker.bootstrap)
    print(f"| {options.models} models × {FEATURES} features, {options.rows} rows a window | |\n|---|---|")
    for what, figure in found.items():
        print(f"| {what} | {figure} |")


if __name__ == "__main__":
    main()
