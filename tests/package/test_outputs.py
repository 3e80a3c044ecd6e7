"""SARIF and JUnit by their schemas; the Action, the hook and CodeBuild's commands run; a notebook executed."""

import json
import os
import subprocess


import pytest
import yaml
from conftest import REPOSITORY, wanted


@pytest.fixture
def files(tmp_path):
    for name, shift in (("a", 0), ("b", 30)):
        lines = ["amount,colour,id <&>"]
        for row in range(1500):
            lines.append(f"{(row * 37) % 100 + shift},{'red' if row % 3 else 'a <&> b'},{row % 5}")
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("current", ["a.csv", "b.csv"])
def test_sarif_is_valid(current, binary, files):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(wanted("DRIFTLINE_TEST_SARIF_SCHEMA").read_text())
    done = subprocess.run(
        [binary, "check", "a.csv", current, "-f", "sarif"], cwd=files, capture_output=True, text=True
    )
    document = json.loads(done.stdout)
    jsonschema.validators.validator_for(schema)(schema).validate(document)
    results = document["runs"][0]["results"]
    assert bool(results) == (current == "b.csv")
    assert all(it["ruleId"] in {rule["id"] for rule in document["runs"][0]["tool"]["driver"]["rules"]} for it in results)


@pytest.mark.parametrize("current", ["a.csv", "b.csv"])
def test_junit_is_valid(current, binary, files):
    xmlschema = pytest.importorskip("xmlschema")
    done = subprocess.run([binary, "check", "a.csv", current, "-f", "junit"], cwd=files, capture_output=True)
    (files / "out.xml").write_bytes(done.stdout)
    schema = xmlschema.XMLSchema(str(wanted("DRIFTLINE_TEST_JUNIT_SCHEMA")))
    import xml.etree.ElementTree as tree

    suites = tree.fromstring(done.stdout)
    # The schema of pytest knows the list of suites, and a suite alone.
    try:
        schema.validate(suites)
    except xmlschema.XMLSchemaValidationError:
        schema.validate(suites.find("testsuite"))
    assert (suites.find("testsuite").get("failures") != "0") == (current == "b.csv")


def test_the_action(binary, files):
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text())
    step = action["runs"]["steps"][-1]
    output, summary = files / "output", files / "summary"
    inputs = {"current": "b.csv", "reference": "a.csv", "binary": str(binary), "sarif": "out.sarif"}
    inputs = {name: inputs.get(name, given.get("default", "")) for name, given in action["inputs"].items()}
    filled = lambda text: text.replace("${{ github.action_path }}", str(REPOSITORY))
    env = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    for name, value in step["env"].items():
        env[name] = inputs[value.removeprefix("${{ inputs.").removesuffix(" }}")]
    run = lambda: subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", filled(step["run"])], cwd=files, env=env, capture_output=True, text=True
    )
    done = run()
    assert done.returncode == 1, done.stderr
    assert "::error title=feature%3Aamount alarm::" in done.stdout
    assert output.read_text() == "level=alarm\n"
    assert "| alarm | feature:amount |" in summary.read_text()
    assert json.loads((files / "out.sarif").read_text())["version"] == "2.1.0"
    env["CURRENT"] = "a.csv"
    assert run().returncode == 0
    env["CURRENT"] = "gone.csv"
    assert run().returncode == 2


def test_the_commands_of_codebuild(binary, files):
    spec = yaml.safe_load((REPOSITORY / "deploy/ci/buildspec.yml").read_text())
    env = {"PATH": os.environ["PATH"], "DRIFTLINE": str(binary), "REFERENCE": "a.csv", "CURRENT": "b.csv"}
    env |= spec["env"]["variables"]
    (files / "deploy").symlink_to(REPOSITORY / "deploy")
    codes = [
        subprocess.run(["bash", "-c", command], cwd=files, env=env, capture_output=True).returncode
        for command in spec["phases"]["build"]["commands"]
    ]
    assert codes == [0, 1]
    assert "<failure" in (files / spec["reports"]["driftline"]["files"][0]).read_text()
    assert "<svg" in (files / spec["artifacts"]["files"][0]).read_text()


def test_the_hook(files, binary):
    pre_commit = wanted("DRIFTLINE_TEST_PRE_COMMIT")
    hook = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())[0]
    python = wanted("DRIFTLINE_TEST_WHEEL_PYTHON")
    config = {"repos": [{"repo": "local", "hooks": [{**hook, "args": ["--reference", "a.csv"], "exclude": "^a.csv$"}]}]}
    (files / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    env = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}", "PRE_COMMIT_HOME": str(files / "home")}
    git = lambda *words: subprocess.run(["git", *words], cwd=files, check=True, capture_output=True)
    git("init", "-q")
    git("add", "a.csv", "b.csv", ".pre-commit-config.yaml")
    run = lambda: subprocess.run([pre_commit, "run", "--all-files"], cwd=files, env=env, capture_output=True, text=True)
    done = run()
    assert done.returncode == 1 and "1 at alarm" in done.stdout, done.stdout + done.stderr
    (files / "b.csv").write_text((files / "a.csv").read_text())
    git("add", "b.csv")
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_notebook(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "import driftline, pandas\n"
                "rows = lambda shift: pandas.DataFrame({'x': [row * 37 % 100 + shift + .5 for row in range(1500)]})\n"
                "result = driftline.check(rows(0), rows(30))\n"
                "result"
            ),
            nbformat.v4.new_code_cell("result.findings[['level', 'subject', 'value']]"),
        ]
    )
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    page = notebook.cells[0].outputs[0]["data"]["text/html"]
    assert "iframe" in page and "svg" in page
    assert "feature:x" in notebook.cells[1].outputs[0]["data"]["text/plain"]
