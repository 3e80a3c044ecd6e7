"""Runs every benchmark and writes docs/performance/measured.md and docs/performance/growth.svg.

    bench.py [--only PART,PART] [--driftline BINARY] [--rows N] [--quick]

Everything is measured by turns and reported as medians and ratios: single times say little on a machine
that others use. The parts are micro, growth, end-to-end, shadow, fleet, baselines, rows, closing, startup,
delivery, check, wide and score. Those with a broker want the one of `make setup` and an optimised binary, `shadow`
and `score` its ONNX Runtime, `check`, `wide` and `score` a network for the peers' packages; each is left out, with a
line that says so, where that is not there. `--quick` tries every part in small.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import end_to_end
import peers

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "performance"
PARTS = ["micro", "growth", "end-to-end", "shadow", "fleet", "baselines", "rows", "closing", "startup", "delivery",
         "check", "wide", "score"]
# Title and file of each script with a broker of its own, and what it is asked for: in full, and to try it.
SCRIPTS = {
    "shadow": ("The main way beside a slow candidate", "shadow.py",
        "--rows 6000000", "--rows 300000 --rounds 1"),
    "fleet": ("A thousand models", "fleet.py",
        "--models 1000 --rows 500 --windows 2", "--models 50 --rows 500 --windows 2"),
    "baselines": ("A thousand models with a baseline file of their own each", "fleet.py",
        "--models 1000 --rows 500 --windows 2 --baselines 1000", "--models 50 --rows 500 --windows 2 --baselines 50"),
    "rows": ("A thousand models with 50 000 rows a window", "fleet.py",
        "--models 1000 --rows 50000 --windows 1", "--models 20 --rows 5000 --windows 1"),
    "closing": ("A busy topic while a thousand windows close", "closing.py",
        "--models 1000 --backlog 18000000", "--models 50 --backlog 18000000"),
    "startup": ("A start with a large state", "startup.py",
        "--models 1000 --state-mib 1024", "--models 50 --state-mib 30"),
    "delivery": ("From an event to its messages", "delivery.py",
        "--repetitions 20", "--repetitions 3"),
}
# What the figures of the other parts should be, by how a line of theirs begins.
AIMS = {
    "micro": [("decode, Short numbers, 457 B: Driftline", "≥ 3 × arrow-json, ≥ 0.5 × the floor"),
              ("absorb, 20 features, 2048 cut points: Driftline", "≤ 10 ns, ≥ 2.5 ×"),
              ("judge a window, 200 features, 2048 cut points", "≤ 5 ms")],
    "check": [("evidently-ks", "≥ 100 ×"), ("evidently-psi", "≥ 50 ×"), ("whylogs", "≥ 30 ×"),
              ("nannyml |", "≥ 15 ×"), ("scipy", "≥ 5 ×")],
    "wide": [("300,000", "≤ 60 s on two cores")],
    "score": [("Driftline", "≥ 0.8 ×")],
}
# The core that clients and computations are pinned to; the broker has the other.
CORE = "1" if (os.cpu_count() or 1) > 1 else "0"


def pinned(*command):
    return ["taskset", "-c", CORE, *map(str, command)]


def output(*command, **options):
    return subprocess.run(pinned(*command), check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def benchmarks():
    """The benchmark executables by name."""
    built = subprocess.run(
        ["cargo", "bench", "-p", "driftline-benches", "--no-run", "--message-format", "json"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = (json.loads(line) for line in built.splitlines())
    return {message["target"]["name"]: message["executable"] for message in messages
            if message.get("executable") and "bench" in message["target"]["kind"]}


def growth(executable, folder):
    """Markdown of the growth, and its picture."""
    series = {}
    for line in output(executable).splitlines():
        axis, size, microseconds = line.split(",")
        series.setdefault(axis, []).append((int(size), float(microseconds)))
    (folder / "growth.svg").write_text(drawing(series))
    lines = ["| what grows | from | to | cost grows by | over linear |", "|---|---|---|---|---|"]
    for axis, points in series.items():
        (first, before), (last, after) = points[0], points[-1]
        factor = after / before
        lines.append(f"| {axis} | {first} | {last} | {factor:.1f} × | {factor / (last / first):.2f} |")
    return "\n".join([*lines, "", "![growth with rows, features and models](growth.svg)"])


def drawing(series):
    """Panels side by side, both axes logarithmic: linear growth is a line of slope one."""
    from math import log10

    width, height, margin = 300, 260, 46
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * len(series)}" height="{height}" '
             'font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="white"/>']
    for panel, (axis, points) in enumerate(series.items()):
        xs, ys = [log10(x) for x, _ in points], [log10(y) for _, y in points]
        span = max(max(xs) - min(xs), max(ys) - min(ys)) or 1
        left, side = panel * width + margin, height - 2 * margin

        def place(x, y):
            return (left + (x - min(xs)) / span * side, height - margin - (y - min(ys)) / span * side)

        corner, end = place(min(xs), min(ys)), place(min(xs) + span, min(ys) + span)
        parts.append(f'<rect x="{corner[0]:.1f}" y="{end[1]:.1f}" width="{side}" height="{side}" '
                     'fill="none" stroke="#999"/>')
        parts.append(f'<line x1="{corner[0]:.1f}" y1="{corner[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
                     'stroke="#bbb" stroke-dasharray="4 3"/>')
        line = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in zip(xs, ys))
        parts.append(f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="2"/>')
        for (x, y), (size, microseconds) in zip(zip(xs, ys), points):
            at = place(x, y)
            parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="3" fill="#06c">'
                         f'<title>{size}: {microseconds:.0f} µs</title></circle>')
        parts.append(f'<text x="{left}" y="{height - margin + 16}">{axis}: {points[0][0]} to '
                     f'{points[-1][0]}</text>')
        parts.append(f'<text x="{left}" y="{margin - 10}">{points[0][1]:.0f} to {points[-1][1]:.0f} µs'
                     '</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)


def check(executables, driftline, rounds=3):
    """The computing part of `check`, the whole command, and the peers, on the same files by turns."""
    cache = cache_folder()
    pythons = {name: peers.environment(cache, name) for name in set(peers.PEERS.values())}
    single = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        script = ROOT / "benches" / "peers.py"
        subprocess.run([pythons["evidently"], script, "data", folder], check=True)
        files = [folder / "reference.parquet", folder / "current.parquet"]
        ways = {"Driftline, computing": [executables["check"], *files]}
        if driftline:
            ways["Driftline, whole process"] = [
                driftline, "check", "--reference", files[0], "--current", files[1], "--json"]
        for name, where in peers.PEERS.items():
            ways[name] = [pythons[where], script, "measure", name, *files]
        times = {name: [] for name in ways}
        for _ in range(rounds):
            for name, command in ways.items():
                times[name].append(seconds_of(command, single, name == "Driftline, whole process"))
    ours = statistics.median(times["Driftline, computing"])
    lines = ["| what | rows/s | Driftline's computing part beside it |", "|---|---|---|"]
    for name, found in times.items():
        ratios = statistics.median(other / own for other, own in zip(found, times["Driftline, computing"]))
        lines.append(f"| {name} | {peers.CURRENT_ROWS / statistics.median(found):,.0f} | {ratios:.1f} × |")
    assert ours > 0
    return "\n".join(lines)


def wide(driftline, sizes):
    """Wall time, processor time and memory of `check` on files of a thousand columns, on all cores."""
    if not driftline:
        return "Left out: there is no optimised binary; `make bench` has one."
    python = peers.environment(cache_folder(), "onnxruntime")
    lines = ["| rows × 1000 columns | wall time | processor time | resident at most |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for rows in (peers.REFERENCE_ROWS, *sizes):
            subprocess.run([python, ROOT / "benches" / "peers.py", "wide", folder / f"{rows}.parquet", str(rows)],
                           check=True)
        os.sync()
        for rows in sizes:
            begun = time.monotonic()
            done = subprocess.Popen([driftline, "check", "--reference", folder / f"{peers.REFERENCE_ROWS}.parquet",
                                     "--current", folder / f"{rows}.parquet", "--json"], stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(done.pid, 0)
            if os.waitstatus_to_exitcode(status) not in (0, 1):
                sys.exit(f"bench: check of {rows} rows ended with {status}")
            lines.append(f"| {rows:,} | {time.monotonic() - begun:.1f} s | {used.ru_utime + used.ru_stime:.1f} s | "
                         f"{used.ru_maxrss / 1024:,.0f} MiB |")
    return "\n".join(lines)


def score(executable, rounds=5):
    """The demo's candidate, scored by the shadow crate and by Python's ONNX Runtime, by turns."""
    cache = cache_folder()
    python = peers.environment(cache, "onnxruntime")
    library = os.environ.get("ORT_DYLIB_PATH") or next((cache / "onnxruntime").glob("libonnxruntime.so*"))
    script, model = ROOT / "benches" / "peers.py", ROOT / "examples" / "flights" / "spring.onnx"
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        flights = pathlib.Path(folder) / "flights.parquet"
        subprocess.run([python, script, "flights", model.parent / "flights-2013.parquet", flights], check=True)
        ways = {"Python, 1024 rows a run": [python, script, "score", model, flights],
                "Driftline, from Arrow to labels": [executable, library, model, sha256, flights],
                "the same in one process": [executable, library, model, sha256, flights, "here"]}
        found = {name: [] for name in ways}
        for _ in range(rounds):
            for name, command in ways.items():
                found[name].append(json.loads(output(*command).strip().splitlines()[-1]))
    assert len({one["late"] for rounds in found.values() for one in rounds}) == 1, "other predictions"
    first = next(iter(found.values()))
    lines = ["| what | rows/s | beside Python |", "|---|---|---|"]
    for name, rounds in found.items():
        rate = statistics.median(one["rows"] / one["seconds"] for one in rounds)
        ratio = statistics.median(python["seconds"] / own["seconds"] for python, own in zip(first, rounds))
        lines.append(f"| {name} | {rate:,.0f} | {ratio:.2f} × |")
    return "\n".join(lines)


def cache_folder():
    return pathlib.Path(os.environ.get("DRIFTLINE_CACHE", pathlib.Path.home() / ".cache" / "driftline"))


def script(part, consumer, driftline, quick):
    """What a script with a broker of its own prints; two cores are needed, so nothing is pinned."""
    if not (driftline and os.environ.get("DRIFTLINE_TEST_KAFKA")):
        return "Left out: there is no optimised binary, or no broker; `make bench` has both."
    _, name, in_full, in_small = SCRIPTS[part]
    command = [sys.executable, ROOT / "benches" / name, "--driftline", driftline, "--consumer", consumer,
               *(in_small if quick else in_full).split()]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def seconds_of(command, environment, whole):
    """What a command says it took, or what all of it took."""
    begun = os.times()
    done = subprocess.run(pinned(*command), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False)
    ended = os.times()
    if done.returncode not in (0, 1):
        sys.exit(f"bench: {' '.join(map(str, command))} ended with {done.returncode}")
    if whole:
        return ended.children_user + ended.children_system - begun.children_user - begun.children_system
    return json.loads(done.stdout.strip().splitlines()[-1])["seconds"]


def with_aims(text, part):
    """A Markdown table with a last column that says what the part's figures should be."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|---"):
            lines[number - 1], lines[number] = f"{lines[number - 1]} aim |", f"{line}---|"
        elif line.startswith("| ") and number > 1 and lines[1].startswith("|---"):
            aims = [aim for what, aim in AIMS[part] if line.startswith(f"| {what}")]
            lines[number] = f"{line} {aims[0] if aims else ''} |"
    return "\n".join(lines)


