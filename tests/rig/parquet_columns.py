"""Reads a Parquet file with pyarrow: {"file", "columns": [...]} in, {column: [values]} out."""

import json
import sys

import pyarrow.parquet

if __name__ == "__main__":
    case = json.load(sys.stdin)
    table = pyarrow.parquet.read_table(case["file"], columns=case["columns"])
    json.dump(table.to_pydict(), sys.stdout)
