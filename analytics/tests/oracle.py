"""Writes tests/data/statistics.json: random cases answered by scipy, the oracle of the statistics.

    python3 -m venv venv && venv/bin/pip install numpy scipy
    venv/bin/python analytics/tests/oracle.py

The file is committed; run this again only to change the cases.
"""

import json
import pathlib

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

SEED = 20261122
OUT = pathlib.Path(__file__).parent / "data" / "statistics.json"


def sample(rng, size):
    """Values with ties, infinities and both zeros, as captures have them."""
    shape = rng.integers(0, 6)
    if shape == 0:
        values = rng.normal(rng.normal(0, 0.3), 1, size)
    elif shape == 1:
        values = rng.integers(-4, 5, size).astype(float)
    elif shape == 2:
        values = np.round(rng.normal(0.2, 1, size), 1)
    elif shape == 3:
        values = rng.exponential(1, size) * 10.0 ** rng.integers(-300, 300)
    elif shape == 4:
        values = np.full(size, float(rng.integers(-1, 2)))
    else:
        values = rng.normal(0, 1, size)
        values[rng.random(size) < 0.1] = np.inf
        values[rng.random(size) < 0.1] = -np.inf
        values[rng.random(size) < 0.2] = -0.0
        values[rng.random(size) < 0.2] = 0.0
    return values


def plain(values):
    """JSON has no infinities: they are written as text."""
    return [str(v) if np.isinf(v) else float(v) for v in values]


def kolmogorov_smirnov(rng):
    cases = []
    for _ in range(400):
        reference = sample(rng, int(rng.integers(1, 40)))
        window = sample(rng, int(rng.integers(1, 40)))
        both = stats.ks_2samp(reference, window, method="asymp")
        effective = len(reference) * len(window) / (len(reference) + len(window))
        cases.append({
            "reference": plain(reference),
            "window": plain(window),
            "distance": both.statistic,
            "plus": stats.ks_2samp(reference, window, alternative="greater", method="asymp").statistic,
            "minus": stats.ks_2samp(reference, window, alternative="less", method="asymp").statistic,
            "exceedance": stats.mannwhitneyu(window, reference, method="asymptotic").statistic
            / (len(reference) * len(window)),
            "p_kolmogorov_limit": stats.kstwobign.sf(np.sqrt(effective) * both.statistic),
        })
    return cases


def divergences(rng):
    cases = []
    for _ in range(200):
        bins = int(rng.integers(1, 40))
        p = rng.dirichlet(np.full(bins, rng.choice([0.1, 1.0, 10.0])))
        q = rng.dirichlet(np.full(bins, 1.0)) * 0.3 + p * 0.7
        reference = rng.multinomial(int(rng.integers(1, 5000)), p)
        window = rng.multinomial(int(rng.integers(1, 1000)), q / q.sum())
        smooth_r = (reference + 0.5) / (reference.sum() + 0.5 * bins)
        smooth_w = (window + 0.5) / (window.sum() + 0.5 * bins)
        psi = float(((smooth_w - smooth_r) * np.log(smooth_w / smooth_r)).sum())
        noise = 1 / reference.sum() + 1 / window.sum()
        share_r, share_w = reference / reference.sum(), window / window.sum()
        distance = jensenshannon(share_r, share_w, base=2)
        cases.append({
            "reference": reference.tolist(),
            "window": window.tolist(),
            "psi": psi,
            "psi_debiased": psi - (bins - 1) * noise,
            "psi_p": float(stats.chi2.sf(psi / noise, bins - 1)) if bins > 1 else 1.0,
            "jensen_shannon": 0.0 if np.isnan(distance) else float(distance**2),
            "hellinger": float(np.sqrt(0.5 * ((np.sqrt(share_r) - np.sqrt(share_w)) ** 2).sum())),
            "total_variation": float(0.5 * np.abs(share_r - share_w).sum()),
        })
    return cases


def binomial(rng):
    cases = []
    for _ in range(300):
        trials = int(10 ** rng.uniform(0, 7))
        share = float(rng.choice([0.01, 0.011, 0.06, 0.3, rng.random()]))
        spread = np.sqrt(trials * share * (1 - share))
        successes = int(np.clip(round(trials * share + rng.normal(0, 4) * spread), 0, trials))
        cases.append({
            "trials": trials,
            "successes": successes,
            "share": share,
            "at_least": float(stats.binom.sf(successes - 1, trials, share)),
            "lower_bound": 0.0 if successes == 0
            else float(stats.beta.ppf(0.01, successes, trials - successes + 1)),
        })
    return cases


def ranks(rng):
    cases = []
    for _ in range(100):
        count = int(10 ** rng.uniform(0, 7))
        quantile = float(rng.choice([0.5, 0.9, 0.99, 0.999]))
        confidence = float(rng.choice([0.95, 0.99]))
        tail = (1 - confidence) / 2
        cases.append({
            "count": count,
            "quantile": quantile,
            "confidence": confidence,
            "lower": int(stats.binom.ppf(tail, count, quantile)),
            "upper": int(stats.binom.ppf(1 - tail, count, quantile)) + 1,
        })
    return cases


def tails(rng):
    normal = [{"z": z, "sf": float(stats.norm.sf(z))} for z in rng.uniform(-8, 30, 100).tolist()]
    chi_square = []
    for _ in range(200):
        degrees = int(rng.integers(1, 60))
        x = float(stats.chi2.isf(10 ** rng.uniform(-12, 0), degrees))
        chi_square.append({"x": x, "degrees": degrees, "sf": float(stats.chi2.sf(x, degrees))})
    p_values = []
    for _ in range(50):
        values = 10 ** rng.uniform(-6, 0, int(rng.integers(1, 60)))
        p_values.append({
            "p": values.tolist(),
            "adjusted": stats.false_discovery_control(values, method="bh").tolist(),
        })
    return {"normal": normal, "chi_square": chi_square, "benjamini_hochberg": p_values}


def main():
    rng = np.random.default_rng(SEED)
    cases = {
        "kolmogorov_smirnov": kolmogorov_smirnov(rng),
        "divergences": divergences(rng),
        "binomial": binomial(rng),
        "ranks": ranks(rng),
        **tails(rng),
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(cases, allow_nan=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