def sections(chosen, executables, folder):
    """Title of each part, and what measures it."""
    rows, rounds = (300_000, 1) if chosen.quick else (chosen.rows, end_to_end.ROUNDS)
    consumer, driftline = executables["consumer"], chosen.driftline
    few = 1 if chosen.quick else None
    parts = {
        "micro": ("Decode, absorb, judge", lambda: with_aims(output(executables["ratios"]).strip(), "micro")),
        "growth": ("Growth", lambda: growth(executables["growth"], folder)),
        "end-to-end": ("End to end from a real broker",
                       lambda: end_to_end.table(consumer, driftline, (rows, rounds), ROOT)),
        "check": ("Two files, beside the peers", lambda: with_aims(check(executables, driftline, few or 3), "check")),
        "wide": ("Wide files", lambda: with_aims(
            wide(driftline, (10_000, 20_000) if chosen.quick else (100_000, 300_000)), "wide")),
        "score": ("A candidate, beside Python's ONNX Runtime",
                  lambda: with_aims(score(executables["score"], few or 5), "score")),
    }
    for part, (title, *_) in SCRIPTS.items():
        parts[part] = (title, lambda part=part: script(part, consumer, driftline, chosen.quick))
    return parts


def run_part(part, title, run):
    """A section of the page; one that fails says so and costs the others nothing."""
    print(f"bench: {title}", file=sys.stderr)
    begun = time.monotonic()
    try:
        text, whole = run(), True
    except (subprocess.CalledProcessError, SystemExit, OSError) as failure:
        text, whole = f"Failed: {failure}", False
        print(f"bench: {part} failed: {failure}", file=sys.stderr)
    print(f"bench: {part} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return f"## {title}\n\n{text}", whole


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--only", default=",".join(PARTS))
    options.add_argument("--driftline", help="an optimised binary; without one, its rows are left out")
    options.add_argument("--rows", type=int, default=3_000_000, help="rows of the preloaded topic")
    options.add_argument("--quick", action="store_true", help="in small, printed and not written to docs/")
    chosen = options.parse_args()
    date = datetime.date.today().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    text = [f"# Measured\n\n`make bench`, {date}, {machine}. Medians; written by `benches/bench.py`."]
    failed = []
    with tempfile.TemporaryDirectory() as tried:
        folder = pathlib.Path(tried) if chosen.quick else TARGET
        folder.mkdir(parents=True, exist_ok=True)
        parts = sections(chosen, benchmarks(), folder)
        for part in (part for part in PARTS if part in chosen.only.split(",")):
            section, whole = run_part(part, *parts[part])
            text.append(section)
            failed += [] if whole else [part]
            (folder / "measured.md").write_text("\n\n".join(text) + "\n")
    if chosen.quick:
        print("\n\n".join(text))
    if failed:
        sys.exit(f"bench: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
