"""A week of the flights of the example in which one carrier has ten points more of the requests.

Reads {"flights": PATH, "carrier": NAME, "points": SHARE, "plain": PATH, "injected": PATH} on standard input, writes
the first week of April as it was and with the carrier, and prints the carrier's two shares.
"""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def main(flights, carrier, points, plain, injected):
    table = pq.read_table(flights).drop_columns(["arr_delay", "id"])
    times = table["departed"].to_numpy().astype("datetime64[us]")
    week = (times >= np.datetime64("2013-04-01")) & (times < np.datetime64("2013-04-08"))
    table = table.filter(pa.array(week))
    pq.write_table(table, plain)
    names = np.array(table["carrier"].to_pylist(), dtype=object)
    share = float((names == carrier).mean())
    random = np.random.default_rng(2013)
    names[(names != carrier) & (random.random(len(names)) < points / (1 - share))] = carrier
    place = table.schema.get_field_index("carrier")
    pq.write_table(table.set_column(place, "carrier", pa.array(names.tolist())), injected)
    return [share, float((names == carrier).mean())]


if __name__ == "__main__":
    json.dump(main(**json.load(sys.stdin)), sys.stdout)
