"""What scipy says about numeric columns: two-sample Kolmogorov-Smirnov, and PSI on given bins.

Reads one JSON case on standard input:

    {"columns": {NAME: {"reference": [...], "window": [...], "bins": [edges]}}}
    {"reference_file": PATH, "current_file": PATH, "categorical": [...], "ignore": [...]}

and prints {NAME: {"n", "m", "ks", "greater", "less", "p_exact", "p_asymptotic", "psi"}}. n counts the
window's values, m the reference's; null and NaN are missing, "inf" and "-inf" are values. A bin ends
at its edge and contains it; the last has no end. One half is added to every count of both sides.
p_exact is null above EXACT_UP_TO values, where scipy itself would not compute it.
"""

import json
import sys

import numpy as np
from scipy import stats

from oracle_columns import columns_of, present_numbers

EXACT_UP_TO = 10_000


def psi_of(reference, window, edges):
    shares = []
    for values in (reference, window):
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        shares.append((counts + 0.5) / (counts + 0.5).sum())
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def compare(column, exact_up_to=EXACT_UP_TO):
    reference, window = present_numbers(column["reference"]), present_numbers(column["window"])
    found = {"n": len(window), "m": len(reference)}
    if not found["n"] or not found["m"]:
        return found
    exact = max(found["n"], found["m"]) <= exact_up_to
    asymptotic = stats.ks_2samp(reference, window, method="asymp")
    return found | {
        "ks": float(asymptotic.statistic),
        "greater": float(stats.ks_2samp(reference, window, "greater", method="asymp").statistic),
        "less": float(stats.ks_2samp(reference, window, "less", method="asymp").statistic),
        "p_exact": float(stats.ks_2samp(reference, window, method="exact").pvalue) if exact else None,
        "p_asymptotic": float(asymptotic.pvalue),
        "psi": psi_of(reference, window, column["bins"]) if "bins" in column else None,
    }


if __name__ == "__main__":
    found = columns_of(json.load(sys.stdin))
    numeric = {name: column for name, column in found.items() if column.get("kind", "numeric") == "numeric"}
    json.dump({name: compare(column) for name, column in numeric.items()}, sys.stdout)
