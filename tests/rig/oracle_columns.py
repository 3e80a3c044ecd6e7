"""Reads the columns that an oracle compares: out of a JSON case, or out of two Parquet, CSV or JSONL files."""

import collections
import datetime
import math
import numbers
import pathlib

import numpy as np
import pandas as pd
import pyarrow.parquet

SAME_TEXT = 0.001
FEW_ROWS = 20


def read_table(path):
    """A file as a data frame of Python objects and numbers; an empty CSV field is missing, nothing else is."""
    path = pathlib.Path(path)
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pandas(integer_object_nulls=True)
    if path.suffix == ".csv":
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    return pd.read_json(path, lines=True, dtype=False, convert_dates=False)


def is_missing(value):
    if type(value) in (str, int, bool):
        return False
    return value is None or value is pd.NA or value is pd.NaT or (
        isinstance(value, numbers.Real) and math.isnan(value)
    )


def number(value):
    """A number, or the words that stand for one in JSON."""
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) else value


def count_missing(values):
    return int(np.isnan(values).sum()) if is_numbers(values) else sum(map(is_missing, values))


def count_wrong_type(values, kind):
    return 0 if is_numbers(values) else sum(is_wrong_type(value, kind) for value in values)


def is_numbers(values):
    """Whether values are an array of doubles, in which NaN is missing."""
    return isinstance(values, np.ndarray) and values.dtype.kind == "f"


def is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def is_wrong_type(value, kind):
    """Whether a value that is there does not fit its column's kind; any text or number is a category."""
    return kind == "numeric" and not is_missing(value) and not is_number(number(value))


def present_numbers(values):
    """The values that are there and are numbers, as doubles; -0.0 becomes 0.0."""
    if is_numbers(values):
        return values[~np.isnan(values)] + 0.0
    kept = [float(number(value)) for value in values
            if not is_missing(value) and not is_wrong_type(value, "numeric")]
    return np.array([value for value in kept if not math.isnan(value)], dtype=float) + 0.0


def text(value):
    """The text of a category by the contract: booleans lower-case, whole floats as integers."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, numbers.Real) and float(value).is_integer():
        return str(int(value))
    return str(value)


def present_texts(values):
    return [text(value) for value in values if not is_missing(value)]


def kind_of(values, categorical):
    """numeric, categorical or None (skipped): the rules of a check without a configuration."""
    if is_numbers(values) and not categorical:
        return None if np.isnan(values).all() else "numeric"
    present = [value for value in values if not is_missing(value)]
    if not present or isinstance(present[0], (datetime.date, datetime.datetime)):
        return None
    if categorical:
        return "categorical"
    if isinstance(present[0], (str, bool, np.bool_)):
        return None if isinstance(present[0], str) and is_identifier(present) else "categorical"
    return "numeric" if isinstance(present[0], numbers.Real) else None


def is_identifier(present):
    """Whether two of the texts that are not frequent hardly ever agree."""
    counts = collections.Counter(map(text, present)).values()
    frequent = max(10, len(present) / 100)
    others = [count for count in counts if count < frequent]
    rows, pairs = sum(others), sum(count * (count - 1) for count in others)
    few = len(present) < FEW_ROWS and 2 * len(counts) <= len(present)
    agree = pairs >= max(4, SAME_TEXT * rows * (rows - 1))
    return not (2 * rows <= len(present) or agree or few)


def values_of(series):
    """The values of a file's column: doubles where it has numbers alone, else objects."""
    return series.to_numpy(dtype=float) if series.dtype.kind in "iuf" else series.tolist()


def columns_of(case):
    """The case's columns: name to {"kind", "reference", "window", …}, read from its files if it names some."""
    columns = dict(case.get("columns", {}))
    if "reference_file" in case:
        reference, window = read_table(case["reference_file"]), read_table(case["current_file"])
        for name in reference.columns:
            if name in case.get("ignore", []) or name not in window.columns:
                continue
            values = values_of(reference[name])
            kind = kind_of(values, name in case.get("categorical", []))
            if kind:
                found = {"kind": kind, "reference": values, "window": values_of(window[name])}
                columns[name] = found | columns.get(name, {})
    return columns
