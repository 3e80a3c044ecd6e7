"""Driftline from Python: frames compared, baselines built, histories judged, captures sent.

>>> import driftline
>>> result = driftline.check(reference, current)   # pandas, polars, Arrow, or names of files
>>> result.findings                                 # a frame
>>> result.assert_ok()                              # raises where something is at alarm
"""

from driftline._binary import DriftlineError, binary
from driftline._check import DriftError, Result, check
from driftline._history import Backtest, Baseline, backtest, baseline

__all__ = [
    "Backtest",
    "Baseline",
    "Client",
    "DriftError",
    "DriftlineError",
    "Result",
    "backtest",
    "baseline",
    "binary",
    "check",
]


def __getattr__(name):
    # The client is wanted by few who compare frames.
    if name == "Client":
        from driftline.client import Client

        return Client
    raise AttributeError(f"module 'driftline' has no attribute {name!r}")
