"""The judgement of one window, written a second time from the rules, with scipy for every distribution.

Reads one JSON case on standard input:

    {"columns": {NAME: COLUMN}, "alpha": 0.01, "judged": F, "defaults": {"ks": 0.05, ...}}
    {"reference_file": PATH, "current_file": PATH, "categorical": [...], "ignore": [...], ...}

A COLUMN has "kind" (numeric or categorical), "tolerance" ({"ks", "psi", "missing", "new_category"},
each with a default), and one of
    "reference", "window"               raw values, null for missing
    "slots": {"reference", "window"}    numeric: 2k+1 counts at and between k cut points
    "counts": {"reference", "window"}   categorical: {category: count}
and may have "own_windows" (lists of raw values of the baseline, window by window), from which its
tolerance then comes, with "beside_own_windows", the values of the baseline that are in none of them. A share on its own is {"kind": "share", "check", "count", "rows",
"reference_share", "tolerance"}.

Prints {"level", "findings": [...]}, in the words of the report: `value`, `bound`, `tolerance`,
`baseline_error`, `p_tolerance`, `p_adjusted`, `detectable`, `level`. How the rules are read here:
- A share's p-values are adjusted among the shares of its own check, a deciding statistic's among the
  deciding statistics.
- `detectable` is the smallest effect that alarms alone: with p_tolerance at alpha over the number of
  tests of its check that have rows on both sides; at alpha / F where the case gives F.
- From a `detectable` of 1 on (for a share: where even all rows would not alarm; for PSI: where all rows in the
  rarest category would not) a finding is not_computable whatever its value, and no part of the adjustment.
- A window that is well but for findings that are not_computable is not_computable.
- A column that no row of the window has is absent, and none of its shares is a finding.
- The pooled rest is always one of the K categories, and takes the window's new categories.
- PSI warns by its debiased value: the plain one is large by chance alone in a small window.
"""

import collections
import json
import math
import sys

import numpy as np
from scipy import stats

from oracle_columns import (
    columns_of, count_missing, count_wrong_type, present_numbers, present_texts,
)

FLOORS = {"ks": 0.05, "psi": 0.1, "missing": 0.01, "wrong_type": 0.01, "new_category": 0.01}
JUDGED_MASS, JUDGED_CATEGORIES = 0.99, 50
ENOUGH_OWN_WINDOWS = 10
# A difference of shares that is the tolerance itself is not over it, whatever its last digit.
ROUNDING = 1e-12
# One minus the confidence of all bounds.
BOUND_LEVEL = 0.01


def distance(reference, window):
    return float(stats.ks_2samp(reference, window, method="asymp").statistic)


def distance_of_slots(reference, window):
    """The largest gap between two distribution functions known at and just before each cut point."""
    below = [np.cumsum(counts)[:-1] / np.sum(counts) for counts in (reference, window)]
    return float(np.max(np.abs(below[0] - below[1]), initial=0.0))


def judged_counts(reference, window):
    """Both sides' counts of the baseline's largest categories, and of all others together."""
    total, covered, named = sum(reference.values()), 0, []
    for name, count in sorted(reference.items(), key=lambda item: (-item[1], item[0])):
        if len(named) == JUDGED_CATEGORIES or covered >= JUDGED_MASS * total:
            break
        named.append(name)
        covered += count
    sides = []
    for side in (reference, window):
        kept = [side.get(name, 0) for name in named]
        sides.append(np.array(kept + [sum(side.values()) - sum(kept)], dtype=float))
    return sides


def psi_of(reference, window):
    """PSI with one half added to each count, and K, the number of categories."""
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in judged_counts(reference, window))
    return float(np.sum((q - p) * np.log(q / p))), len(p)


def debiased_psi(reference, window):
    psi, k = psi_of(reference, window)
    return psi - (k - 1) * (1 / sum(reference.values()) + 1 / sum(window.values()))


def own_tolerance(floor, windows, statistic, rest_of):
    """The largest statistic of each own window against the rest; three floors where they are under ten."""
    found = [statistic(rest_of(windows, i), windows[i]) for i in range(len(windows))]
    if not found:
        return floor
    return max(0.0, *found) if len(found) >= ENOUGH_OWN_WINDOWS else 3 * floor


