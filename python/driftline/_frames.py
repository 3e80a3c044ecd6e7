"""Frames as files that the program reads: Arrow IPC, written without a copy where that can be."""

import os
import sys
from pathlib import Path


def as_file(rows, folder, name):
    """The name of a file with these rows: names as they are, frames as an Arrow file in `folder`."""
    if isinstance(rows, (str, os.PathLike)):
        return os.fspath(rows)
    path = Path(folder) / f"{name}.arrow"
    polars = sys.modules.get("polars")
    if polars is not None:
        if isinstance(rows, polars.LazyFrame):
            rows = rows.collect()
        if isinstance(rows, polars.DataFrame):
            rows.write_ipc(path)
            return str(path)
    _write(_table(rows), path)
    return str(path)


def _table(rows):
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(
            "handing frames over takes pyarrow: pip install 'driftline[frames]'"
        ) from error
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if isinstance(rows, pandas.Series):
            rows = rows.to_frame()
        if isinstance(rows, pandas.DataFrame):
            return _of_pandas(rows, pa)
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    if isinstance(rows, dict):
        return pa.table(rows)
    if isinstance(rows, list):
        return pa.Table.from_pylist(rows)
    # Whatever speaks Arrow's stream protocol: datasets, DuckDB, readers.
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(rows).read_all()
    raise TypeError(
        f"rows are a frame of pandas or polars, an Arrow table, a dict of columns, or the name of a "
        f"file, and not {type(rows).__name__}"
    )


def _of_pandas(frame, pa):
    names = [str(name) for name in frame.columns]
    if names != list(frame.columns):
        frame = frame.set_axis(names, axis=1)
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A column of mixed objects: each value as text is what a file would hold.
        columns = {}
        for place, name in enumerate(names):
            column = frame.iloc[:, place]
            try:
                columns[name] = pa.Array.from_pandas(column)
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                texts = [None if missing else str(value) for value, missing in zip(column, column.isna())]
                columns[name] = pa.array(texts, pa.string())
        return pa.table(columns)


def _write(table, path):
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def frame(rows, like=()):
    """Records as a frame of the kind that the caller uses: pandas, polars, else the records themselves."""
    wants_polars = any(type(it).__module__.startswith("polars") for it in like)
    if wants_polars:
        import polars

        return polars.DataFrame(rows, infer_schema_length=None)
    try:
        import pandas
    except ImportError:
        if "polars" in sys.modules:
            return sys.modules["polars"].DataFrame(rows, infer_schema_length=None)
        return rows
    return pandas.DataFrame(rows)
