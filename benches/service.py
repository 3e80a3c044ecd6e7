"""Starts `driftline run` for a benchmark, reads its metrics, and waits for what they say."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

PATIENCE_S = 900
TICKS = os.sysconf("SC_CLK_TCK")


def start(driftline, file, cores=None):
    """The process, kept to `cores` as `taskset` writes them, or left where the kernel puts it."""
    pinned = ["taskset", "-c", cores] if cores else []
    log = pathlib.Path(file).with_suffix(".log").open("w")
    command = [*pinned, driftline, "run", "--config", file]
    return subprocess.Popen(command, stderr=log, env=os.environ | {"NO_COLOR": "1"})


def last_words(file):
    """The end of what the service that was started with `file` wrote on stderr."""
    return pathlib.Path(file).with_suffix(".log").read_text()[-2000:]


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def end(process):
    """Asks it to stop, as an operator does, and waits."""
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_S)


def metric(port, name, labels=""):
    """The sum of a metric over those of its series that hold `labels`; None while nobody answers."""
    found = metrics(port, [(name, labels)])
    return found and found[0]


def metrics(port, wanted):
    """The same of several metrics, each with its labels, at one time."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
    except (urllib.error.URLError, OSError):
        return None
    return [sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{") and labels in line)
            for name, labels in wanted]


def answers(port, path):
    """Whether a page answers with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait(what, holds, process, pause_s=0.05):
    """Seconds until `holds()` is true; ends the benchmark with the service's last words if it never is."""
    begun = time.monotonic()
    while not holds():
        if process.poll() is not None or time.monotonic() > begun + PATIENCE_S:
            process.kill()
            sys.exit(f"bench: we waited for {what}; the service ended with {process.poll()}")
        time.sleep(pause_s)
    return time.monotonic() - begun


def cpu_seconds(process):
    return seconds_of(pathlib.Path(f"/proc/{process.pid}/stat"))


def thread_seconds(process, name):
    """Processor seconds of the threads whose names begin with `name`."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task").iterdir()
    return sum(seconds_of(task / "stat") for task in tasks if (task / "comm").read_text().startswith(name))


def children_seconds(process):
    """Processor seconds of the processes that it has started and that live."""
    children = pathlib.Path(f"/proc/{process.pid}/task").glob("*/children")
    ids = " ".join(children_of.read_text() for children_of in children).split()
    return sum(seconds_of(pathlib.Path(f"/proc/{child}/stat")) for child in ids)


def seconds_of(stat):
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def folder_mib(folder):
    """What the files occupy; the store's file is as long as it may soon become."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 2**20


def table(title, rows):
    """Markdown: what, what it should be, what it is."""
    lines = [f"| {title} | aim | measured |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {aim} | {figure} |" for what, aim, figure in rows)])
