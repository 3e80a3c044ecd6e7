"""The pre-commit hook: each changed data file is compared with the reference of the hook's arguments."""

import subprocess
import sys

from driftline._binary import binary, environment


def main():
    """`driftline-pre-commit --reference FILE [options of check…] FILES…`; fails where one file does."""
    options, files = [], []
    words = iter(sys.argv[1:])
    for word in words:
        if word.startswith("-"):
            options.append(word)
            # Options of check take a value, but for these; `--option=value` is one word.
            if "=" not in word and word not in ("--all", "-a", "--json"):
                options.append(next(words, ""))
        else:
            files.append(word)
    code = 0
    for file in files:
        print(f"{file}:", flush=True)
        done = subprocess.run([binary(), "check", *options, "--current", file], env=environment())
        code = max(code, done.returncode)
    return code


if __name__ == "__main__":
    sys.exit(main())
