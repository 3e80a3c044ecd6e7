"""`driftline baseline` and `driftline backtest` over frames."""

import json
import tempfile
from pathlib import Path

from driftline._binary import run
from driftline._check import DriftError, options
from driftline._frames import as_file, frame


class Baseline:
    """A baseline file: `path`, `document` (docs/contracts.md, section 4), and `summary` for people."""

    def __init__(self, path, summary):
        self.path = Path(path)
        self.summary = summary

    @property
    def document(self):
        return json.loads(self.path.read_text(encoding="utf-8"))

    def __repr__(self):
        return f"<driftline.Baseline {self.path}>"


class Backtest:
    """What a history would have brought: `windows` as a frame, `document` as the program writes it."""

    def __init__(self, document, like):
        self.document = document
        self._like = like

    @property
    def windows(self):
        rows = []
        for report in self.document["windows"]:
            found = [it for it in report["findings"] if it.get("judged", True) and it["level"] != "ok"]
            rows.append(
                {
                    "start": report["window"]["start"],
                    "end": report["window"]["end"],
                    "rows": report["window"]["rows"],
                    "level": report["level"],
                    "findings": len(found),
                    "because": found[0]["because"] if found else None,
                }
            )
        return frame(rows, self._like)

    @property
    def alarms(self):
        return sum(report["level"] == "alarm" for report in self.document["windows"])

    def assert_ok(self):
        """Raises `DriftError` where a window is at alarm."""
        bad = [it for it in self.document["windows"] if it["level"] == "alarm"]
        if bad:
            starts = ", ".join(report["window"]["start"] for report in bad)
            raise DriftError(f"{len(bad)} windows at alarm: {starts}")
        return self

    def __repr__(self):
        return f"<driftline.Backtest {len(self.document['windows'])} windows, {self.alarms} at alarm>"


def baseline(data, out, *, config=None, model="model", time=None, rename=None, held_out=False, every="1d"):
    """Builds the baseline of a model from rows and writes it to `out`.

    Without a configuration the model is one with the usual settings. `held_out` says that the predictions
    among the rows were made by a model that was not trained on them.
    """
    with tempfile.TemporaryDirectory(prefix="driftline-") as folder:
        if config is None:
            config, named = _configuration(folder, model, every), None
        else:
            named = None if model == "model" else model
        arguments = ["baseline", "--data", as_file(data, folder, "data"), "--out", str(out)]
        arguments += options(rename=rename, config=config, model=named)
        if time is not None:
            arguments += ["--time", time]
        if held_out:
            arguments += ["--predictions", "held-out"]
        _, summary, _ = run(arguments, allowed=(0,))
    return Baseline(out, summary)


def backtest(data, *, config=None, baseline=None, model="model", time=None, rename=None, every="1d"):
    """Sends rows through windows, judgement and incidents, with the models of a configuration, or with a
    baseline and the usual settings."""
    if (config is None) == (baseline is None):
        raise TypeError("either a configuration or a baseline")
    with tempfile.TemporaryDirectory(prefix="driftline-") as folder:
        if config is None:
            path = Path(getattr(baseline, "path", baseline)).resolve()
            config, named = _configuration(folder, model, every, path), None
        else:
            named = None if model == "model" else model
        arguments = ["backtest", "--json", "--data", as_file(data, folder, "data")]
        arguments += options(rename=rename, config=config, model=named)
        if time is not None:
            arguments += ["--time", time]
        _, out, _ = run(arguments)
    return Backtest(json.loads(out), (data,))


def _configuration(folder, model, every, baseline="baseline.json"):
    path = Path(folder) / "driftline.yaml"
    document = {
        "kafka": {"bootstrap": "localhost:9092"},
        "models": [
            {
                "name": model,
                "captures": {"topic": "captures"},
                "baseline": str(baseline),
                "window": {"every": every},
            }
        ],
    }
    # JSON is YAML.
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
