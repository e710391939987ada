#!/usr/bin/env python3
"""llm.c's training step of GPT-2 124M on 4 x 1024 tokens, as bench_gpu_steps' train_step/4x1024. Standard library only.

usage: llm_c.py CHECKOUT WORK CAPABILITY        e.g. llm_c.py ../llm.c build/llm.c 75

The checkout (github.com/karpathy/llm.c) is copied to WORK and built there, in bf16, or in fp16 where tensor cores don't multiply bf16. Weights and
tokens are random, so nothing is downloaded.
"""
import array
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

TOKENS, VOCABULARY, STEPS, WARM = 4 * 1024, 50257, 25, 5


def write_tokens(path):
    """llm.c's .bin: 256 ints, of which the first are magic number, version and count, then ids of 16 bits."""
    count = 4 * TOKENS + 1
    header = array.array("i", [20240520, 1, count] + [0] * 253)
    path.write_bytes(header.tobytes() + array.array("H", [i * 7919 % VOCABULARY for i in range(count)]).tobytes())


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    checkout, work, capability = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    if not (checkout / "train_gpt2.cu").exists():
        raise SystemExit(f"llm_c.py: {checkout} has no train_gpt2.cu: it is no checkout of llm.c")
    precision = "bf16" if capability >= 80 else "fp16"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(checkout, work, ignore=shutil.ignore_patterns(".git", "*.bin"))
    subprocess.run(["make", "-B", "train_gpt2cu", f"PRECISION={precision.upper()}", f"GPU_COMPUTE_CAPABILITY={capability}", "NO_MULTI_GPU=1", "NO_USE_MPI=1"],
                   cwd=work, check=True, stdout=sys.stderr)
    write_tokens(work / "tokens.bin")
    # Never validates but at both ends, and never generates.
    run = subprocess.run(["./train_gpt2cu", "-i", "tokens.bin", "-j", "tokens.bin", "-e", "d12", "-b", "4", "-t", "1024", "-x", str(STEPS), "-v", "1000000", "-m", "1",
                          "-s", "0", "-l", "0.00001"], cwd=work, capture_output=True, text=True)
    sys.stderr.write(run.stdout + run.stderr)
    run.check_returncode()
    milliseconds = [float(ms) for ms in re.findall(r"^step.*?\| ([\d.]+) ms \|", run.stdout, re.MULTILINE)][WARM:]
    if not milliseconds:
        raise SystemExit("llm_c.py: llm.c printed no step times as this script knows them")
    commit = subprocess.run(["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip() or "unknown"
    work = {f"train_step/4x1024/{precision}": {"seconds": statistics.median(milliseconds) * 1e-3, "best": min(milliseconds) * 1e-3, "calls": len(milliseconds)}}
    print(json.dumps({"versions": {"llm.c": commit}, "work": work}, indent=1))


if __name__ == "__main__":
    main()
