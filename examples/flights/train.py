"""Trains the models of the flights example and writes them as ONNX, with a fixed seed.

Question of the models: asked at departure, will this flight arrive more than 15 minutes late?

    python train.py                        champion.onnx, spring.onnx, baseline-rows.parquet
    python train.py --rows train.parquet   recent.onnx, from exactly the rows of that file, which
                                           `driftline export --retrain ID` wrote
    python train.py --score                only the table of quality by month, of the models as written
"""

import argparse
import hashlib
from pathlib import Path

import numpy
import onnxruntime
import pandas
import pyarrow
import pyarrow.parquet
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

from prepare import SCHEMA

FOLDER = Path(__file__).parent
SEED = 2013
LATE_MINUTES = 15
# The order of the models' input; missing values are NaN. Temperature and pressure stand in the
# captures but not here: a model of one season knows only that season's values of them.
INPUTS = ["dep_delay", "distance", "hour", "day_of_week", "wind_speed", "precip", "visib"]
LABELS = numpy.array(["on-time", "late"])
# `trained_until` of each model is the end of its span.
SPANS = {"champion": ("2013-01-01", "2013-04-01"), "spring": ("2013-04-01", "2013-07-01")}
FOLDS = 5


def flights() -> pandas.DataFrame:
    """All flights, with the label `late`: 1.0, 0.0, or NaN where no arrival is known."""
    rows = pyarrow.parquet.read_table(FOLDER / "flights-2013.parquet").to_pandas()
    rows["late"] = (rows["arr_delay"] > LATE_MINUTES).astype(float).where(rows["arr_delay"].notna())
    return rows


def between(rows: pandas.DataFrame, start: str, end: str) -> pandas.DataFrame:
    """The rows that departed in [start, end), UTC."""
    start, end = pandas.Timestamp(start, tz="UTC"), pandas.Timestamp(end, tz="UTC")
    return rows[(rows["departed"] >= start) & (rows["departed"] < end)]


def exported(rows: pandas.DataFrame, export: Path) -> pandas.DataFrame:
    """The flights that `driftline export` wrote; their labels come from the arrivals."""
    ids = pyarrow.parquet.read_table(export, columns=["id"])["id"].to_pylist()
    chosen = rows[rows["id"].isin(set(ids))]
    if len(chosen) != len(ids):
        raise SystemExit(f"{export}: {len(ids)} rows, of which {len(chosen)} are known flights")
    return chosen


def inputs(rows: pandas.DataFrame) -> numpy.ndarray:
    """The input tensor: float32, [rows, inputs]."""
    return rows[INPUTS].to_numpy(dtype=numpy.float32)


def fit(rows: pandas.DataFrame) -> HistGradientBoostingClassifier:
    """A small gradient-boosted model of the rows whose arrival is known."""
    known = rows[rows["late"].notna()]
    model = HistGradientBoostingClassifier(
        max_iter=120,
        learning_rate=0.08,
        max_leaf_nodes=24,
        min_samples_leaf=60,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=SEED,
    )
    return model.fit(inputs(known), known["late"].astype(int))


def write_onnx(model: HistGradientBoostingClassifier, name: str, rows: pandas.DataFrame) -> None:
    """Writes the model and checks that ONNX Runtime scores as scikit-learn does."""
    # zipmap=False: probabilities as one [n, 2] tensor instead of a sequence of maps.
    proto = to_onnx(
        model,
        initial_types=[("input", FloatTensorType([None, len(INPUTS)]))],
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
        name=name,
    )
    path = FOLDER / f"{name}.onnx"
    path.write_bytes(proto.SerializeToString())
    _, scores = run_onnx(path, rows)
    expected = model.predict_proba(inputs(rows))[:, 1]
    difference = float(numpy.abs(scores - expected).max())
    if difference > 1e-5:
        raise SystemExit(f"{name}: ONNX Runtime and scikit-learn differ by {difference}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path.name}: {path.stat().st_size} bytes, sha256 {digest}")
    print(f"  {len(rows)} rows, largest difference to scikit-learn {difference:.1e}")


