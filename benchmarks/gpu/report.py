#!/usr/bin/env python3
"""Markdown from what scripts/gpu-check's programs wrote. Standard library only.

usage: report.py machine|kernels|steps|ranks FOLDER GPU      GPU: the name that nvidia-smi has for it
       report.py clocks FILE                                 index, MHz, watts and degrees, as nvidia-smi samples them
       report.py command TEST                                of ctest's JSON on standard input: the test's command, an argument a NUL
"""
import json
import pathlib
import re
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}


def read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or of a program that died before its end
        return {}


def runs(path):
    """{name: median over repetitions} of a Google Benchmark file, and {name: what went wrong}."""
    repeated, errors = {}, {}
    for run in read(path).get("benchmarks", []):
        name = re.sub(r"/(manual_time|iterations:\d+|repeats:\d+)", "", run.get("run_name", run["name"]))
        if run.get("error_occurred"):
            errors[name] = run.get("error_message", "failed")
        elif run["run_type"] == "iteration":
            repeated.setdefault(name, []).append(run)
    medians = {}
    for name, many in repeated.items():
        medians[name] = {key: statistics.median(run[key] for run in many) for key in many[0] if isinstance(many[0][key], (int, float))}
        medians[name]["ms"] = statistics.median(run["real_time"] * MILLISECONDS[run["time_unit"]] for run in many)
    return medians, errors


def peak_of(gpu):
    """Data-sheet numbers: dense 16-bit products with sums in float, and memory; or none."""
    for name, peak in read(HERE / "peaks.json").items():
        if re.search(peak["gpu"], gpu):
            return name, peak
    return None, {}


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(row) + " |" for row in rows])


def share(value, whole):
    return f"{100 * value / whole:.0f}%" if value and whole else "-"


def number(value, digits=3):
    return f"{value:.{digits}g}" if value and value < 10 ** digits else f"{value:.0f}" if value else "-"


def failures(errors):
    return [f"- **{name}** failed: {message}" for name, message in errors.items()]


def machine(folder, _gpu):
    for key, value in read(folder / "machine.json").get("context", {}).items():
        if " " in key or "cuBLASLt" in key:  # bench_gpu's own; Google Benchmark's have none
            print(f"| {key} | {value} |")


def rates(work, counter, scale, peak, measured):
    """Rows of the benchmarks that have the counter; measured(name): what the roof of its kind reached."""
    return [[name, number(run["ms"] * 1e3), number(run[counter] * scale), share(run[counter] * scale, peak), share(run[counter] * scale, measured(name))]
            for name, run in work.items() if counter in run]


def kernels(folder, gpu):
    name, peak = peak_of(gpu)
    families = {family: runs(folder / f"{family}.json") for family in ("roof", "matmul", "attention", "memory")}
    roofs, errors = families["roof"][0], {}
    for _, wrong in families.values():
        errors |= wrong
    copy = roofs.get("roof/copy", {}).get("GB/s", 0)
    bandwidth = peak.get("gigabytes") or float(read(folder / "roof.json").get("context", {}).get("cuda:0 memory's clock x width, GB/s", 0))
    products = f"{peak['tflops']:g} TFLOP/s of 16-bit products with sums in float, {bandwidth:g} GB/s (data sheet of {name})" if peak else \
        f"not known for {gpu}; {bandwidth:g} GB/s by its memory's clock and width (peaks: benchmarks/gpu/peaks.json)"
    print(f"Peak: {products}. \"Of measured\": of the product of two 4096 x 4096 matrices, or of the copy, in this run. Each call finds its inputs in memory, not in the cache.\n")
    products = [row for family in ("roof", "matmul", "attention")
                for row in rates(families[family][0], "GFLOP/s", 1e-3, peak.get("tflops"), lambda name: roofs.get("roof/matmul/" + name.rsplit("/", 1)[1], {}).get("GFLOP/s", 0) * 1e-3)]
    print(table(["products and attention", "us", "TFLOP/s", "of peak", "of measured"], products) + "\n")
    copies = {"roof/copy": roofs["roof/copy"]} if copy else {}
    print(table(["memory-bound", "us", "GB/s", "of peak", "of measured"], rates(copies | families["memory"][0], "GB/s", 1, bandwidth, lambda _: copy)) + "\n")
    print("\n".join(failures(errors)))
    return bool(errors) or not all(work for work, _ in families.values())