def numeric(column, tolerance, judged, alone):
    if "slots" in column:
        reference, window = (np.array(column["slots"][side]) for side in ("reference", "window"))
        m, n, statistic = int(reference.sum()), int(window.sum()), distance_of_slots
    else:
        reference, window = (present_numbers(column[side]) for side in ("reference", "window"))
        m, n, statistic = len(reference), len(window), distance
    if not m or not n:
        return {"n": n, "m": m, "level": "not_computable"}
    windows = [present_numbers(values) for values in column.get("own_windows", [])]
    beside = present_numbers(column.get("beside_own_windows", []))
    rest = lambda all_of, i: np.concatenate([beside] + [one for j, one in enumerate(all_of) if j != i])
    t = own_tolerance(tolerance["ks"], windows, distance, rest)
    error = math.sqrt(math.log(2 * judged / 0.01) / (2 * m))
    value = statistic(reference, window)
    margin = lambda level: math.sqrt(math.log(2 / level) / (2 * n))
    return {
        "n": n, "m": m, "statistic": "ks", "value": value, "tolerance": t, "baseline_error": error,
        "p_tolerance": min(1.0, 2 * math.exp(-2 * n * max(0.0, value - t - error) ** 2)),
        "bound": value - error - margin(BOUND_LEVEL),
        "detectable": t + error + margin(alone),
    }


def categorical(column, tolerance, _judged, alone):
    if "counts" in column:
        reference, window = column["counts"]["reference"], column["counts"]["window"]
    else:
        count = lambda side: dict(collections.Counter(present_texts(column[side])))
        reference, window = count("reference"), count("window")
    m, n = sum(reference.values()), sum(window.values())
    if not m or not n:
        return {"n": n, "m": m, "level": "not_computable"}
    windows = [collections.Counter(present_texts(values)) for values in column.get("own_windows", [])]
    beside = collections.Counter(present_texts(column.get("beside_own_windows", [])))
    rest = lambda all_of, i: sum((one for j, one in enumerate(all_of) if j != i), beside)
    t = own_tolerance(tolerance["psi"], windows, debiased_psi, rest)
    value, k = psi_of(reference, window)
    debiased = value - (k - 1) * (1 / m + 1 / n)
    effective = n * m / (n + m)
    spread = lambda at: math.sqrt(2 * (k - 1) / effective**2 + 4 * at / effective)
    return {
        "n": n, "m": m, "statistic": "psi", "value": value, "debiased": debiased, "categories": k,
        "tolerance": t,
        "p_tolerance": max(float(stats.norm.sf((debiased - t) / spread(t))), chi_square(value, k, m, n)),
        "bound": debiased - 2.326 * spread(max(debiased, 0.0)),
        "detectable": t + float(stats.norm.isf(alone)) * spread(t),
        "largest": farthest(reference, n, alone),
    }


def chi_square(psi, k, m, n):
    """The p-value of a PSI where nothing differs; by it what is near no difference must be over as well."""
    return float(stats.chi2.sf(psi / (1 / m + 1 / n), k - 1))


def farthest(reference, n, alone):
    """The debiased PSI of n rows that all have the baseline's rarest category; 0 where even they do not alarm."""
    known, _ = judged_counts(reference, {})
    p = (known + 0.5) / (known + 0.5).sum()
    window = np.zeros(len(known))
    window[int(np.argmin(known))] = n
    q = (window + 0.5) / (window + 0.5).sum()
    psi = float(np.sum((q - p) * np.log(q / p)))
    if chi_square(psi, len(p), known.sum(), n) > alone:
        return 0.0
    return psi - (len(p) - 1) * (1 / known.sum() + 1 / n)


def share(case, alone):
    """The exact binomial test of "at most the baseline's share and the tolerance"."""
    count, rows = case["count"], case["rows"]
    if not rows:
        return {"n": rows, "level": "not_computable"}
    allowed = min(1.0, case["reference_share"] + case["tolerance"])
    needed = int(stats.binom.isf(alone, rows, allowed)) + 1
    return {
        "n": rows, "statistic": "share", "value": count / rows, "tolerance": case["tolerance"],
        "reference_share": case["reference_share"], "allowed": allowed,
        "p_tolerance": float(stats.binom.sf(count - 1, rows, allowed)),
        "bound": float(stats.beta.ppf(BOUND_LEVEL, count, rows - count + 1)) if count else 0.0,
        "detectable": needed / rows if needed <= rows else None,
    }


def shares_of(column, tolerance):
    """The share checks that raw values of a column allow."""
    if "reference" not in column or "window" not in column:
        return
    gaps = {side: count_missing(column[side]) for side in ("reference", "window")}
    yield {"check": "missing", "count": gaps["window"], "rows": len(column["window"]),
           "reference_share": gaps["reference"] / max(1, len(column["reference"])),
           "tolerance": tolerance["missing"]}
    wrong = {side: count_wrong_type(column[side], column["kind"]) for side in ("reference", "window")}
    yield {"check": "wrong_type", "count": wrong["window"], "rows": len(column["window"]),
           "reference_share": wrong["reference"] / max(1, len(column["reference"])),
           "tolerance": tolerance["wrong_type"]}
    if column["kind"] == "categorical":
        names, window = present_texts(column["reference"]), present_texts(column["window"])
        known, once = set(names), sum(count == 1 for count in collections.Counter(names).values())
        yield {"check": "new_category", "count": sum(name not in known for name in window),
               "rows": len(window) if known else 0,
               "reference_share": once / max(1, len(names)),
               "tolerance": tolerance["new_category"]}