def run_onnx(path: Path, rows: pandas.DataFrame) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Labels (0 or 1) and scores (probability of `late`) of a written model."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    labels, probabilities = session.run(["label", "probabilities"], {"input": inputs(rows)})
    return labels, probabilities[:, 1]


def write_baseline_rows(rows: pandas.DataFrame) -> None:
    """Writes the champion's training rows with out-of-fold predictions.

    A model is sharper on rows it was trained on, so a baseline of such scores would call the first
    ordinary week a drift. The folds are blocks of whole weeks: days of one week are alike, and a
    window must not be scored by a model that has seen its neighbours.
    """
    monday = pandas.Timestamp("2012-12-31", tz="UTC")
    week = ((rows["departed"] - monday).dt.days // 7).to_numpy()
    scores = numpy.full(len(rows), numpy.nan, dtype=numpy.float32)
    for fold in numpy.array_split(numpy.unique(week), FOLDS):
        held_out = numpy.isin(week, fold)
        model = fit(rows[~held_out])
        scores[held_out] = model.predict_proba(inputs(rows[held_out]))[:, 1]
    known = rows["late"].notna().to_numpy()
    auc = roc_auc_score(rows["late"][known], scores[known])
    fields = [field for field in SCHEMA if field.name not in ("id", "arr_delay")]
    schema = pyarrow.schema(
        [
            *fields,
            pyarrow.field("label", pyarrow.string(), nullable=False),
            pyarrow.field("score", pyarrow.float32(), nullable=False),
        ]
    )
    table = pyarrow.Table.from_pandas(
        rows.assign(label=LABELS[(scores > 0.5).astype(int)], score=scores)[schema.names],
        schema=schema,
        preserve_index=False,
    ).replace_schema_metadata(None)
    path = FOLDER / "baseline-rows.parquet"
    pyarrow.parquet.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in schema.names if name not in ("departed", "score")],
        column_encoding={"departed": "DELTA_BINARY_PACKED", "score": "BYTE_STREAM_SPLIT"},
    )
    print(f"{path.name}: {table.num_rows} rows, {path.stat().st_size} bytes, held-out AUC {auc:.3f}")


def print_quality(rows: pandas.DataFrame) -> None:
    """AUC and log-loss by month of every model that is there; `*` marks its training months."""
    names = [name for name in ("champion", "spring", "recent") if (FOLDER / f"{name}.onnx").exists()]
    known = rows[rows["late"].notna()].copy()
    for name in names:
        known[name] = run_onnx(FOLDER / f"{name}.onnx", known)[1]
    titles = [f"AUC {name} | log-loss {name}" for name in names]
    print("| month | flights | late | " + " | ".join(titles) + " |")
    print("|---" * (3 + 2 * len(names)) + "|")
    for month in range(1, 13):
        end = f"2013-{month + 1:02}-01" if month < 12 else "2014-01-02"
        part = between(known, f"2013-{month:02}-01", end)
        cells = [f"2013-{month:02}", f"{len(part)}", f"{part['late'].mean():.3f}"]
        for name in names:
            start_end = SPANS.get(name)
            own = start_end is not None and start_end[0] <= f"2013-{month:02}-01" < start_end[1]
            auc, loss = roc_auc_score(part["late"], part[name]), log_loss(part["late"], part[name])
            cells += [f"{auc:.3f}{'*' if own else ''}", f"{loss:.3f}{'*' if own else ''}"]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Trains what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=Path, help="file of `driftline export`: train recent.onnx")
    parser.add_argument("--score", action="store_true", help="train nothing, print the table")
    arguments = parser.parse_args()
    rows = flights()
    if arguments.rows is not None:
        chosen = exported(rows, arguments.rows)
        write_onnx(fit(chosen), "recent", chosen)
        print(f"  trained until {chosen['departed'].max()}")
    elif not arguments.score:
        for name, (start, end) in SPANS.items():
            chosen = between(rows, start, end)
            write_onnx(fit(chosen), name, chosen)
        write_baseline_rows(between(rows, *SPANS["champion"]))
    print_quality(rows)


if __name__ == "__main__":
    main()
