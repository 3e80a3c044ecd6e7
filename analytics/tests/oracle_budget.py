"""Writes tests/data/budget.json: baselines and windows judged by ranks, worked out from the values themselves.

    python3 analytics/tests/oracle_budget.py

The rules are those of tests/rig/oracle_ranks.py; here the rows are drawn, by the generator of
src/budget/tests/oracle.rs. The file is committed; run this again only to change the cases.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "rig"))

import oracle_ranks  # noqa: E402

OUT = HERE / "data" / "budget.json"
CASES = 64
LIVE = 14
WINDOWS, AT_MOST = 28.0, 2.0
COLUMNS = [{"kind": "numeric"}, {"kind": "categorical"}, {"kind": "numeric", "prediction": True}]


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


def judged(seed):
    own, live = case(seed)
    found = oracle_ranks.judged(
        {"columns": COLUMNS, "own": own, "live": live, "windows": WINDOWS, "at_most": AT_MOST})
    return {"seed": seed, **found}


if __name__ == "__main__":
    answers = {"at_most": AT_MOST, "cases": [judged(seed) for seed in range(1, CASES + 1)]}
    OUT.write_text(json.dumps(answers, separators=(",", ":")).replace('{"seed"', '\n{"seed"') + "\n")
    print(OUT, sum(case["own"] + LIVE for case in answers["cases"]), "windows")
