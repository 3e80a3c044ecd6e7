"""Windows judged by ranks of their baseline's own windows (docs/rules.md §4), written a second time from the rules.

Reads one JSON case on standard input, or a list of them, and prints the answer to it, or a list:

    {"columns": [{"kind": "numeric" or "categorical", "prediction": false}, ...],
     "own": [DAY, ...], "live": [DAY, ...], "at_most": 1.0, "windows": 28.0}

A DAY is a list of rows, a row a list of values, one for each column, null where one is missing; `own` are the
baseline's windows of a day, `windows` are those of a period. The answer has `own` windows, `lag`, and by maximum
(long drift, broken input, short drift) the `ranks` and `thresholds`, and per live window [M, whether it pages,
windows since which the leading column is away].

With `compare` it reads a list of {"case", "found"}, where `found` is such an answer
(`cargo run --release -p driftline-analytics --example ranked_days`), and prints what differs.

It works from the values themselves and shares no formula's code with the program.
"""

import json
import math
import sys
from collections import Counter

SCALES = [1, 2, 4, 7]
MAXIMA = [("long", [2, 3], False), ("broken", [0], True), ("short", [0, 1], False)]
LEAST_DISTRIBUTION, LEAST_SHARE = 0.03, 0.01
CELLS, PARTS = 64, 62
# Whole numbers with at most so many values are discrete; with at most so many, those of a prediction are classes.
DISCRETE, CLASSES = 20, 20


def millionths(numerator, denominator):
    """Rounded half up."""
    return (2 * numerator * 1000000 + denominator) // (2 * denominator)


def ks(window, reference):
    """By the distribution functions at the end of every cell."""
    if not window or not reference:
        return None
    n, m = len(window), len(reference)
    counted, known = Counter(window), Counter(reference)
    below = [0, 0]
    best = 0
    for value in sorted(set(counted) | set(known)):
        below[0] += counted[value]
        below[1] += known[value]
        best = max(best, abs(below[0] * m - below[1] * n))
    return millionths(best, n * m)


def tv(window, reference):
    if not window or not reference:
        return None
    n, m = len(window), len(reference)
    counted, known = Counter(window), Counter(reference)
    return millionths(sum(abs(counted[k] * m - known[k] * n) for k in set(counted) | set(known)), 2 * n * m)


def share(counted, against, both_ways):
    (x, n), (y, m) = counted, against
    if not n or not m:
        return None
    difference = x * m - y * n
    return millionths(abs(difference) if both_ways else max(0, difference), n * m)


class Measure:
    """One respect: how to take it from rows, and what is broken about it."""

    def __init__(self, column, name, values, base):
        self.column, self.name, self.values = column, name, values
        self.broken = name in ("missing", "wrong_type", "new_values")
        self.base = base


def present(column, day):
    return [row[column] for row in day if row[column] is not None]


def coarse(counts):
    """Where cells end, by the counts of slots: few slots are a cell each, of many some go together."""
    if len(counts) <= CELLS:
        return list(range(1, len(counts) + 1))
    total, ends, below = sum(counts), [], 0
    for slot, count in enumerate(counts):
        first = below == 0 and count > 0
        heavy = count > 0 and count * PARTS >= 2 * total
        if (first or heavy) and slot > 0:
            ends.append(slot)
        if (below + count) * PARTS // total > below * PARTS // total and slot + 1 < len(counts):
            ends.append(slot + 1)
        below += count
    return sorted(set(ends)) + [len(counts)]


class Slots:
    """The baseline's values and the gaps between them, merged to cells."""

    def __init__(self, values, without=None):
        self.cuts = sorted(set(values))
        self.places = {value: 2 * place + 1 for place, value in enumerate(self.cuts)}
        counts = [0] * (2 * len(self.cuts) + 1)
        for value in values:
            if value != without:
                counts[self.places[value]] += 1
        ends, self.cell_of_slot = coarse(counts), []
        cell = 0
        for slot in range(len(counts)):
            cell += slot >= ends[cell]
            self.cell_of_slot.append(cell)
        self.cells = len(ends)

    def cell(self, value):
        slot = self.places.get(value)
        if slot is None:
            slot = 2 * sum(1 for cut in self.cuts if cut < value)
        return self.cell_of_slot[slot]


