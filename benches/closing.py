"""Measures how a busy topic is absorbed while the windows of a thousand other models close at once.

    closing.py --driftline BINARY --consumer EXECUTABLE [--models 1000] [--rows 500] [--backlog 18000000]

One topic of a real broker has a backlog of one model, another the models, a window of `--rows` rows each,
which the service has counted before it reads the backlog. After some seconds undisturbed a heartbeat per
partition closes all windows. What has been counted of the backlog is looked at once a second. Names in the
environment as for `fleet.py`.
"""

import statistics
import time

import end_to_end
import fleet
import script
import service
import traffic

# Seldom, since the metrics of a thousand models take time to write and to read.
UNDISTURBED_S, STEP_S = 6, 1
SPAN_STEPS = 2


class Watch:
    """What was counted of the backlog, and how many windows were committed, by time."""

    def __init__(self, port, process):
        self.port, self.process, self.seen = port, process, []

    def look(self):
        """One more look, a second after the last was answered. It counts from when it was asked for: writing
        and reading the metrics of a thousand models takes longer while there is more to do."""
        time.sleep(STEP_S)
        asked = time.monotonic()
        # Requests are counted as they are absorbed, records twice a second.
        found = service.metrics(self.port, [("driftline_requests_total", f'model="{end_to_end.MODEL}"'),
                                            ("driftline_windows_total", "")])
        if found is None or self.process.poll() is not None:
            raise SystemExit("bench: the service does not answer")
        self.seen.append((asked, *found))
        return found

    def rates(self, begin, end, steps):
        """Rows per second over each `steps` looks between two instants."""
        seen = [look for look in self.seen if begin <= look[0] <= end]
        return [(after[1] - before[1]) / (after[0] - before[0]) for before, after in zip(seen, seen[steps:])]


def prepare(options, folder, bootstrap):
    """Both topics, the models' windows counted; the service has ended. Its configuration and its port."""
    baseline = end_to_end.write_baseline(options.consumer, options.driftline, folder)
    models = traffic.Fleet(fleet.TOPIC, fleet.PARTITIONS, options.models, baseline)
    traffic.create(bootstrap, {fleet.TOPIC: fleet.PARTITIONS, end_to_end.TOPIC: 1})
    port, file = end_to_end.free_port(), folder / "closing.yaml"
    busy = (f"  - {{name: {end_to_end.MODEL}, "
            f"captures: {{topic: {end_to_end.TOPIC}, start: earliest, max_ahead: 36500d}}, "
            f"baseline: {baseline}, window: {{every: 1d}}}}\n")
    file.write_text(fleet.head(folder, bootstrap, port) + models.config() + busy)
    rows = models.send(bootstrap, options.rows, 0)
    process = service.start(options.driftline, file)
    fleet.counted(rows, port, process)
    service.end(process)
    end_to_end.preload(options.consumer, bootstrap, options.backlog)
    return models, file, port


def measure(options, folder, bootstrap):
    models, file, port = prepare(options, folder, bootstrap)
    process = service.start(options.driftline, file)
    watch = Watch(port, process)
    service.wait("the backlog", lambda: service.metric(port, "driftline_records_total", end_to_end.TOPIC), process)
    begun = time.monotonic() + 1
    while time.monotonic() < begun + UNDISTURBED_S:
        watch.look()
    disturbed = time.monotonic()
    models.heartbeats(bootstrap, 4)
    while watch.look()[1] < options.models:
        pass
    closed = time.monotonic()
    service.kill(process)
    if watch.seen[-1][1] == options.backlog:
        raise SystemExit("bench: the backlog was read before the end: ask for more --backlog")
    quiet = statistics.median(watch.rates(begun, disturbed, SPAN_STEPS))
    worst = {steps: min(watch.rates(disturbed - STEP_S * steps, closed, steps)) for steps in (1, SPAN_STEPS)}
    return [(f"{options.models} windows closed, judged and committed", "≤ 10 s", f"{closed - disturbed:.1f} s"),
            ("rows/s of the busy topic, undisturbed", "", f"{quiet:,.0f}"),
            (f"the worst {SPAN_STEPS * STEP_S:.0f} s meanwhile, beside it", "≥ 0.8 ×",
             f"{worst[SPAN_STEPS] / quiet:.2f} ×"),
            (f"the worst {STEP_S} s meanwhile", "", f"{worst[1] / quiet:.2f} ×"),
            (f"the worst undisturbed {STEP_S} s, for comparison", "",
             f"{min(watch.rates(begun, disturbed, 1)) / quiet:.2f} ×")]


if __name__ == "__main__":
    script.run(__doc__, lambda _: "a busy topic while windows close", measure,
               {"models": 1000, "rows": 500, "backlog": 18_000_000})
