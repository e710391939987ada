"""What the peers share: options, timing, and the JSON that scripts/benchmark merges.

A peer prints {"versions": {package: version}, "work": {NAME: {"seconds": median, "best": …, "cpu_seconds": …, "calls": …}}}; NAME is that of terse's
benchmark, with "@WHO" behind it where there is more than one peer. CPU seconds are the process's, of all threads: what counts where others use the machine too.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "goldens"))
TOKENIZER = ROOT / "examples" / "summarize" / "gpt2"


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=pathlib.Path, help="dialogues, as terse's benchmarks have them from TERSE_BENCH_CSV")
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    parser.add_argument("--repetitions", type=int, default=3, help="timed calls, after one that warms up; ops: at least as many")
    parser.add_argument("--quick", action="store_true", help="only the small sizes")
    return parser


def timed(body, repetitions, least_seconds=0.0, warm=True):
    """Calls body() `repetitions` times, or more, until they took `least_seconds`."""
    if warm:
        body()
    seconds, cpu_seconds = [], []
    while len(seconds) < repetitions or sum(seconds) < least_seconds:
        start, cpu_start = time.perf_counter(), time.process_time()
        body()
        seconds.append(time.perf_counter() - start), cpu_seconds.append(time.process_time() - cpu_start)
    return {"seconds": statistics.median(seconds), "best": min(seconds), "cpu_seconds": statistics.median(cpu_seconds), "calls": len(seconds)}


def print_result(packages, work):
    print(json.dumps({"versions": {name: importlib.metadata.version(name) for name in packages}, "work": work}, indent=1))