def numeric(column, values, prediction):
    slots, known = Slots(values), Counter(values)
    yield Measure(column, "distribution", lambda day: [slots.cell(v) for v in present(column, day)], ks)
    heavy = [value for value, count in known.items() if count * 2 > len(values) and count < len(values)]
    if heavy:
        others = Slots(values, heavy[0])
        if len({others.cell(value) for value in known if value != heavy[0]}) > 1:
            yield Measure(column, "other_part",
                          lambda day: [others.cell(v) for v in present(column, day) if v != heavy[0]], ks)
    few = len(known) <= 1 or (len(known) <= DISCRETE and all(value == int(value) for value in known))
    if prediction and few and slots.cells <= 2 * CLASSES + 1:
        for value in sorted(known):
            if known[value] * 2 <= len(values):
                yield Measure(column, "class", value, None)
    return few


def categorical(column, values, prediction):
    known = Counter(values)
    judged, mass = [], 0
    for name, count in sorted(known.items(), key=lambda item: (-item[1], item[0])):
        if len(judged) == 50 or mass * 100 >= len(values) * 99:
            break
        judged.append(name)
        mass += count
    kept = set(judged)
    pool = lambda day: [value if value in kept else None for value in present(column, day)]
    yield Measure(column, "distribution", pool, tv)
    first = judged[0]
    if known[first] * 2 > len(values) and len({value if value in kept else None for value in known} - {first}) > 1:
        yield Measure(column, "other_part", lambda day: [value for value in pool(day) if value != first], tv)
    if prediction:
        for name in judged:
            if known[name] * 2 <= len(values):
                yield Measure(column, "class", name, None)
    return True


def measures(days, columns):
    found, rows = [], flat(days)
    for column, of in enumerate(columns):
        values = present(column, rows)
        few = True
        if values:
            kinds = numeric if of["kind"] == "numeric" else categorical
            few = yield_all(found, kinds(column, values, of.get("prediction", False)))
        found.append(Measure(column, "missing", None, None))
        found.append(Measure(column, "wrong_type", None, None))
        if few and values:
            found.append(Measure(column, "new_values", set(values), None))
    return found


def yield_all(found, measures):
    """Appends what a generator yields; what it returns at its end."""
    while True:
        try:
            found.append(next(measures))
        except StopIteration as end:
            return end.value


def counted(measure, day):
    values = present(measure.column, day)
    if measure.name == "missing":
        return len(day) - len(values), len(day)
    if measure.name == "wrong_type":
        return 0, len(day)
    if measure.name == "new_values":
        return sum(1 for value in values if value not in measure.values), len(values)
    return sum(1 for value in values if value == measure.values), len(values)


def size(measure, day):
    return len(measure.values(day)) if measure.base else counted(measure, day)[1]


def flat(days):
    return [row for day in days for row in day]


def effect(measure, window, reference):
    if measure.base:
        return measure.base(measure.values(window), measure.values(reference))
    against = reference if isinstance(reference, tuple) else counted(measure, reference)
    return share(counted(measure, window), against, measure.name == "class")


