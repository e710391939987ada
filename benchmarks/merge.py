#!/usr/bin/env python3
"""Merges what scripts/benchmark's programs wrote into one JSON file, and prints it as a table. Standard library only.

usage: merge.py RESULTS_FOLDER CMakeCache.txt OUTPUT.json
"""
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
COUNTERS = ("roof", "copy", "GFLOP/s", "GB/s", "tokens/s", "new tokens/s", "tokens", "targets", "bytes_per_second", "items_per_second", "peak_bytes", "plan_bytes")


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def terse_work(results):
    """{name: {seconds, best, runs, counters}} of Google Benchmark's files; medians over repetitions."""
    runs = {}
    for file in sorted(results.glob("*.terse.json")):
        for run in read(file)["benchmarks"]:
            if run.get("error_occurred"):
                raise SystemExit(f"merge: {run['name']}: {run.get('error_message')}")
            if run["run_type"] == "iteration":
                name = re.sub(r"/(real_time|process_time|manual_time|iterations:\d+|repeats:\d+)", "", run["run_name"])
                runs.setdefault(name, []).append(run)
    work = {}
    for name, repeated in runs.items():
        seconds = [run["real_time"] * MILLISECONDS[run["time_unit"]] * 1e-3 for run in repeated]
        work[name] = {"seconds": statistics.median(seconds), "best": min(seconds), "runs": len(seconds)}
        if "/process_time" in repeated[0]["run_name"]:
            work[name]["cpu_seconds"] = statistics.median(run["cpu_time"] * MILLISECONDS[run["time_unit"]] * 1e-3 for run in repeated)
        work[name] |= {counter: statistics.median(run[counter] for run in repeated) for counter in COUNTERS if counter in repeated[0]}
    return work


def command_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def machine(cache):
    """What the numbers depend on."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    settings = dict(re.findall(r"^(\w+):\w+=(.*)$", cache.read_text(), re.MULTILINE))
    flags = set(next(iter(re.findall(r"^flags\s*: (.*)$", cpuinfo, re.MULTILINE)), "").split())
    compiler = command_line(settings.get("CMAKE_CXX_COMPILER", "c++"), "--version")
    blas = settings.get("TERSE_ONEDNN_LIBRARY") or settings.get("terse_blas_LIBRARY", "")
    return {"cpu": next(iter(re.findall(r"^model name\s*: (.*)$", cpuinfo, re.MULTILINE)), "unknown"), "cores": os.cpu_count(),
            "threads": int(os.environ["OMP_NUM_THREADS"]), "load_average": os.getloadavg()[0],
            "isa": [flag for flag in ("sse4_2", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16") if flag in flags],
            "compiler": compiler and compiler.splitlines()[0], "blas": pathlib.Path(blas).resolve().name,
            "commit": command_line("git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty"),
            "dialogues": pathlib.Path(os.environ["TERSE_BENCH_CSV"]).name, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def duration(seconds):
    if seconds is None:
        return "-"
    unit, scale = next((u, s) for u, s in (("s ", 1), ("ms", 1e-3), ("us", 1e-6)) if seconds >= s or u == "us")
    return f"{seconds / scale:.4g} {unit}"


def ratios(peer, terse):
    """How many times as long the peer takes; by CPU time too where both have it: the fairer one where others use the machine."""
    both = [key for key in ("seconds", "cpu_seconds") if key in peer and key in terse]
    return {key.replace("seconds", "ratio"): peer[key] / terse[key] for key in both}


def print_table(work, compile_time):
    width = max([len(name) for name in [*work, *compile_time]], default=4)
    if work:
        print(f"{'work':<{width}}  {'terse':>10}  {'peer':>10}  {'ratio':>6}  {'CPU':>6}  {'roof':>5}")
    for name, all_of_it in work.items():
        terse = all_of_it["terse"]
        roof = f"{terse['roof']:.2f}" if "roof" in terse else "-"
        for who, peer in all_of_it.get("peers", {"peer": None}).items():
            ratio, cpu = (f"{peer[key]:.2f}" if peer and key in peer else "-" for key in ("ratio", "cpu_ratio"))
            note = f"  {who}" if who != "peer" else ""
            print(f"{name:<{width}}  {duration(terse['seconds']):>10}  {duration(peer and peer['seconds']):>10}  {ratio:>6}  {cpu:>6}  {roof:>5}{note}")
    if compile_time:
        print(f"\n{'compile':<{width}}  {'time':>10}  {'memory':>10}")
    for name, cost in compile_time.items():
        print(f"{name:<{width}}  {cost['seconds']:>8.1f} s  {cost['peak_mib']:>6} MiB")


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    results, cache, output = map(pathlib.Path, sys.argv[1:])
    work = {name: {"terse": measured} for name, measured in terse_work(results).items()}
    versions, unmatched = {}, []
    for file in sorted(results.glob("*.peer.json")):
        peer = read(file)
        versions |= peer["versions"]
        for name, measured in peer["work"].items():
            name, _, who = name.partition("@")
            if name not in work:
                unmatched.append(name)
                continue
            tokens = work[name]["terse"].get("tokens"), measured.get("tokens")
            if tokens[0] != tokens[1]:
                raise SystemExit(f"merge: {name}: terse has {tokens[0]} tokens, the peer {tokens[1]}: not the same work")
            work[name].setdefault("peers", {})[who or "peer"] = measured | ratios(measured, work[name]["terse"])
    if unmatched:
        raise SystemExit(f"merge: terse has no benchmark of these names: {', '.join(unmatched)}")
    compiled = results / "compile_time.json"
    compile_time = read(compiled) if compiled.exists() else {}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": machine(cache) | {"peers": versions}, "work": work, "compile_time": compile_time}, indent=1) + "\n", encoding="utf-8")
    print_table(work, compile_time)
    print(f"\n{output}")


if __name__ == "__main__":
    main()