def absent(column, tolerance, alpha):
    """Whether no row of the window has the column, though that is unlikely by the reference."""
    if not all(side in column for side in ("reference", "window")) or not len(column["window"]):
        return False
    gaps, rows = count_missing(column["reference"]), len(column["window"])
    allowed = min(1.0, gaps / max(1, len(column["reference"])) + tolerance["missing"])
    nowhere = count_missing(column["window"]) == rows and gaps < len(column["reference"])
    return nowhere and stats.binom.sf(rows - 1, rows, allowed) <= alpha


def level_of(finding, alpha):
    if "level" in finding:
        return finding["level"]
    if "p_adjusted" not in finding:
        return "not_computable"
    if finding["p_adjusted"] <= alpha:
        return "alarm"
    if finding["statistic"] == "share":
        over, tolerance = finding["value"], finding["allowed"]
        half = finding["reference_share"] + finding["tolerance"] / 2
    else:
        over, tolerance = finding.get("debiased", finding["value"]), finding["tolerance"]
        half = tolerance / 2
    if over > tolerance + ROUNDING or finding["bound"] > half + ROUNDING:
        return "warn"
    return "ok"


def computable(finding):
    if finding.get("statistic") == "share":
        return finding["detectable"] is not None or finding["allowed"] >= 1
    if "p_tolerance" not in finding:
        return False
    over = finding["detectable"] - finding["tolerance"]
    normal = "largest" not in finding or over < max(finding["tolerance"], 1 - finding["tolerance"])
    return normal and finding["detectable"] < finding.get("largest", 1)


def adjust(findings):
    """Benjamini-Hochberg among the computable findings of each check."""
    checks = collections.defaultdict(list)
    for finding in findings:
        if computable(finding):
            checks[finding["check"]].append(finding)
    for members in checks.values():
        adjusted = stats.false_discovery_control([finding["p_tolerance"] for finding in members])
        for finding, p in zip(members, adjusted):
            finding["p_adjusted"] = float(p)


def tests_of(columns):
    """How many tests of each check have rows on both sides."""
    counts = collections.Counter()
    for column in columns.values():
        if column["kind"] == "share":
            counts[column["check"]] += bool(column["rows"])
            continue
        sides = column.get("slots") or column.get("counts")
        if sides:
            some = [sum(one.values() if isinstance(one, dict) else one) for one in sides.values()]
        else:
            present = present_numbers if column["kind"] == "numeric" else present_texts
            some = [len(present(column[side])) for side in ("reference", "window")]
        counts["distribution"] += all(some)
        for one in shares_of(column, FLOORS):
            counts[one["check"]] += bool(one["rows"])
    return counts


def judge(case):
    alpha, columns = case.get("alpha", 0.01), columns_of(case)
    judged = case.get("judged", sum(column["kind"] != "share" for column in columns.values()))
    tests = tests_of(columns)
    alone = lambda check: alpha / (case.get("judged") or max(1, tests[check]))
    findings = []
    for name, column in columns.items():
        if column["kind"] == "share":
            found = share(column, alone(column["check"]))
            findings.append({"subject": name, "check": column["check"], **found})
            continue
        tolerance = FLOORS | case.get("defaults", {}) | column.get("tolerance", {})
        decide = numeric if column["kind"] == "numeric" else categorical
        findings.append({"subject": name, "check": "distribution", "kind": column["kind"],
                         **decide(column, tolerance, judged, alone("distribution"))})
        if absent(column, tolerance, alpha):
            findings.append({"subject": name, "check": "absent", "level": "alarm"})
            continue
        findings += [{"subject": name, "check": one["check"], **share(one, alone(one["check"]))}
                     for one in shares_of(column, tolerance)]
    adjust(findings)
    for finding in findings:
        finding["level"] = level_of(finding, alpha)
    order = ["not_computable", "ok", "warn", "alarm"]
    levels = [finding["level"] for finding in findings]
    level = max(levels, key=order.index, default="not_computable")
    if level == "ok" and "not_computable" in levels:
        level = "not_computable"
    return {"level": level, "judged": judged, "findings": findings}


if __name__ == "__main__":
    json.dump(judge(json.load(sys.stdin)), sys.stdout)
