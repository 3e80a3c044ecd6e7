"""Measures the start of a service with a large state: to the first answer, the first new record, readiness.

    startup.py --driftline BINARY --consumer EXECUTABLE [--models 1000] [--rows 100] [--state-mib 1024]

Windows of an hour follow one another in one topic of a real broker, `--rows` rows of each model in each, until
the state folder has `--state-mib`: the reports of those that closed, and four open ones a model. Then the
service is killed, some records are sent, and it is started again. Names in the environment as for `fleet.py`.
"""

import time

import end_to_end
import fleet
import script
import service
import traffic

OPEN_WINDOWS, MOST_WINDOWS = 4, 200


def grow(options, models, folder, bootstrap, port, process):
    """Sends window after window until the state is large enough; how many."""
    rows = 0
    for window in range(MOST_WINDOWS):
        rows += models.send(bootstrap, options.rows, window)
        fleet.counted(rows, port, process)
        closed = options.models * max(0, window + 1 - OPEN_WINDOWS)
        service.wait("the reports", lambda: service.metric(port, "driftline_windows_total") == closed, process, 0.5)
        if service.folder_mib(folder / "state") >= options.state_mib:
            return window + 1
    raise SystemExit(f"bench: {MOST_WINDOWS} windows a model are no {options.state_mib} MiB")


def measure(options, folder, bootstrap):
    traffic.create(bootstrap, {fleet.TOPIC: fleet.PARTITIONS})
    baseline = end_to_end.write_baseline(options.consumer, options.driftline, folder)
    models = traffic.Fleet(fleet.TOPIC, fleet.PARTITIONS, options.models, baseline)
    port, file = end_to_end.free_port(), folder / "startup.yaml"
    file.write_text(fleet.head(folder, bootstrap, port) + models.config())
    process = service.start(options.driftline, file)
    service.wait("an answer", lambda: service.answers(port, "/livez"), process)
    windows = grow(options, models, folder, bootstrap, port, process)
    time.sleep(6)  # One regular checkpoint.
    before = service.resident_mib(process)
    service.kill(process)
    size = service.folder_mib(folder / "state")
    models.send(bootstrap, fleet.PARTITIONS, windows - 1)
    begun = time.monotonic()
    process = service.start(options.driftline, file)
    times = {}
    for what, holds in (("answer", lambda: service.answers(port, "/livez")),
                        ("ready", lambda: service.answers(port, "/readyz")),
                        ("record", lambda: service.metric(port, "driftline_records_total"))):
        service.wait(what, holds, process, 0.02)
        times[what] = time.monotonic() - begun
    after = service.resident_mib(process)
    service.end(process)
    closed = windows - OPEN_WINDOWS
    return [(f"state: {closed} reports and {OPEN_WINDOWS} open windows a model", "1 GB", f"{size:,.0f} MiB"),
            ("start to the first answer, which is after all models are loaded", "", f"{times['answer']:.1f} s"),
            ("start to the first new record, the first poll being before", "≤ 2 s", f"{times['record']:.1f} s"),
            ("start to all models ready", "≤ 30 s", f"{times['ready']:.1f} s"),
            ("resident before and after", "", f"{before:,.0f} and {after:,.0f} MiB")]


if __name__ == "__main__":
    script.run(__doc__, lambda options: f"a start of {options.models} models", measure,
               {"models": 1000, "rows": 100, "state-mib": 1024})
