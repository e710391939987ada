#!/usr/bin/env python3
"""Goldens of tests/parity/csv_dialogsum.cpp, by Python's csv module: a hash of each row of DialogSum's two files.

usage: csv_dialogsum.py [OUTPUT_FOLDER] with TERSE_TEST_DATA naming the folder of dev.csv and test.csv
"""
import csv
import json
import os
import sys
from pathlib import Path


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    return value


def rows(file):
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream, strict=True))


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "data")
    data = Path(os.environ["TERSE_TEST_DATA"])
    golden = {"judge": f"Python {sys.version.split()[0]} csv"}
    for name in ["dev.csv", "test.csv"]:
        header, *body = rows(data / name)
        golden[name] = {
            "columns": header,
            "rows": "".join(f"{fnv1a(chr(31).join(row)):016x}" for row in body),
            "newlines": sum(field.count("\n") for row in body for field in row),
        }
    (out / "csv_dialogsum.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
