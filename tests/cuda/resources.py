#!/usr/bin/env python3
"""Holds what kernels take of a GPU against the table in resources.txt, or writes that table.

usage: resources.py [--update] COMPILER LAUNCHES PTXAS...      e.g. resources.py "nvcc 13.0" launches.txt ptxas.*.txt

LAUNCHES is what launches.cpp prints, PTXAS what ptxas -v says of any number of architectures. A kernel that spills, or of which no block fits into an SM, is an
error, and so is 16-bit attention of which two don't. Where COMPILER and its architectures are the table's, all of the table must hold. --update writes it.
"""
import collections
import difflib
import math
import pathlib
import re
import subprocess
import sys

TABLE = pathlib.Path(__file__).resolve().parent / "resources.txt"
TITLE = """\
# What kernels take of a GPU, by {compiler}: threads of a block, bytes of dynamic shared memory (there is no other), and for each compute capability
# registers of a thread / blocks that an SM holds at a time. Nothing spills. tests/cuda/resources.py writes and checks this: scripts/cuda-compile --update.
"""

# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability". Everywhere there are 64 Ki registers in four parts, given out by 256 a warp.
# Shared memory is given out by 256 bytes on 7.5, by 128 later, when each block also has 1 KiB of the system's.
Sm = collections.namedtuple("Sm", "threads blocks shared_bytes shared_unit of_the_system", defaults=(128, 1 << 10))
SMS = {
    75: Sm(1024, 16, 64 << 10, 256, 0),
    80: Sm(2048, 32, 164 << 10),
    86: Sm(1536, 16, 100 << 10),
    89: Sm(1536, 24, 100 << 10),
    90: Sm(2048, 32, 228 << 10),
    100: Sm(2048, 32, 228 << 10),
    120: Sm(1536, 24, 100 << 10),
}

ENTRY = re.compile(
    r"Compiling entry function '(?P<symbol>\w+)' for 'sm_(?P<architecture>\d+)'\n"
    r".*Function properties for .*\n"
    r"\D*(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r".*Used (?P<registers>\d+) registers(?P<rest>.*)\n"
)


def blocks_of(sm, threads, shared_bytes, registers):
    """How many blocks of a kernel an SM holds at a time; as the toolkit's cuda_occupancy.h."""
    warps, registers_of_warp = math.ceil(threads / 32), math.ceil(registers * 32 / 256) * 256
    shared_of_block = math.ceil((shared_bytes + sm.of_the_system) / sm.shared_unit) * sm.shared_unit
    by_shared_memory = sm.shared_bytes // shared_of_block if shared_of_block else sm.blocks
    return min(sm.blocks, sm.threads // (warps * 32), 16384 // registers_of_warp * 4 // warps, by_shared_memory)


def short_names(symbols):
    """The kernels' names as written, without what all have in common; their arguments follow from them."""
    names = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout.splitlines()
    replaced = [(r"^void ", ""), (r"\(terse::RowsView.*|\((?!terse::ops::Gelu\)).*", ""), (r"terse::|ops::(?=gpu::)|gpu::", ""), (r"\bbfloat16\b", "bf16"), (r"(\d)l\b", r"\1"), (r" >", ">")]
    for pattern, by in replaced:
        names = [re.sub(pattern, by, name) for name in names]
    return dict(zip(symbols, names))


def rows_of(launches, logs, complain):
    """One line of text a kernel."""
    registers = collections.defaultdict(dict)
    for log in logs:
        for entry in ENTRY.finditer(log):
            symbol, architecture = entry["symbol"], int(entry["architecture"])
            registers[symbol][architecture] = int(entry["registers"])
            if any(int(entry[part]) for part in ("stack", "stores", "loads")) or "smem" in entry["rest"]:
                complain(f"{symbol} on sm_{architecture}: spills, or has shared memory of its own: {entry.group().strip()}")
    if registers.keys() != launches.keys():
        complain(f"kernels that are compiled but not launched, or the other way: {sorted(registers.keys() ^ launches.keys())}")
    names = short_names(sorted(registers.keys() & launches.keys()))
    architectures = sorted({architecture for known in registers.values() for architecture in known})
    yield f"{'kernel':<56}{'threads':>7} {'shared':>7}" + "".join(f"{architecture:>7}  " for architecture in architectures).rstrip()
    for symbol, name in sorted(names.items(), key=lambda item: item[1]):
        threads, shared_bytes = launches[symbol]
        cells = []
        for architecture in architectures:
            blocks = blocks_of(SMS[architecture], threads, shared_bytes, registers[symbol][architecture])
            least = 2 if name.startswith("attention::") and "float" not in name else 1
            if blocks < least:
                complain(f"{name} on sm_{architecture}: {blocks} blocks fit into an SM, {least} should: {registers[symbol][architecture]} registers, {threads} threads, {shared_bytes} bytes")
            cells.append(f"{registers[symbol][architecture]:>6}/{blocks:<2}")
        yield (f"{name:<56}{threads:>7} {shared_bytes:>7}" + "".join(cells)).rstrip()


def main(arguments):
    update = arguments[:1] == ["--update"]
    arguments = arguments[update:]
    if len(arguments) < 3 or any(argument.startswith("-") for argument in arguments):
        sys.exit(__doc__)
    compiler, logs = arguments[0], [pathlib.Path(path).read_text() for path in arguments[2:]]
    launches = {symbol: (int(threads), int(shared)) for symbol, threads, shared in map(str.split, pathlib.Path(arguments[1]).read_text().splitlines())}
    mistakes = []
    table = TITLE.format(compiler=compiler).splitlines() + list(rows_of(launches, logs, mistakes.append))
    if update and not mistakes:
        TABLE.write_text("\n".join(table) + "\n")
    known = TABLE.read_text().splitlines() if TABLE.exists() else []
    comparable = known[:3] == table[:3]
    if comparable and known != table:
        mistakes += difflib.unified_diff(known, table, str(TABLE), "now", n=0, lineterm="")
        mistakes.append("the table of resources is another one now; if that is meant: scripts/cuda-compile --update")
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"{compiler}: {len(table) - 3} kernels for {len(table[2].split()) - 3} architectures, no spills, every block fits" + (", as in resources.txt" if comparable else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
