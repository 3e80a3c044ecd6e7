"""Measures one service with many models: memory, start, idle cost, and all windows closing at once.

    fleet.py --driftline BINARY --consumer EXECUTABLE [--models 1000] [--rows 500] [--windows 2]
             [--baselines 1]

One topic of a real broker, 20 features a model, `--windows` open windows each with `--rows` rows, and so many
baseline files that the models share. From 5000
rows a window on they come 250 of one model at a time, and the broker deletes what has been counted, so that no
disk holds it all. The consumer is the benchmark executable that writes captures for a baseline.
`DRIFTLINE_TEST_KAFKA` names the broker's jars and `tests/rig/setup.sh env` sets it; the Python of the same
environment has the client.
"""

import time

import end_to_end
import script
import service
import traffic

TOPIC, PARTITIONS = "bench.fleet", 4
IDLE_S = 20
# Rows that may wait in the topic, and from how many rows a window on they are sent in runs.
WAITING_ROWS, MANY_ROWS, RUN_ROWS = 5_000_000, 5_000, 250


def head(folder, bootstrap, port):
    """A configuration up to its models: windows of an hour that wait for three more."""
    return (f'kafka: {{bootstrap: "{bootstrap}", reports: off, dead_letters: off}}\nstate: {folder}/state\n'
            f'http: {{listen: "127.0.0.1:{port}"}}\nalerts: {{max_age: off}}\n'
            'defaults:\n  window: {every: 1h, lateness: 3h, idle: off, at_least: 1}\n  tolerance: {ks: 0.5}\nmodels:\n')


def fill(fleet, options, bootstrap, port, process):
    """Sends all windows, deleting what the service has counted; rows and seconds until they were counted."""
    begun, rows = time.monotonic(), 0
    many = options.rows >= MANY_ROWS
    parts = max(1, options.models * options.rows // WAITING_ROWS)
    for window in range(options.windows):
        for part in range(parts):
            rows += fleet.send(bootstrap, options.rows, window, RUN_ROWS if many else 1, (part, parts))
            if many:
                counted(rows, port, process)
                traffic.delete_records(bootstrap, TOPIC, PARTITIONS)
    counted(rows, port, process)
    return rows, time.monotonic() - begun


def counted(rows, port, process):
    service.wait("every row", lambda: service.metric(port, "driftline_records_total") == rows, process, 0.2)


def idle_share(process):
    before = service.cpu_seconds(process)
    time.sleep(IDLE_S)
    return (service.cpu_seconds(process) - before) / IDLE_S


def measure(options, folder, bootstrap):
    traffic.create(bootstrap, {TOPIC: PARTITIONS})
    baseline = end_to_end.write_baseline(options.consumer, options.driftline, folder)
    fleet = traffic.Fleet(TOPIC, PARTITIONS, options.models, baseline, options.baselines)
    port, file = end_to_end.free_port(), folder / "fleet.yaml"
    file.write_text(head(folder, bootstrap, port) + fleet.config())
    found = []
    process = service.start(options.driftline, file)
    service.wait("an answer", lambda: service.answers(port, "/livez"), process)
    rows, seconds = fill(fleet, options, bootstrap, port, process)
    found.append(("rows/s while another process sends them", "", f"{rows / seconds:,.0f}"))
    time.sleep(16)  # Regular checkpoints, and ten seconds in which the allocator gives back what is free.
    most = "≤ 2.5 GB" if options.rows >= 50_000 else "≤ 1 GB"
    resident = f"{service.resident_mib(process):,.0f} MiB"
    found.append((f"resident, open windows a model: {options.windows}", most, resident))
    found.append(("idle", "≤ 1 % of a core", f"{idle_share(process) * 100:.2f} %"))
    service.kill(process)
    found.append(("state", "", f"{service.folder_mib(folder / 'state'):,.0f} MiB"))
    begun = time.monotonic()
    process = service.start(options.driftline, file)
    service.wait("an answer", lambda: service.answers(port, "/livez"), process)
    found.append(("start to an answer", "≤ 2 s", f"{time.monotonic() - begun:.1f} s"))
    service.wait("readiness", lambda: service.answers(port, "/readyz"), process)
    found.append(("start to ready", "≤ 30 s", f"{time.monotonic() - begun:.1f} s"))
    found.append(("resident after the start", most, f"{service.resident_mib(process):,.0f} MiB"))
    windows = options.windows * options.models
    begun = time.monotonic()
    fleet.heartbeats(bootstrap, options.windows + 3)
    service.wait("every window", lambda: service.metric(port, "driftline_windows_total") == windows, process)
    seconds = time.monotonic() - begun
    found.append((f"{windows} windows closed, judged and committed", "1000 in 10 s", f"{seconds:.1f} s"))
    service.end(process)
    return found


if __name__ == "__main__":
    script.run(__doc__, lambda options: f"{options.models} models × 20 features, {options.rows} rows a window",
               measure, {"models": 1000, "rows": 500, "windows": 2, "baselines": 1})
