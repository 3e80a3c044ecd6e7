"""Reads one preloaded topic of a real broker in several ways, by turns: a consumer that does nothing, one
with the floor scanner, one with arrow-json, our readers with a window and a pane behind them, and, where
there is a binary, `driftline run` with one reading thread. `bench.py` calls it.

The broker is pinned to one core and whoever reads to another, so that the readers differ in nothing but
what they do with a record. All times are between the first record and the last.
"""

import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import service

ROUNDS = 5
TOPIC = "bench.captures"
MODEL = "flight-delay"
BASELINE_ROWS = 20_000
PATIENCE_S = 180
BROKER_CORE, READER_CORE = "0", "1"

NAMES = {"bare": "a consumer that does nothing", "floor": "the same with the floor scanner",
         "arrow-json": "the same with arrow-json", "readers": "Driftline's readers, a window and a pane",
         "Driftline": "Driftline, the whole service with one reading thread"}
CONFIG = """\
kafka: {{bootstrap: "{bootstrap}", reports: off, dead_letters: off}}
state: {folder}/state
http: {{listen: "127.0.0.1:{port}"}}
models:
  - name: {model}
    captures: {{topic: {topic}, start: earliest, max_ahead: 36500d}}
    baseline: {baseline}
    latency: {{under: 10ms, objective: 0.99}}
"""


# Below the ports that Linux gives to whoever asks for any, so that no connection takes one meanwhile.
PORTS = iter(range(20_000 + os.getpid() % 9_000, 30_000))


def free_port():
    for port in PORTS:
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("bench: no port is free")


class Broker:
    """A broker in a folder of its own; it ends with the block."""

    def __init__(self, root, jars, folder):
        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        command = ["taskset", "-c", BROKER_CORE, root / "tests" / "rig" / "kafka.sh", jars, str(port),
                   str(free_port()), folder]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        for line in self.process.stdout:
            if "Kafka Server started" in line:
                return self
        sys.exit("bench: the broker did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def read(consumer, how, bootstrap, rows):
    answer = subprocess.run(["taskset", "-c", READER_CORE, consumer, "read", how, bootstrap, TOPIC, str(rows)],
                            check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(answer)
    return found["seconds"] / rows, found["cpu_seconds"] / rows


def serve(driftline, text_of, rows, cores, last=lambda _port, _process: None):
    """Seconds and processor seconds per row of the whole service, from an empty state folder; `text_of` is a
    configuration for a folder and a port, and `last` sees the service when every row is counted."""
    with tempfile.TemporaryDirectory() as folder:
        port, config = free_port(), pathlib.Path(folder) / "driftline.yaml"
        config.write_text(text_of(folder, port))
        process = service.start(driftline, config, cores)
        try:
            first, deadline = None, time.monotonic() + PATIENCE_S
            while True:
                found = service.metric(port, "driftline_requests_total")
                now, cpu = time.monotonic(), service.cpu_seconds(process)
                if found and first is None:
                    first = found, now, cpu
                if found == rows and found > first[0]:
                    last(port, process)
                    taken = found - first[0]
                    return (now - first[1]) / taken, (cpu - first[2]) / taken
                if now > deadline or process.poll() is not None:
                    sys.exit(f"bench: driftline counted {found} of {rows}: {service.last_words(config)}")
                # Seldom, since whoever answers shares the core.
                time.sleep(0.1)
        finally:
            service.kill(process)


def preload(consumer, bootstrap, rows):
    """Fills the topic. What is left to be written to the disk is written before anything is measured."""
    subprocess.run([consumer, "preload", bootstrap, TOPIC, str(rows)], check=True)
    os.sync()


def table(consumer, driftline, size, root):
    """Markdown for a topic of `size[0]` rows, read `size[1]` times in each way."""
    rows, rounds = size
    jars = os.environ.get("DRIFTLINE_TEST_KAFKA")
    if not jars:
        return "Left out: there is no broker; `make setup` fetches it."
    with tempfile.TemporaryDirectory() as folder, Broker(root, jars, folder) as broker:
        preload(consumer, broker.bootstrap, rows)
        ways = {how: lambda how=how: read(consumer, how, broker.bootstrap, rows)
                for how in ("bare", "floor", "arrow-json", "readers")}
        if driftline:
            baseline = write_baseline(consumer, driftline, pathlib.Path(folder))
            text_of = configuration(broker.bootstrap, baseline)
            ways["Driftline"] = lambda: serve(driftline, text_of, rows, READER_CORE)
        found = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                found[name].append(way())
    return summary(found)


def configuration(bootstrap, baseline, more=""):
    """The configuration of the model, with `more` lines in it, for a folder and a port."""
    return lambda folder, port: CONFIG.format(bootstrap=bootstrap, folder=folder, port=port, topic=TOPIC,
                                              model=MODEL, baseline=baseline) + more


def write_baseline(consumer, driftline, folder):
    """A baseline of captures like those of the topic."""
    captures = folder / "captures.jsonl"
    with captures.open("w") as out:
        subprocess.run([consumer, "sample", str(BASELINE_ROWS)], check=True, stdout=out)
    config, baseline = folder / "baseline.yaml", folder / "baseline.json"
    config.write_text(configuration("127.0.0.1:1", baseline)(folder, 0))
    subprocess.run([driftline, "baseline", "--config", config, "--data", captures, "--predictions", "held-out",
                    "--out", baseline], check=True, stdout=subprocess.DEVNULL)
    return baseline


def features(baseline, count=20):
    """The names of the features of a baseline."""
    columns = json.loads(baseline.read_text())["columns_seen"]
    names = [name.removeprefix("feature:") for name in columns if name.startswith("feature:")]
    assert len(names) == count, columns
    return names


def summary(found):
    """Medians over the rounds; ratios and differences within each round."""
    lines = ["| who reads | rows/s | beside the floor | beside the bare consumer | processor time a row beyond the "
             "bare consumer's |", "|---|---|---|---|---|"]
    if "Driftline" in found:
        lines.append("| *aim for the whole service* | | ≥ 0.6 × | | ≤ 1.2 µs |")
    for name, rounds in found.items():
        rate = 1 / statistics.median(ours[0] for ours in rounds)
        beside = {other: statistics.median(theirs[0] / ours[0] for ours, theirs in zip(rounds, found[other]))
                  for other in ("floor", "bare")}
        more = statistics.median(ours[1] - bare[1] for ours, bare in zip(rounds, found["bare"]))
        lines.append(f"| {NAMES.get(name, name)} | {rate:,.0f} | {beside['floor']:.2f} × | {beside['bare']:.2f} × | "
                     f"{more * 1e6:.2f} µs |")
    return "\n".join([*lines, "", "Vector is not among them: no package registry has it."])
