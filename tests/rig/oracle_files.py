"""Pairs of files to compare, and what scipy and the rules say about each pair.

Reads one JSON request on standard input and prints its answer:

    {"do": "months", "flights": PATH, "folder": DIR}         one file per month; pairs of January and another
    {"do": "generate", "folder": DIR, "seed": S, "columns": C, "reference": M, "window": N}
                                                             numeric columns of every awkward sort
    {"do": "kinds", "folder": DIR, "seed": S}                all checks: gaps, new categories, wrong types
    {"do": "halves", "flights": PATH, "folder": DIR, "seed": S, "count": C}   random halves of January
    {"do": "same_rows", "captures": PATH, "folder": DIR, "typed": BOOL}
                                                             captures as flat CSV and JSONL, and as Parquet
                                                             where each column has one type
    {"do": "rows_between", "flights": PATH, "from": T, "before": T}           how many flights departed then
    {"do": "own_windows", "baseline": PATH, "flights": PATH, "month": N, "current": PATH, "time": COLUMN}
                                                             writes that month's file and judges it with
                                                             tolerances from the baseline's own weeks
    {"do": "compare", "pairs": [[REFERENCE, CURRENT], ...]}  [{"ks": …, "judgement": …}] per pair
"""

import csv
import datetime
import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import oracle_judgement
import oracle_ks
from oracle_columns import columns_of

FEATURES = ["dep_delay", "carrier", "origin", "dest", "distance", "hour", "day_of_week", "temp",
            "wind_speed", "precip", "pressure", "visib", "arr_delay"]


def month(table, number):
    return table.filter(pc.equal(pc.month(table["departed"]), number)).select(FEATURES)


def months(flights, folder):
    table, paths = pq.read_table(flights), []
    for number in range(1, 13):
        paths.append(str(pathlib.Path(folder) / f"{number:02}.parquet"))
        pq.write_table(month(table, number), paths[-1])
    return [[paths[0], other] for other in paths[1:]]


