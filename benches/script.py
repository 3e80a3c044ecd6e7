"""What the scripts that measure the service on a broker of their own share: options, broker and table."""

import argparse
import os
import pathlib
import tempfile

import end_to_end
import service

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(description, title, measure, numbers):
    """Prints what `measure(options, folder, bootstrap)` found under `title(options)`; `numbers` are the options
    that a script has beside binary and consumer, with their defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--driftline", required=True)
    parser.add_argument("--consumer", required=True)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "broker").mkdir()
        with end_to_end.Broker(ROOT, os.environ["DRIFTLINE_TEST_KAFKA"], folder / "broker") as broker:
            found = measure(options, folder, broker.bootstrap)
    print(service.table(title(options), found))
