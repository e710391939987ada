#!/usr/bin/env python3
"""A large text that every machine with the peers has: their packages' Python files, in order of their paths. corpus.py MEGABYTES > FILE."""
import pathlib
import sys
import sysconfig


def main():
    left = int(float(sys.argv[1]) * 1e6)
    for path in sorted(pathlib.Path(sysconfig.get_paths()["purelib"]).rglob("*.py")):
        text = path.read_bytes().replace(b"\r", b"").replace(b"\0", b"")
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if left <= 0:
            break
        sys.stdout.buffer.write(text if text.endswith(b"\n") or not text else text + b"\n")
        left -= len(text)


if __name__ == "__main__":
    main()