def halves(flights, folder, seed, count):
    january, random, pairs = month(pq.read_table(flights), 1), np.random.default_rng(seed), []
    for at in range(count):
        order = random.permutation(len(january))
        pair = []
        for side, rows in (("left", order[: len(order) // 2]), ("right", order[len(order) // 2 :])):
            pair.append(str(pathlib.Path(folder) / f"{at}-{side}.parquet"))
            pq.write_table(january.take(rows), pair[-1])
        pairs.append(pair)
    return pairs


def awkward_values(random, sort, count, window):
    """A numeric column: reference and window share most values, so that ties cross over."""
    shift = random.choice([0.0, 0.0, 0.1, 0.5, 3.0]) if window else 0.0
    values = random.normal(shift, 1.0, count)
    match sort:
        case "smooth":
            return values
        case "ties":
            return np.round(values * 2) / 2
        case "integers":
            return np.floor(values * random.choice([1, 10, 1000])).astype(np.int64)
        case "constant":
            return np.full(count, float(random.integers(0, 2)) if window else 1.0)
        case "zeros":
            return np.where(random.random(count) < 0.5, np.where(values < 0, -0.0, 0.0), np.round(values))
        case "infinities":
            ends = random.choice([-np.inf, np.inf], count)
            return np.where(random.random(count) < random.choice([0.01, 0.4]), ends, np.round(values, 1))
        case "gaps":
            return np.where(random.random(count) < random.choice([0.02, 0.7]), np.nan, np.round(values, 1))
        case "extremes":
            return values * random.choice([1e-310, 1e-300, 1.0, 1e150, 1e300])
        case "neighbours":
            return 1.0 + random.integers(-3, 4, count) * 2.0**-52
        case "large integers":
            return 2**53 + np.floor(values * 100).astype(np.int64) * 2
    raise ValueError(sort)


SORTS = ["smooth", "ties", "integers", "constant", "zeros", "infinities", "gaps", "extremes", "neighbours",
         "large integers"]


def generate(folder, seed, columns, reference, window):
    random, paths = np.random.default_rng(seed), []
    for side, rows in (("reference", reference), ("window", window)):
        # One column in five of the window is short: the rest of it is missing.
        table = {}
        for at in range(columns):
            values = awkward_values(random, SORTS[at % len(SORTS)], rows, side == "window")
            mask = random.random(rows) < 0.8 if at % 5 == 4 else np.zeros(rows, dtype=bool)
            mask[0] = False
            table[f"c{at}"] = pa.array(values, mask=mask, from_pandas=False)
        paths.append(str(pathlib.Path(folder) / f"{side}-{seed}.parquet"))
        pq.write_table(pa.table(table), paths[-1])
    return [paths]


def kinds(folder, seed):
    """Small and large windows of columns that fail each check, as lines of JSON."""
    random, pairs = np.random.default_rng(seed), []
    letters = np.array([f"k{at:02}" for at in range(70)])
    weights = 1.0 / np.arange(1, 71) ** 1.2
    for at, (m, n) in enumerate([(4000, 3000), (4000, 300), (900, 40), (20000, 5000), (300, 9), (2000, 1)]):
        def rows(count, window):
            drift = window * random.choice([0.0, 0.3, 1.0])
            other = np.roll(weights, 1 if drift else 0)
            drawn = {
                "x": random.normal(drift, 1, count).round(2).tolist(),
                "small": random.integers(0, 5, count).tolist(),
                "letter": random.choice(letters, count, p=other / other.sum()).tolist(),
                "pair": random.choice(["a", "b"], count, p=[0.5 + drift / 5, 0.5 - drift / 5]).tolist(),
                "flag": (random.random(count) < 0.3 + drift / 10).tolist(),
            }
            for name, share in (("x", 0.02), ("small", 0.0), ("letter", 0.1), ("flag", 0.015)):
                gap = random.random(count) < share + (window * random.choice([0.0, 0.01, 0.03, 0.2]))
                drawn[name] = [None if missing else value for value, missing in zip(drawn[name], gap)]
            if window:
                for name, wrong in (("x", "abc"), ("small", "12")):
                    hit = random.random(count) < random.choice([0.0, 0.012, 0.05])
                    drawn[name] = [wrong if one else value for value, one in zip(drawn[name], hit)]
                hit = random.random(count) < random.choice([0.0, 0.012, 0.05])
                drawn["pair"] = ["fresh" if one else value for value, one in zip(drawn["pair"], hit)]
            return [dict(zip(drawn, row)) for row in zip(*drawn.values())]

        pair = []
        for side, count in (("reference", m), ("window", n)):
            pair.append(str(pathlib.Path(folder) / f"kinds-{at}-{side}.jsonl"))
            lines = (json.dumps(row) + "\n" for row in rows(count, side == "window"))
            pathlib.Path(pair[-1]).write_text("".join(lines))
        pairs.append(pair)
    return pairs


def same_rows(captures, folder, typed):
    rows, names = [], {}
    for line in pathlib.Path(captures).read_text().splitlines():
        capture = json.loads(line)
        row = {key: capture[key] for key in ("id", "version", "latency_us", "status") if key in capture}
        row["time_us"] = capture["ts"]
        row |= {f"feature:{name}": value for name, value in capture["features"].items()}
        row |= {f"prediction:{name}": value for name, value in capture["prediction"].items()}
        names |= dict.fromkeys(row)
        rows.append(row)
    folder = pathlib.Path(folder)
    with open(folder / "rows.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    written = ["rows.csv", "rows.jsonl"]
    if typed:
        columns = {name: [row.get(name) for row in rows] for name in names}
        pq.write_table(pa.table(columns), folder / "rows.parquet")
        written.append("rows.parquet")
    return [str(folder / name) for name in written]


def rows_between(flights, before, **request):
    departed = pq.read_table(flights)["departed"]
    first, end = (datetime.datetime.fromisoformat(instant) for instant in (request["from"], before))
    return sum(first <= instant < end for instant in departed.to_pylist())


def compare(pairs):
    found = []
    for reference, current in pairs:
        columns = columns_of({"reference_file": reference, "current_file": current})
        numeric = {name: column for name, column in columns.items() if column["kind"] == "numeric"}
        ks = {name: oracle_ks.compare(column, exact_up_to=0) for name, column in numeric.items()}
        found.append({"ks": ks, "judgement": oracle_judgement.judge({"columns": columns})})
    return found


WEEK_US, MONDAY_US = 7 * 86_400_000_000, 4 * 86_400_000_000


def covered(times):
    """The weeks but for a first and a last one that the rows reach into late, or leave early."""
    weeks = times // WEEK_US
    numbers = list(np.unique(weeks))
    begin = {week: times[weeks == week].min() - week * WEEK_US for week in numbers}
    end = {week: (week + 1) * WEEK_US - times[weeks == week].max() for week in numbers}
    late = lambda gaps, week: gaps[week] > 1.25 * max(gaps[one] for one in numbers if one != week) + WEEK_US / 24
    left_out = {week for gaps, week in ((begin, numbers[0]), (end, numbers[-1])) if late(gaps, week)}
    return [week for week in numbers if week not in left_out]


def own_windows(baseline, flights, month, current, time):
    table, flights = pq.read_table(baseline), pq.read_table(flights)
    window = globals()["month"](flights, month).drop_columns(["arr_delay"])
    times = flights.filter(pc.equal(pc.month(flights[time]), month))[time]
    pq.write_table(window.append_column(time, times), current)
    times = np.array(table[time].cast(pa.int64())) - MONDAY_US
    weeks = times // WEEK_US
    own = covered(times)
    columns = {}
    for name in window.column_names:
        kind = "categorical" if pa.types.is_string(table.schema.field(name).type) else "numeric"
        sides = [side[name] if kind == "categorical" else side[name].cast(pa.float64()) for side in (table, window)]
        values, current = (side.to_numpy() for side in sides)
        columns[name] = {"kind": kind, "reference": values, "window": current,
                         "own_windows": [values[weeks == week] for week in own],
                         "beside_own_windows": values[~np.isin(weeks, own)]}
    return oracle_judgement.judge({"columns": columns})


def finite(value):
    """The same with null for what JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    return value if not isinstance(value, float) or np.isfinite(value) else None


if __name__ == "__main__":
    request = json.load(sys.stdin)
    do = {"months": months, "halves": halves, "generate": generate, "kinds": kinds,
          "same_rows": same_rows, "rows_between": rows_between, "own_windows": own_windows, "compare": compare}
    json.dump(finite(do[request.pop("do")](**request)), sys.stdout)
