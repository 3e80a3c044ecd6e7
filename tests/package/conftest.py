"""What the tests of the packages share: the built packages, a broker, and terminals of any width."""

import fcntl
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def wanted(variable):
    """The path that a variable names; without it `make package` was not what started this."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: run make package")
    return Path(value)


@pytest.fixture(scope="session")
def binary():
    return wanted("DRIFTLINE_BINARY")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """A real broker; `.process` may be stopped for a while."""
    jars = wanted("DRIFTLINE_TEST_KAFKA")
    folder = tmp_path_factory.mktemp("kafka")
    ports = []
    for _ in range(2):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
    script = REPOSITORY / "tests" / "rig" / "kafka.sh"
    with open(folder / "out.log", "w") as out:
        process = subprocess.Popen(
            ["bash", script, jars, str(ports[0]), str(ports[1]), folder], stdout=out, stderr=out
        )
    end = time.monotonic() + 120
    while "Kafka Server started" not in (folder / "out.log").read_text():
        assert process.poll() is None and time.monotonic() < end, (folder / "out.log").read_text()
        time.sleep(0.1)
    broker = type("Broker", (), {"bootstrap": f"127.0.0.1:{ports[0]}", "process": process})
    yield broker
    process.kill()
    process.wait()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def shown(columns, command, **options):
    """What a command shows on a terminal of so many columns, line by line, without its colours."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("COLUMNS", None)
        os.environ.update(options.get("env", {}))
        os.chdir(options.get("cwd", "."))
        # The size is set before the program looks.
        time.sleep(0.2)
        os.execvp(command[0], [str(word) for word in command])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    out = b""
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not part:
            break
        out += part
    _, status = os.waitpid(pid, 0)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.decode())
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return os.waitstatus_to_exitcode(status), lines