def steps(folder, gpu):
    _, peak = peak_of(gpu)
    work, errors = runs(folder / "steps.json")
    torch, llm = read(folder / "torch.json"), read(folder / "llm.c.json")
    rows = []
    for name, run in work.items():
        row = [name, number(run["ms"], 4)]
        for peer in (torch, llm):
            seconds = peer.get("work", {}).get(name, {}).get("seconds")
            row += [number(seconds * 1e3, 4), f"{seconds * 1e3 / run['ms']:.2f}"] if seconds else ["-", "-"]
        row += [number(run.get("tokens/s", run.get("new tokens/s")), 6), share(run.get("GFLOP/s", 0) * 1e-3, peak.get("tflops"))]
        rows.append(row)
    print("Milliseconds; a ratio above 1: terse is faster. Tokens/s are terse's: of a step all real tokens, of decoding the new ones. MFU: the step's matrix products over the data sheet's peak.\n")
    print(table(["work", "terse, ms", "PyTorch, ms", "ratio", "llm.c, ms", "ratio", "tokens/s", "MFU"], rows) + "\n")
    versions = torch.get("versions", {}) | llm.get("versions", {})
    if versions:
        print("Peers: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
    print("\n".join(failures(errors)))
    return bool(errors) or not rows


def ranks(folder, _gpu):
    work, errors = runs(folder / "ranks.json")
    rows = []
    for precision in ("fp16", "bf16"):
        one, two = work.get(f"ranks/1/{precision}"), work.get(f"ranks/2/{precision}")
        if one and two:
            rows.append([precision, number(one["ms"], 4), number(two["ms"], 4), f"{two['ms'] / one['ms']:.2f}", number(one["tokens/s"], 6), number(two["tokens/s"], 6)])
    print("8 micro-batches of 16 documents a rank and step. Two ranks do twice the work of one, so a ratio of 1 would be talking for free.\n")
    print(table(["", "1 rank, ms", "2 ranks, ms", "ratio", "tokens/s, 1", "tokens/s, 2"], rows) + "\n")
    print("\n".join(failures(errors)))
    return bool(errors) or not rows


def clocks(path):
    samples = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4 and re.fullmatch(r"[\d.]+", fields[1]):
            samples.setdefault(fields[0], []).append(fields[1:])
    for gpu, taken in sorted(samples.items()):
        mhz = sorted(float(sample[0]) for sample in taken)
        watts, degrees = ([float(sample[i]) for sample in taken if re.fullmatch(r"[\d.]+", sample[i])] for i in (1, 2))
        print(f"GPU {gpu}, SM clock meanwhile: median {statistics.median(mhz):.0f} MHz ({mhz[0]:.0f} to {mhz[-1]:.0f})"
              + (f", at most {max(watts):.0f} W" if watts else "") + (f" and {max(degrees):.0f} degrees" if degrees else "") + f"; {len(mhz)} samples.")


def command(test):
    for entry in json.load(sys.stdin)["tests"]:
        if entry["name"] == test:
            print("\0".join(entry["command"]), end="\0")


def main():
    what, *rest = sys.argv[1:] or [""]
    if what in ("machine", "kernels", "steps", "ranks") and len(rest) == 2:
        sys.exit(globals()[what](pathlib.Path(rest[0]), rest[1]))
    if what == "clocks" and len(rest) == 1:
        return clocks(pathlib.Path(rest[0]))
    if what == "command" and len(rest) == 1:
        return command(rest[0])
    sys.exit(__doc__)


if __name__ == "__main__":
    main()