def median(values):
    values = sorted(values)
    return (values[len(values) // 2] + values[(len(values) - 1) // 2]) / 2


def noise(measure, baseline, expected):
    if measure.base is ks:
        return 0.8276
    if measure.base is tv:
        known = Counter(measure.values(baseline))
        total = sum(known.values())
        return 0.5 * sum(math.sqrt(2 * (c / total) * (1 - c / total) / math.pi) for c in known.values())
    return deviation(*(expected if measure.name == "new_values" else counted(measure, baseline)))


def deviation(x, n):
    p = (x + 1) / (n + 2)
    return math.sqrt(p * (1 - p))


def least(measure, baseline):
    if measure.broken:
        return round(LEAST_SHARE * 1000000)
    if measure.name == "class":
        x, n = counted(measure, baseline)
        return round(min(LEAST_SHARE, (x + 1) / (n + 2)) * 1000000)
    return round(LEAST_DISTRIBUTION * 1000000)


def lag_of(found, days):
    most = max(1, len(days) // 10)
    series = []
    for measure in found:
        if measure.name == "distribution":
            series.append([float(effect(measure, day, flat(days[:i] + days[i + 1:])) or 0) for i, day in enumerate(days)])
    for lag in range(1, most):
        correlations = []
        for effects in series:
            centre = sum(effects) / len(effects)
            square = sum((x - centre) ** 2 for x in effects) / len(effects)
            products = [(x - centre) * (y - centre) for x, y in zip(effects, effects[lag:])]
            correlations.append(sum(products) / len(products) / square if square else 0.0)
        if median(correlations) < 0.2:
            return lag
    return most


def judged(case):
    days, live = case["own"], case["live"]
    windows_of_period, at_most = case["windows"], case["at_most"]
    baseline = flat(days)
    found = measures(days, case["columns"])
    lag = lag_of(found, days)
    own = {}
    for measure in found:
        expected = (0, 0)
        if measure.name == "new_values":
            new = []
            for i, day in enumerate(days):
                others = flat(days[:max(0, i - lag)] + days[i + lag + 1:])
                known = set(present(measure.column, others))
                new.append((sum(1 for v in present(measure.column, day) if v not in known), len(present(measure.column, day))))
            expected = tuple(map(sum, zip(*new)))
            effects = []
            for i in range(len(days)):
                far = [pair for j, pair in enumerate(new) if abs(j - i) > lag]
                effects.append(share(new[i], tuple(map(sum, zip(*far))), False) or 0)
            per_scale = [effects]
        else:
            per_scale = []
            for scale in SCALES[:1] if measure.broken else SCALES:
                effects = []
                for i in range(len(days) - scale + 1):
                    rest = flat(days[:max(0, i - lag)] + days[i + scale + lag:])
                    effects.append(effect(measure, flat(days[i:i + scale]), rest) or 0)
                per_scale.append(effects)
        nu = noise(measure, baseline, expected)
        sizes = [[size(measure, flat(days[i:i + s])) for i in range(len(days) - s + 1)] for s in SCALES]
        wander = []
        for effects, rows_of in zip(per_scale, sizes):
            kept = [(e / 1000000, n) for e, n in zip(effects, rows_of) if n]
            m, n = median([e for e, _ in kept]), median([float(n) for _, n in kept])
            wander.append(max(0.0, m * m - nu * nu / n))
        usual = [median([float(n) for n in rows_of if n]) for rows_of in sizes]
        own[id(measure)] = (per_scale, sizes, wander, nu, least(measure, baseline), expected, usual)

    def ratio(measure, place, e, n, of_own=False):
        _, _, wander, nu, smallest, expected, usual = own[id(measure)]
        if of_own and measure.base:
            smallest = 0
        if not e or e < smallest or not n:
            return 0.0
        if not measure.base:
            # Of fewer rows a share must be larger, as its yardstick is.
            yardstick = lambda rows: math.sqrt(wander[place] + nu * nu / rows)
            if e * yardstick(usual[place]) < smallest * yardstick(n):
                return 0.0
        if of_own and measure.broken:
            # Without what the window itself has too much.
            x, rows = expected if measure.name == "new_values" else counted(measure, baseline)
            nu = deviation(max(0.0, x - e / 1000000 * n), rows)
        return e / 1000000 / math.sqrt(wander[place] + nu * nu / n)

    maxima = []
    for _, places, broken in MAXIMA:
        longest = SCALES[places[-1]]
        values = []
        for last in range(longest - 1, len(days)):
            numbers = [0.0]
            for measure in found:
                if measure.broken == broken:
                    per_scale, sizes = own[id(measure)][:2]
                    for place in places:
                        start = last - SCALES[place] + 1
                        numbers.append(ratio(measure, place, per_scale[place][start], sizes[place][start], True))
            values.append(max(numbers))
        maxima.append(sorted(values, reverse=True))
    ranks = [0, 0, 0]
    dealt = True
    while dealt:
        dealt = False
        for index in range(3):
            more = list(ranks)
            more[index] += 1
            if sum(windows_of_period * k / (len(o) + 1) for k, o in zip(more, maxima)) <= at_most + 1e-9:
                ranks, dealt = more, True
    windows = []
    for day in range(len(live)):
        told = []
        for (_, places, broken), values, rank in zip(MAXIMA, maxima, ranks):
            best, leading = 0.0, None
            for measure in found:
                if measure.broken != broken:
                    continue
                for place in places:
                    scale = SCALES[place]
                    if day + 1 < scale:
                        continue
                    merged = flat(live[day - scale + 1:day + 1])
                    against = own[id(measure)][5] if measure.name == "new_values" else baseline
                    number = ratio(measure, place, effect(measure, merged, against) or 0, size(measure, merged))
                    if number > best:
                        best, leading = number, (measure, merged)
            since = since_of(leading, live[:day + 1], baseline, own) if leading else None
            told.append([best, best > values[rank - 1] if rank else None, since])
        windows.append(told)
    return {"own": len(days), "lag": lag, "ranks": ranks,
            "thresholds": [v[r - 1] if r else None for v, r in zip(maxima, ranks)], "windows": windows}


def since_of(leading, live, baseline, own):
    """Windows back to the start of the run: the sum of (z - h) is largest there."""
    measure, merged = leading
    if measure.base:
        window, reference = Counter(measure.values(merged)), Counter(measure.values(baseline))
        n, m = sum(window.values()), sum(reference.values())
        if measure.base is ks:
            cells = range(max(window | reference) + 1)
            above = lambda counts, cut: sum(counts[cell] for cell in cells if cell >= cut)
            apart = lambda cut: abs(above(window, cut) * m - above(reference, cut) * n)
            cut = max(cells, key=lambda cell: (apart(cell), -cell))
            gained = {cell for cell in cells if cell >= cut}
        else:
            gained = {name for name in window if window[name] * m > reference[name] * n}
        take = measure.values
        part = lambda values: sum(1 for value in values if value in gained) / len(values) if values else None
        known = part(take(baseline))
    else:
        take = lambda day: counted(measure, day)
        part = lambda pair: pair[0] / pair[1] if pair[1] else None
        known = part(own[id(measure)][5] if measure.name == "new_values" else take(baseline))
    now = part(take(merged)) - known
    sign, half = (1 if now > 0 else -1), abs(now) / 2
    total, best, run = 0.0, -math.inf, 0
    for back, day in enumerate(reversed(live[-64:])):
        z = part(take(day))
        total += 0.0 if z is None else sign * (z - known) - half
        if total > best:
            best, run = total, back + 1
    return run


def close(one, other):
    """Whether two answers are one, to the last few digits of their numbers."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other) <= 1e-9 * abs(one)
    return one == other


def compared(cases):
    """Compares what was found with the answers: windows, and what differs. `since` may be another one of two starts
    that are equal to the last bit; those are counted apart."""
    windows, ties, wrong = 0, 0, []
    for number, one in enumerate(cases):
        found, expected = one["found"], judged(one["case"])
        wrong += [[number, key, found[key], expected[key]] for key in ("own", "lag", "ranks", "thresholds")
                  if not close(found[key], expected[key])]
        windows += found["own"] + len(found["windows"])
        for day, (ours, theirs) in enumerate(zip(found["windows"], expected["windows"], strict=True)):
            for rank, one_of, other in zip(found["ranks"], ours, theirs):
                if rank and not close(one_of[:2], other[:2]):
                    wrong.append([number, day, one_of, other])
                ties += bool(rank and one_of[2] != other[2])
    return {"windows": windows, "ties": ties, "wrong": wrong}


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    if sys.argv[1:] == ["compare"]:
        answer = compared(cases)
    else:
        answer = [judged(case) for case in cases] if isinstance(cases, list) else judged(cases)
    json.dump(answer, sys.stdout)
