"""Writes tests/data/budget.json: baselines and windows judged by ranks, worked out from the values themselves.

    python3 analytics/tests/oracle_budget.py

It shares no formula's code with the program, only the rules (docs/rules.md §4) and the generator of the rows
(`rows` here, `rows` in src/budget/tests/oracle.rs). The file is committed; run this again only to change the cases.
"""

import json
import math
import pathlib
from collections import Counter

OUT = pathlib.Path(__file__).parent / "data" / "budget.json"
CASES = 64
LIVE = 14
SCALES = [1, 2, 4, 7]
MAXIMA = [("long", [2, 3], False), ("broken", [0], True), ("short", [0, 1], False)]
WINDOWS, AT_MOST = 28.0, 2.0
LEAST_DISTRIBUTION, LEAST_SHARE = 0.03, 0.01


class Lehmer:
    def __init__(self, seed):
        self.state = seed * 7919 % 2147483646 + 1

    def next(self, below):
        self.state = self.state * 48271 % 2147483647
        return self.state % below


def rows(random, kind, shift):
    """A day: (delay or None, carrier, score) each."""
    day = []
    for _ in range(30 + random.next(60)):
        delay = random.next(12)
        if kind == 1 and random.next(3) > 0:
            delay = 0
        delay += shift
        if random.next(40) == 0:
            delay = None
        carrier = f"c{random.next(7) * random.next(3)}"
        if random.next(60) == 0:
            carrier = f"r{random.next(400)}"
        day.append((delay, carrier, 1 if random.next(9) == 0 else 0))
    return day


def case(seed):
    random = Lehmer(seed)
    kind = seed % 3
    days, own = [], 36 + random.next(30)
    wander = 0
    for day in range(own + LIVE):
        if kind == 2 and random.next(3) == 0:
            wander = random.next(3)
        change = (1 + random.next(3)) if day >= own + 5 and seed % 2 == 0 else 0
        days.append(rows(random, kind, wander + change))
    return days[:own], days[own:]


def millionths(numerator, denominator):
    """Rounded half up."""
    return (2 * numerator * 1000000 + denominator) // (2 * denominator)


def ks(window, reference):
    """By the distribution functions at every value."""
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


def measures(baseline):
    everything = [row for day in baseline for row in day]
    found = []
    for column in range(3):
        values = present(column, everything)
        known = Counter(values)
        heavy = [value for value, count in known.items() if count * 2 > len(values) and count < len(values)]
        if column == 1:
            order = sorted(known.items(), key=lambda item: (-item[1], item[0]))
            judged, mass = [], 0
            for name, count in order[:50]:
                if mass * 100 >= len(values) * 99:
                    break
                judged.append(name)
                mass += count
            pool = lambda value, judged=tuple(judged): value if value in judged else None
            found.append(Measure(column, "distribution", lambda day, c=column: [pool(v) for v in present(c, day)], tv))
            first = judged[0]
            rest = Counter(pool(v) for v in values if pool(v) != first)
            if known[first] * 2 > len(values) and len(rest) > 1:
                found.append(Measure(column, "other_part", lambda day, c=column: [pool(v) for v in present(c, day) if pool(v) != first], tv))
        else:
            found.append(Measure(column, "distribution", lambda day, c=column: present(c, day), ks))
            if heavy and len(set(values) - set(heavy)) > 1:
                found.append(Measure(column, "other_part", lambda day, c=column: [v for v in present(c, day) if v != heavy[0]], ks))
        if column == 2:
            for place, value in enumerate(sorted(known)):
                if known[value] * 2 <= len(values):
                    found.append(Measure(column, f"class:{2 * place + 1}", value, None))
        found.append(Measure(column, "missing", None, None))
        found.append(Measure(column, "wrong_type", None, None))
        found.append(Measure(column, "new_values", set(known), None))
    return found


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
    return share(counted(measure, window), against, measure.name.startswith("class"))


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
    x, n = expected if measure.name == "new_values" else counted(measure, baseline)
    p = (x + 1) / (n + 2)
    return math.sqrt(p * (1 - p))


def least(measure, baseline):
    if measure.broken:
        return round(LEAST_SHARE * 1000000)
    if measure.name.startswith("class"):
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


def judged(seed):
    days, live = case(seed)
    baseline = flat(days)
    found = measures(days)
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
        own[id(measure)] = (per_scale, sizes, wander, nu, least(measure, baseline), expected)

    def ratio(measure, place, e, n, of_own=False):
        _, _, wander, nu, smallest, _ = own[id(measure)]
        if of_own and measure.base:
            smallest = 0
        if not e or e < smallest or not n:
            return 0.0
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
            if sum(WINDOWS * k / (len(o) + 1) for k, o in zip(more, maxima)) <= AT_MOST + 1e-9:
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
    return {"seed": seed, "own": len(days), "lag": lag, "ranks": ranks,
            "thresholds": [v[r - 1] if r else None for v, r in zip(maxima, ranks)], "windows": windows}


def since_of(leading, live, baseline, own):
    """Windows back to the start of the run: the sum of (z - h) is largest there."""
    measure, merged = leading
    if measure.base is ks:
        window, reference = measure.values(merged), measure.values(baseline)
        borders = [(v, False) for v in set(reference)] + [(v, True) for v in set(reference)]
        def above(values, border):
            value, beyond = border
            return sum(1 for v in values if (v > value if beyond else v >= value)) / len(values)
        cut = max(sorted(borders), key=lambda b: abs(above(window, b) - above(reference, b)))
        part = lambda values: above(values, cut) if values else None
        take = measure.values
        known = part(take(baseline))
    elif measure.base is tv:
        window, reference = Counter(measure.values(merged)), Counter(measure.values(baseline))
        n, m = sum(window.values()), sum(reference.values())
        gained = {k for k in window if window[k] * m > reference[k] * n}
        take = measure.values
        part = lambda values: sum(1 for v in values if v in gained) / len(values) if values else None
        known = part(take(baseline))
    else:
        take = lambda day: counted(measure, day)
        part = lambda pair: pair[0] / pair[1] if pair[1] else None
        known = part(own[id(measure)][5] if measure.name == "new_values" else take(baseline))
    now = part(take(merged)) - known
    sign, half = (1 if now > 0 else -1), abs(now) / 2
    total, best, run = 0.0, -math.inf, 0
    for back, day in enumerate(reversed(live)):
        z = part(take(day))
        total += 0.0 if z is None else sign * (z - known) - half
        if total > best:
            best, run = total, back + 1
    return run


if __name__ == "__main__":
    answers = {"at_most": AT_MOST, "cases": [judged(seed) for seed in range(1, CASES + 1)]}
    OUT.write_text(json.dumps(answers, separators=(",", ":")).replace('{"seed"', '\n{"seed"') + "\n")
    print(OUT, sum(case["own"] + LIVE for case in answers["cases"]), "windows")
