"""Measures the main way with and without a candidate that takes ten times as long for a row, by turns.

    shadow.py --driftline BINARY --consumer EXECUTABLE [--rows 6000000] [--rounds 12] [--slower 10]

A preloaded topic of a real broker, one model. The candidate is a network of two hidden layers whose width is
chosen on this machine: a first run tells what the main way takes of the processor for a row, a second what a
network of width 256 takes.
`tests/rig/setup.sh env` names broker and ONNX Runtime; Python needs its standard library alone.
"""

import hashlib
import random
import statistics
import struct

import end_to_end
import script
import service

INPUTS, FIRST_WIDTH = 20, 256
FLOAT, IR_VERSION, OPSET = 1, 8, 13


def varint(number):
    """A whole number as protobuf writes it."""
    bytes_of = bytearray()
    while number > 127:
        bytes_of.append(number & 127 | 128)
        number >>= 7
    return bytes([*bytes_of, number])


def field(number, value):
    """A field of a protobuf message: a whole number, a text, or a message that is bytes already."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    text = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(text)) + text


def tensor(name, rows, columns):
    """Small weights that are the same on each machine."""
    numbers = random.Random(name).choices([-0.03, -0.02, -0.01, 0.01, 0.02, 0.03], k=rows * columns)
    dims = field(1, rows) + field(1, columns)
    return dims + field(2, FLOAT) + field(8, name) + field(9, struct.pack(f"<{len(numbers)}f", *numbers))


def value(name, columns):
    """An input or output: floats, any number of rows."""
    shape = field(1, field(2, "rows")) + field(1, field(1, columns))
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, shape)))


def node(operator, inputs, output):
    return b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)


def network(width):
    """An ONNX file: `INPUTS` floats, two hidden layers of `width`, one score."""
    layers = [("first", INPUTS, width), ("second", width, width), ("last", width, 1)]
    nodes, before = [], "features"
    for name, _, columns in layers:
        nodes.append(node("MatMul", [before, name], f"{name}.sum"))
        before = "score" if columns == 1 else f"{name}.out"
        nodes.append(node("Sigmoid" if columns == 1 else "Relu", [f"{name}.sum"], before))
    graph = b"".join(field(1, each) for each in nodes) + field(2, "slow")
    graph += b"".join(field(5, tensor(*layer)) for layer in layers)
    graph += field(11, value("features", INPUTS)) + field(12, value("score", 1))
    return field(1, IR_VERSION) + field(7, graph) + field(8, field(1, "") + field(2, OPSET))


def with_candidate(folder, width, names):
    """Lines of a model's configuration that add the candidate."""
    file = folder / f"slow-{width}.onnx"
    file.write_bytes(network(width))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return (f"    shadow: [{{name: slow, onnx: {file}, sha256: {sha256}, inputs: [{', '.join(names)}], "
            "output: {score: score}}]\n")


class Scored:
    """What the candidate did while the rows were counted."""

    def __init__(self):
        self.rows = self.share = self.cpu_seconds = self.lane_seconds = 0

    def __call__(self, port, process):
        # The process of the candidate, and of the service the thread that talks to it.
        self.lane_seconds = service.thread_seconds(process, "shadow-")
        self.cpu_seconds = self.lane_seconds + service.children_seconds(process)
        rows = {outcome: service.metric(port, "driftline_shadow_rows_total", f'outcome="{outcome}"')
                for outcome in ("paired", "shed", "failed")}
        if rows["failed"] or not rows["paired"]:
            raise SystemExit(f"bench: the candidate scored {rows}")
        self.rows, self.share = rows["paired"], rows["paired"] / sum(rows.values())


def measure(options, folder, bootstrap):
    end_to_end.preload(options.consumer, bootstrap, options.rows)
    baseline = end_to_end.write_baseline(options.consumer, options.driftline, folder)
    names = end_to_end.features(baseline)

    def run(more="", scored=None):
        text_of = end_to_end.configuration(bootstrap, baseline, more)
        return end_to_end.serve(options.driftline, text_of, options.rows, None, scored or (lambda *_: None))

    _, cpu_s = run()
    probe = Scored()
    run(with_candidate(folder, FIRST_WIDTH, names), probe)
    a_row_s = probe.cpu_seconds / probe.rows
    # The layer between the hidden ones costs the square of its width, and is nearly all there is.
    width = max(8, round(FIRST_WIDTH * (options.slower * cpu_s / a_row_s) ** 0.5))
    more, scored, shares, alone, beside = with_candidate(folder, width, names), Scored(), [], [], []
    for turn in range(options.rounds):
        # Each goes first as often as the other: a second reading finds warmer caches.
        for with_it in (False, True) if turn % 2 == 0 else (True, False):
            seconds, cpu_s = run(more, scored) if with_it else run()
            if with_it:
                beside.append((seconds, cpu_s - scored.lane_seconds / options.rows))
                shares.append(scored.share)
            else:
                alone.append((seconds, cpu_s))
    share = statistics.median(shares)
    speed, cost = (statistics.median(without[each] / with_it[each] for without, with_it in zip(alone, beside))
                   for each in (0, 1))
    return [("rows/s without a candidate", "", f"{1 / statistics.median(each[0] for each in alone):,.0f}"),
            ("rows/s beside the slow candidate", "", f"{1 / statistics.median(each[0] for each in beside):,.0f}"),
            ("the latter beside the former, by turns, on the cores that all share", "≥ 0.95 ×", f"{speed:.2f} ×"),
            ("the same of rows per processor time, the candidate's own left out", "≥ 0.95 ×", f"{cost:.2f} ×"),
            (f"share of rows that the candidate (width {width}) scored, the others shed", "", f"{share * 100:.1f} %")]


if __name__ == "__main__":
    script.run(__doc__, lambda _: "the main way, 20 features", measure,
               {"rows": 6_000_000, "rounds": 12, "slower": 10.0})
