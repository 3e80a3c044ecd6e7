"""The flights of the example without what is known afterwards, whole and month by month.

Reads {"flights": PATH, "folder": DIR} on standard input, writes year.parquet and 01.parquet to 12.parquet, and prints
the last day of each month.
"""

import calendar
import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def main(flights, folder):
    folder = pathlib.Path(folder)
    table = pq.read_table(flights).drop_columns(["arr_delay", "id"])
    pq.write_table(table, folder / "year.parquet")
    months = table["departed"].to_numpy().astype("datetime64[M]")
    for number in range(1, 13):
        of_month = months == np.datetime64(f"2013-{number:02}")
        pq.write_table(table.filter(pa.array(of_month)), folder / f"{number:02}.parquet")
    return [calendar.monthrange(2013, number)[1] for number in range(1, 13)]


if __name__ == "__main__":
    json.dump(main(**json.load(sys.stdin)), sys.stdout)
