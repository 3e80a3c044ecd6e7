"""The same two frames written by pandas and by polars, in every format that each of them writes.

Reads {"folder": DIR, "rows": N, "shift": [LEFT, RIGHT]} on standard input and prints
{"pandas parquet": [LEFT, RIGHT], …}, paths of the two files of each writer and format.
"""

import json
import pathlib
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl



def frame(rows, seed, shift):
    random = np.random.default_rng(seed)
    share = lambda: random.random(rows)
    gaps = lambda values, part: [None if gap else value for value, gap in zip(values, share() < part)]
    colours = np.array(["red", "green", "blue, dark", 'a "b"\nc'])
    colour = colours[((share() + shift) * 4).astype(int) % 4]
    start = pd.Timestamp("2026-01-05T00:00:00")
    minutes = pd.date_range(start, periods=rows, freq="min", unit="us")
    return pd.DataFrame({
        "uniform": share() + shift,
        "long tail": np.round(1e4 ** (share() ** 2)) / 8,
        "gaps": np.where(share() < 0.1, np.nan, share()),
        "single": share().astype(np.float32),
        "single tenths": np.round(share() * 10).astype(np.float32) / np.float32(10),
        "count": random.integers(-450, 450, rows),
        "small": random.integers(0, 9, rows).astype(np.int8),
        "nullable": pd.array(gaps(random.integers(0, 70, rows).tolist(), 0.2), dtype="Int64"),
        "constant": np.full(rows, 7),
        "row": np.arange(rows),
        "large": (share() * 1e15).astype(np.uint64) * np.uint64(17_003),
        "price": [Decimal(int(cents)) / 100 for cents in random.integers(100, 9_000, rows)],
        "flag": share() < 0.3 + shift,
        "nullable flag": pd.array(gaps((share() < 0.5).tolist(), 0.3), dtype="boolean"),
        "day": minutes.normalize() + pd.to_timedelta(np.arange(rows) % 90, unit="D"),
        "local": minutes,
        "utc": minutes.tz_localize("UTC"),
        "zoned": minutes.tz_localize("UTC").tz_convert("Etc/GMT-1"),
        "colour": colour,
        "dictionary": pd.Categorical(colour),
        "nullable colour": gaps(colour.tolist(), 0.3),
        "shop": ["shop %d" % number for number in 300 ** share()],
        "country": np.array(["NA", "DE", "None"])[(share() * 3).astype(int)],
        "zip": ["%05d" % number for number in (share() * 40).astype(int) * 2311 + 1067],
        "uuid": ["%016x-%d" % (int(bits * 2**53), row) for row, bits in enumerate(share())],
        "user": ["u%d" % number for number in share() * 50_000],
        "version": np.array(["1.5.0", "1.10.2"])[(share() * 2).astype(int)],
        "hour": random.integers(0, 24, rows).astype(np.int32),
        "tiny": (share() - 0.5) * 1e-9,
        "spread": np.exp(share() * 20 - 10),
    })


def write(frame, place):
    """The files of one frame by writer and format."""
    path = lambda name: str(place) + "." + name
    frame.to_parquet(path("pandas.parquet"))
    # With its index. JSON of pandas rounds to 15 digits, so that its numbers are others.
    frame.to_csv(path("pandas.csv"))
    written = {f"pandas {kind}": path(f"pandas.{kind}") for kind in ["parquet", "csv"]}
    polars = pl.from_pandas(frame)
    polars.write_parquet(path("polars.parquet"))
    polars.write_csv(path("polars.csv"))
    polars.with_columns(pl.col("price").cast(pl.Float64)).write_ndjson(path("polars.jsonl"))
    return written | {f"polars {kind}": path(f"polars.{kind}") for kind in ["parquet", "csv", "jsonl"]}


def main(folder, rows, shift):
    sides = [
        write(frame(rows, seed, moved), pathlib.Path(folder) / side)
        for side, seed, moved in zip(["left", "right"], [1, 2], shift)
    ]
    return {writer: [side[writer] for side in sides] for writer in sides[0]}


if __name__ == "__main__":
    json.dump(main(**json.load(sys.stdin)), sys.stdout)
