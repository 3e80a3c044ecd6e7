"""Where the program is, and how it is run: everything is computed by it."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path


class DriftlineError(RuntimeError):
    """What the program could not do, in its own sentence."""


def binary():
    """The path of the `driftline` program: `DRIFTLINE_BINARY`, beside this Python, or on the path."""
    named = os.environ.get("DRIFTLINE_BINARY")
    if named:
        return named
    for folder in (sysconfig.get_path("scripts"), Path(sys.executable).parent):
        candidate = Path(folder) / "driftline"
        if candidate.is_file():
            return str(candidate)
    found = shutil.which("driftline")
    if found:
        return found
    raise DriftlineError("the program `driftline` is not beside this Python and not on the path")


def environment():
    """The environment of the program, in which the library of the `onnxruntime` package is named."""
    variables = dict(os.environ)
    # What a terminal wants is no affair of a program that reads the output.
    variables["NO_COLOR"] = "1"
    if "ORT_DYLIB_PATH" not in variables:
        library = onnxruntime_library()
        if library:
            variables["ORT_DYLIB_PATH"] = str(library)
    return variables


def onnxruntime_library():
    """The library of ONNX Runtime in the package of that name, which is not imported; or None."""
    try:
        spec = importlib.util.find_spec("onnxruntime")
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        for pattern in ("libonnxruntime.so.*", "libonnxruntime.*.dylib", "libonnxruntime.so"):
            for path in sorted((Path(folder) / "capi").glob(pattern)):
                return path
    return None


def run(arguments, allowed=(0, 1)):
    """Runs the program; returns (exit code, stdout, stderr). Any other exit code raises."""
    done = subprocess.run(
        [binary(), *arguments], capture_output=True, env=environment(), stdin=subprocess.DEVNULL
    )
    errors = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode not in allowed:
        lines = [line for line in errors.splitlines() if line.startswith("driftline: ")]
        sentence = lines[-1].removeprefix("driftline: ") if lines else errors
        raise DriftlineError(sentence or f"driftline ended with {done.returncode}")
    return done.returncode, done.stdout.decode("utf-8"), errors
