"""`driftline check` over frames."""

import json
import tempfile
from pathlib import Path

from driftline._binary import run
from driftline._frames import as_file, frame

#: From good to bad; what could not be judged says neither.
LEVELS = ("ok", "warn", "alarm")


class DriftError(AssertionError):
    """Something is at alarm, or at the level that was asked for."""


class Result:
    """What a comparison found.

    `findings`: a frame with one row per finding, the worst first. `report`: the whole report as the program
    writes it (docs/contracts.md, section 5). `level`: ok, warn, alarm or not_computable. `notes`: columns
    that were left out, and why. `html`: the report with its plots.
    """

    def __init__(self, report, html, notes, like):
        self.report = report
        self.html = html
        self.notes = notes
        self._like = like

    @property
    def level(self):
        return self.report["level"]

    @property
    def ok(self):
        """Whether nothing is at alarm."""
        return self.level != "alarm"

    @property
    def findings(self):
        rows = []
        for finding in self.report["findings"]:
            deciding = finding.get("ks") or finding.get("psi") or finding.get("share") or {}
            statistic = "ks" if finding.get("ks") else "psi" if finding.get("psi") else finding["check"]
            rows.append(
                {
                    "level": finding["level"],
                    "subject": finding["subject"],
                    "check": finding["check"],
                    "statistic": statistic,
                    "value": deciding.get("value"),
                    "bound": deciding.get("bound"),
                    "tolerance": deciding.get("tolerance"),
                    "n": finding["n"],
                    "m": finding["m"],
                    "judged": finding.get("judged", True),
                    "because": finding["because"],
                }
            )
        return frame(rows, self._like)

    def assert_ok(self, fail_on="alarm"):
        """Raises `DriftError` with a sentence per finding where one is at `fail_on` (warn or alarm)."""
        if fail_on not in LEVELS[1:]:
            raise ValueError(f"fail_on is warn or alarm, and not {fail_on!r}")
        failing = LEVELS[LEVELS.index(fail_on) :]
        told = [
            f"  {finding['level']}  {finding['subject']}: {finding['because']}"
            for finding in self.report["findings"]
            if finding["level"] in failing and finding.get("judged", True)
        ]
        if told:
            raise DriftError("\n".join([f"{len(told)} findings:", *told]))
        return self

    def _repr_html_(self):
        # A page of its own: its style must not become the notebook's.
        text = self.html.replace("&", "&amp;").replace('"', "&quot;")
        return (
            f'<iframe srcdoc="{text}" style="width:100%;height:40em;border:0" '
            'title="Driftline: what was found" sandbox="allow-scripts"></iframe>'
        )

    def __repr__(self):
        counts = {}
        for finding in self.report["findings"]:
            if finding.get("judged", True) and finding["level"] != "ok":
                counts[finding["level"]] = counts.get(finding["level"], 0) + 1
        found = ", ".join(f"{count} {level}" for level, count in counts.items()) or "nothing found"
        return f"<driftline.Result {self.level}: {found} in {self.report['window']['rows']} rows>"


def check(
    reference=None,
    current=None,
    *,
    baseline=None,
    kind=None,
    tolerance=None,
    rename=None,
    config=None,
    model=None,
):
    """Compares `current` with `reference`, or with a baseline file, as a window with its model's baseline.

    Rows are frames of pandas or polars, Arrow tables, dicts of columns, or whatever the command takes:
    files, folders, patterns, `s3://…`, a SELECT. `kind`: {"zip_code": "category", "customer_id": "ignore",
    "ts": "time"}. `tolerance`: {"ks": 0.1}. `rename`: {"score": "prediction:score"}.
    """
    if current is None:
        raise TypeError("current: which rows are to be compared")
    if (reference is None) == (baseline is None):
        raise TypeError("either a reference or a baseline")
    with tempfile.TemporaryDirectory(prefix="driftline-") as folder:
        arguments = ["check", "--format", "json", "--fail-on", "never"]
        if baseline is not None:
            arguments += ["--baseline", str(getattr(baseline, "path", baseline))]
        else:
            arguments += ["--reference", as_file(reference, folder, "reference")]
        arguments += ["--current", as_file(current, folder, "current")]
        arguments += options(kind=kind, tolerance=tolerance, rename=rename, config=config, model=model)
        html = Path(folder) / "report.html"
        arguments += ["--html", str(html)]
        _, out, errors = run(arguments)
        notes = [line.replace(f"{folder}/", "") for line in errors.splitlines()]
        page = html.read_text(encoding="utf-8").replace(f"{folder}/", "")
        return Result(json.loads(out), page, notes, (reference, current))


def options(*, kind=None, tolerance=None, rename=None, config=None, model=None):
    """The options of the command for what a caller says."""
    arguments = []
    for name, pairs in (("--kind", kind), ("--tolerance", tolerance), ("--rename", rename)):
        for key, value in (pairs or {}).items():
            arguments += [name, f"{key}={value}"]
    if config is not None:
        arguments += ["--config", str(config)]
    if model is not None:
        arguments += ["--model", model]
    return arguments
