"""Thirty mixed columns at 80 and 120 columns of terminal: no line is wider."""

import random
import re
import subprocess

import pytest
from conftest import shown

KINDS = 10


def rows(path, shift):
    random.seed(7)
    with open(path, "w") as file:
        names = [f"number_of_things_{i}" for i in range(KINDS)]
        names += [f"category_of_things_{i}" for i in range(KINDS)]
        names += [f"share_{i}" for i in range(KINDS - 3)]
        names += ["customer_id", "day", "a_very_long_name_of_a_column_that_somebody_generated_from_sql"]
        file.write(",".join(names) + "\n")
        for row in range(1500):
            moved = lambda i: shift if i % 4 == 0 else 0
            values = [f"{random.gauss(0, 1) + moved(i):.3f}" for i in range(KINDS)]
            for i in range(KINDS):
                names_of = ["red", "green", "blue"]
                if shift and i % 5 == 0:
                    names_of = ["red", "an unusually long category name that goes on and on and on"]
                values.append(random.choice(names_of))
            values += [f"{random.random() / 2 + moved(i) / 2:.3f}" for i in range(KINDS - 3)]
            values += [f"c{row:06}-{random.random():.6f}", f"2026-01-{row % 28 + 1:02}", f"{row % 9 + shift}"]
            file.write(",".join(values) + "\n")


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_no_line_is_wider_than_the_terminal(columns, binary, tmp_path):
    rows(tmp_path / "a.csv", 0)
    rows(tmp_path / "b.csv", 0.6)
    (tmp_path / "driftline.yaml").write_text(
        "kafka: {bootstrap: 'localhost:1'}\n"
        "models: [{name: m, captures: {topic: t}, baseline: baseline.json}]\n"
    )
    for code, command in [
        (1, ["check", "a.csv", "b.csv"]),
        (1, ["check", "a.csv", "b.csv", "--all"]),
        (0, ["baseline", "--data", "a.csv", "--out", "baseline.json"]),
        (1, ["check", "--baseline", "baseline.json", "b.csv"]),
        (1, ["backtest", "--data", "b.csv", "--time", "day"]),
        (0, ["check", "--help"]),
        (0, ["init", "--help"]),
        (0, ["--help"]),
    ]:
        ended, lines = shown(columns, [binary, *command], cwd=tmp_path)
        widest = max(lines, key=len)
        assert len(widest) <= columns, f"{command}: {len(widest)}: {widest}"
        assert ended == code, (command, lines)
        assert len(lines) > 3, (command, lines)


def test_findings_come_first_and_what_is_ok_is_a_count(binary, tmp_path):
    rows(tmp_path / "a.csv", 0)
    rows(tmp_path / "b.csv", 0.6)
    _, lines = shown(120, [binary, "check", "a.csv", "b.csv"], cwd=tmp_path)
    text = "\n".join(lines)
    assert re.search(r"\d+ of \d+ distributions ok \(--all shows them\)", text), text
    assert not any(line.startswith("ok ") for line in lines)
    _, lines = shown(120, [binary, "check", "a.csv", "b.csv", "--all"], cwd=tmp_path)
    assert any(line.startswith("ok ") for line in lines)
    assert any(re.match(r"customer_id +skipped +an identifier", line) for line in lines)


def test_colours_as_the_variables_say(binary, tmp_path):
    rows(tmp_path / "a.csv", 0)
    rows(tmp_path / "b.csv", 0.6)
    run = lambda env, *more: subprocess.run(
        [binary, "check", "a.csv", "b.csv", *more], cwd=tmp_path, capture_output=True, env=env
    ).stdout
    assert b"\x1b[31" not in run({})
    assert b"\x1b[31" in run({}, "--color", "always")
    assert b"\x1b[31" in run({"FORCE_COLOR": "1"})
    assert b"\x1b[31" not in run({"FORCE_COLOR": "1", "NO_COLOR": "1"})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(shell, binary):
    script = subprocess.run([binary, "completion", shell], capture_output=True, text=True, check=True)
    assert "backtest" in script.stdout and "--fail-on" in script.stdout or shell == "fish"
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script.stdout, text=True, check=True)


def test_the_manual(binary, tmp_path):
    subprocess.run([binary, "man", "--out", tmp_path], check=True)
    page = (tmp_path / "driftline-check.1").read_text()
    assert ".TH" in page and "fail\\-on" in page
