"""Installs the peers, each in a virtual environment of its own, and times them on two Parquet files.

    peers.py measure NAME REFERENCE CURRENT     prints {"seconds": ...} of the processor; runs inside the environment of NAME
    peers.py data FOLDER                        writes reference.parquet and current.parquet
    peers.py wide FILE ROWS                     writes a file of 1000 columns
    peers.py flights SOURCE TARGET              writes what a candidate takes of the demo's flights
    peers.py score MODEL ROWS                   prints {"seconds", "rows", "late"} of ONNX Runtime on the
                                                flights in ROWS, 1024 rows a run

`bench.py` is what calls it. One column costs every peer the same work as the other 19, so the files are
plain: 20 numeric columns of five shapes, a reference of 10 000 rows and 200 000 current rows.
"""

import json
import pathlib
import subprocess
import sys
import time

REFERENCE_ROWS, CURRENT_ROWS, FEATURES = 10_000, 200_000, 20
# Name, the environment it runs in.
PEERS = {"evidently-ks": "evidently", "evidently-psi": "evidently", "nannyml": "nannyml",
         "nannyml-chunks": "nannyml", "nannyml-exact": "nannyml", "whylogs": "whylogs", "scipy": "evidently"}
# What each environment needs; versions are those that the table names.
ENVIRONMENTS = {
    "evidently": ["evidently==0.7.23", "scipy", "pandas<3", "pyarrow"],
    "nannyml": ["nannyml==0.13.1", "statsmodels", "pyarrow"],
    "whylogs": ["whylogs==1.6.4", "pandas", "pyarrow", "setuptools<81"],
    "onnxruntime": ["onnxruntime==1.31.1", "pandas", "pyarrow"],
}
# What the demo's candidates take, and how many rows a run gets.
INPUTS = ["dep_delay", "distance", "hour", "day_of_week", "wind_speed", "precip", "visib"]
RUN_ROWS = 1024


def environment(cache, name):
    """The interpreter of an environment, made when it is not there."""
    folder = cache / f"peer-{name}"
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    if not stamp.exists():
        print(f"bench: installing {' '.join(ENVIRONMENTS[name])}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                        *ENVIRONMENTS[name]], check=True)
        stamp.write_text("\n".join(ENVIRONMENTS[name]))
    return python


def write_data(folder):
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(5)
    shapes = [
        lambda n: random.uniform(0, 1000, n),
        lambda n: random.normal(0, 1, n),
        lambda n: random.lognormal(0, 2, n),
        lambda n: np.round(random.normal(0, 50, n), 2),
        lambda n: np.abs(random.normal(0, 1, n)) ** 5 * 1e6,
    ]
    for name, rows in (("reference", REFERENCE_ROWS), ("current", CURRENT_ROWS)):
        columns = {f"f{i:02}": shapes[i % 5](rows) for i in range(FEATURES)}
        pd.DataFrame(columns).to_parquet(folder / f"{name}.parquet", index=False)


def write_wide(path, rows, columns=1000, group=10_000):
    """Group by group, since no more than one need be in memory."""
    import numpy as np
    import pyarrow
    from pyarrow import parquet

    random = np.random.default_rng(rows)
    fields = [(f"f{column:04}", pyarrow.float64()) for column in range(columns)]
    with parquet.ParquetWriter(path, pyarrow.schema(fields)) as writer:
        for at in range(0, rows, group):
            count = min(group, rows - at)
            of = [lambda: random.normal(0, 1, count), lambda: np.round(random.lognormal(0, 2, count), 2)]
            values = {name: of[column % 2]() for column, (name, _) in enumerate(fields)}
            writer.write_table(pyarrow.table(values))


def evidently(method, reference, current):
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=list(reference.columns))
    before = Dataset.from_pandas(reference, data_definition=definition)
    now = Dataset.from_pandas(current, data_definition=definition)
    return Report([DataDriftPreset(num_method=method)]).run(now, before).dict()


def nannyml(reference, current, chunks=1):
    import nannyml as nml

    calculator = nml.UnivariateDriftCalculator(
        column_names=list(reference.columns), continuous_methods=["kolmogorov_smirnov"], chunk_number=chunks)
    calculator.fit(reference)
    return calculator.calculate(current)


def whylogs(_, current):
    import whylogs as why

    return why.log(pandas=current).view()


def scipy(reference, current):
    from scipy.stats import ks_2samp

    return [ks_2samp(reference[name], current[name]) for name in reference.columns]


def measure(name, reference, current):
    import pandas as pd

    frames = pd.read_parquet(reference), pd.read_parquet(current)
    work = {
        "evidently-ks": lambda a, b: evidently("ks", a, b),
        "evidently-psi": lambda a, b: evidently("psi", a, b),
        "nannyml": nannyml,
        # What it does where nobody says how many chunks to make of a file.
        "nannyml-chunks": lambda before, now: nannyml(before, now, 10),
        # From 10 000 reference rows on it compares histograms; with one row fewer it is exact, as we are.
        "nannyml-exact": lambda before, now: nannyml(before.head(9_999), now),
        "whylogs": whylogs, "scipy": scipy,
    }[name]
    # Imports, caches and compilers of its own are warmed up on a little of the data.
    work(*(frame.head(2000) for frame in frames))
    begun = time.process_time()
    work(*frames)
    return time.process_time() - begun


def write_flights(source, target):
    import pandas as pd

    pd.read_parquet(source, columns=INPUTS).to_parquet(target, index=False)


def score(model, path, passes=5):
    """Processor seconds of one pass over rows that already are the tensors the model takes."""
    import numpy as np
    import onnxruntime
    import pandas as pd

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rows = np.ascontiguousarray(pd.read_parquet(path, columns=INPUTS).to_numpy(np.float32))
    inputs = session.get_inputs()
    assert len(inputs) == 1, "one tensor for all features"
    seconds = []
    for _ in range(passes + 1):
        begun, late = time.process_time(), 0
        for at in range(0, len(rows), RUN_ROWS):
            labels, _ = session.run(None, {inputs[0].name: rows[at:at + RUN_ROWS]})
            late += int((labels == 1).sum())
        seconds.append(time.process_time() - begun)
    return {"seconds": sorted(seconds[1:])[passes // 2], "rows": len(rows), "late": late}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", name, reference, current]:
            print(json.dumps({"seconds": measure(name, reference, current)}))
        case ["score", model, rows]:
            print(json.dumps(score(model, rows)))
        case ["wide", path, rows]:
            write_wide(path, int(rows))
        case ["flights", source, target]:
            write_flights(source, target)
        case ["data", folder]:
            write_data(pathlib.Path(folder))
        case _:
            sys.exit(__doc__)
