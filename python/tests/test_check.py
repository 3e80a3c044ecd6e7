"""Frames compared: every kind of frame gives what the files give, and the gate closes where it must."""

import json
import subprocess
import sys
from pathlib import Path

import driftline
import pytest
from driftline._binary import binary

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

ROWS = 1500


def columns(shift=0):
    return {
        "amount": [(row * 37) % 100 + shift + 0.5 for row in range(ROWS)],
        "colour": [("red", "green", "blue")[row % 3] for row in range(ROWS)],
        "trial": [row % 4 == 0 for row in range(ROWS)],
        "seen": [None if row % 10 == 0 else float(row % 7) for row in range(ROWS)],
    }


FRAMES = {
    "pandas": pandas.DataFrame,
    "pandas with categories": lambda rows: pandas.DataFrame(rows).astype({"colour": "category"}),
    "polars": polars.DataFrame,
    "polars, lazy": polars.LazyFrame,
    "arrow": pyarrow.table,
    "columns": dict,
    "records": lambda rows: pandas.DataFrame(rows).to_dict("records"),
}


@pytest.fixture(scope="module")
def of_files(tmp_path_factory):
    """The report of the same rows as Parquet."""
    folder = tmp_path_factory.mktemp("files")
    for name, shift in (("a", 0), ("b", 30)):
        pandas.DataFrame(columns(shift)).to_parquet(folder / f"{name}.parquet")
    return driftline.check(str(folder / "a.parquet"), folder / "b.parquet").report


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_gives_what_a_file_gives(kind, of_files):
    make = FRAMES[kind]
    result = driftline.check(make(columns()), make(columns(30)))
    assert result.report["findings"] == of_files["findings"]
    assert result.level == "alarm"
    findings = result.findings
    expected = polars.DataFrame if kind.startswith("polars") else pandas.DataFrame
    assert isinstance(findings, expected)
    assert list(findings["subject"])[0] == "feature:amount"
    assert list(findings["level"])[0] == "alarm"


def test_the_gate_says_what_moved_and_lets_the_same_pass():
    with pytest.raises(driftline.DriftError, match="feature:amount: .* of requests have amount"):
        driftline.check(columns(), columns(30)).assert_ok()
    same = driftline.check(columns(), columns())
    assert same.assert_ok(fail_on="warn") is same
    with pytest.raises(ValueError):
        same.assert_ok(fail_on="sometimes")


def test_a_notebook_shows_the_report_with_plots():
    shown = driftline.check(columns(), columns(30))._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "&lt;svg" in shown or "<svg" in shown
    assert "/tmp/" not in shown


def test_what_the_program_refuses_is_raised_in_its_sentence():
    with pytest.raises(driftline.DriftlineError, match="no column nowhere"):
        driftline.check(columns(), columns(), kind={"nowhere": "category"})
    with pytest.raises(TypeError, match="frame of pandas or polars"):
        driftline.check(columns(), 7)
    with pytest.raises(TypeError):
        driftline.check(current=columns())


def test_mixed_objects_are_read_as_text():
    frame = pandas.DataFrame({"mixed": [1, "two", None, 4.5] * 300, "x": range(1200)})
    assert driftline.check(frame, frame).ok


def test_kinds_tolerances_and_notes():
    rows = {"zip": [f"{row % 50:05}" for row in range(ROWS)], "id": [f"k{row}" for row in range(ROWS)]}
    result = driftline.check(rows, rows, kind={"zip": "category"})
    assert any("id skipped: an identifier" in note for note in result.notes)
    assert driftline.check(columns(), columns(3), tolerance={"ks": 0.5}).level != "alarm"


def test_baseline_and_backtest(tmp_path):
    days = 20
    rows = {"ts": [], "amount": []}
    for day in range(1, days + 1):
        for row in range(400):
            rows["ts"].append(f"2026-01-{day:02}T{row % 24:02}:00:00Z")
            rows["amount"].append((row * 37) % 100 + (60 if day > 17 else 0) + 0.5)
    frame = pandas.DataFrame(rows)
    reference = frame[frame.ts < "2026-01-15"]
    baseline = driftline.baseline(reference, tmp_path / "baseline.json", time="ts")
    assert baseline.document["rows"] == len(reference)
    backtest = driftline.backtest(frame, baseline=baseline, time="ts")
    assert list(backtest.windows["level"][-2:]) == ["alarm", "alarm"]
    with pytest.raises(driftline.DriftError, match="windows at alarm"):
        backtest.assert_ok()
    checked = driftline.check(current=frame[frame.ts > "2026-01-18"], baseline=baseline)
    assert checked.level == "alarm"


def test_the_fixture_is_a_gate(tmp_path):
    (tmp_path / "test_rows.py").write_text(
        "def test_moved(driftline_check):\n"
        "    rows = {'x': [float(row % 97) for row in range(1500)]}\n"
        "    driftline_check(rows, {'x': [value + 50 for value in rows['x']]})\n"
        "def test_same(driftline_check):\n"
        "    rows = {'x': [float(row % 97) for row in range(1500)]}\n"
        "    driftline_check(rows, rows)\n"
    )
    plugin = ["-p", "driftline.pytest_plugin"]
    try:
        # Where the package is installed, pytest knows the plugin already.
        from importlib.metadata import entry_points

        if any(it.name == "driftline" for it in entry_points(group="pytest11")):
            plugin = []
    except ImportError:
        pass
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, str(tmp_path)], capture_output=True, text=True
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "feature:x" in done.stdout


@pytest.mark.parametrize("format", ["table", "json", "markdown", "junit", "sarif", "github"])
def test_every_output_of_the_gate(format, tmp_path):
    for name, shift in (("a", 0), ("b", 30)):
        pandas.DataFrame(columns(shift)).to_csv(tmp_path / f"{name}.csv", index=False)
    command = [binary(), "check", "a.csv", "b.csv", "--format", format]
    run = lambda *more: subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True)
    assert run().returncode == 1
    assert run("--fail-on", "never").returncode == 0
    out = run().stdout
    assert "amount" in out
    if format in ("json", "sarif"):
        json.loads(out)
    if format == "junit":
        import xml.etree.ElementTree as tree

        suite = tree.fromstring(out).find("testsuite")
        assert suite.get("failures") == "1"
        assert len(suite.findall("testcase")) == int(suite.get("tests"))


def test_standard_input_and_packed_text(tmp_path):
    import gzip

    text = pandas.DataFrame(columns()).to_csv(index=False, sep=";")
    (tmp_path / "a.csv").write_text(text)
    for data in (text.encode(), gzip.compress(text.encode()), Path(tmp_path / "a.csv").read_bytes()):
        done = subprocess.run(
            [binary(), "check", str(tmp_path / "a.csv"), "-"], input=data, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        assert b"1500 rows: nothing found" in done.stdout
