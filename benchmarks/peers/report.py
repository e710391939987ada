#!/usr/bin/env python3
"""What is asked of terse beside what was measured, from the JSON of benchmarks/peers/run. Standard library only.

usage: report.py RESULTS.json [--docs DOCS_FOLDER]

Markdown on stdout. With --docs, the tables go into performance.md, between its marks, and plots into performance/*.svg.
Ratios are of medians, by the clock and by CPU time; where others use the machine, CPU time is the one to read.
"""
import argparse
import json
import pathlib
import re

STEP, PRODUCTS = "train_step/fp32/samples:8/dropout_percent:0", "train_step_matmuls/fp32/samples:8"
BF16 = "train_step/bf16/samples:16/dropout_percent:0"
BEGIN, END = "<!-- measured: benchmarks/peers/run --docs writes from here -->", "<!-- to here -->"
PALETTE = {"terse": "#2b6cb0", "roof": "#c05621"}


class Results:
    """Numbers by name; None for what wasn't measured."""

    def __init__(self, data):
        self.data, self.work = data, data["work"]

    def terse(self, name, key="seconds"):
        return self.work.get(name, {}).get("terse", {}).get(key)

    def peer(self, name, who, key="seconds"):
        return self.work.get(name, {}).get("peers", {}).get(who, {}).get(key)

    def against(self, name, who):
        return [divided(self.peer(name, who, key), self.terse(name, key)) for key in ("seconds", "cpu_seconds")]

    def between(self, above, below):
        return [divided(self.terse(above, key), self.terse(below, key)) for key in ("seconds", "cpu_seconds")]

    def compile(self, name, key):
        return [cost[key] for path, cost in self.data["compile_time"].items() if path.startswith(f"compile/{name}/")]


def divided(a, b):
    return a / b if a is not None and b else None


def rows(results):
    """(what, asked in words, whether it is reached, measured by the clock, by CPU time, format)."""
    def row(what, sign, asked, values, unit="", digits=2):
        clock, cpu = values if len(values) == 2 else (*values, None)
        judged = cpu if cpu is not None else clock
        reached = None if judged is None else judged >= asked if sign == "≥" else judged <= asked
        return what, f"{sign} {asked:g}{unit}", reached, *(None if value is None else f"{value:.{digits}f}{unit}" for value in (clock, cpu))

    peak, plan = results.terse(STEP, "peak_bytes"), results.terse(STEP, "plan_bytes")
    threads = next((name for name in results.work if name.startswith("bpe/encode/threads:")), None)
    yield row("train step fp32: its matrix products' time over its own", "≥", 0.70, results.between(PRODUCTS, STEP))
    for who, asked in (("transformers", 4), ("torch.compile", 2.7), ("reference recipe", 15)):
        yield row(f"train step fp32 against {who}", "≥", asked, results.against(STEP, who), " x")
    yield row("train step bf16 against torch.compile", "≥", 1.8, results.against(BF16, "torch.compile"), " x")
    yield row("peak memory over transformers'", "≤", 0.40, [divided(peak, results.peer(STEP, "transformers", "peak_bytes"))])
    yield row("peak memory above the plan", "≤", 150, [None if peak is None or plan is None else (peak - plan) * 1e-6], " MB", 0)
    yield row("a document of 1024 tokens against four of 256", "≤", 1.35, results.between("train_step_documents/fp32/length:1024", "train_step_documents/fp32/length:256"), " x")
    yield row("GPT-2 124M's safetensors to the first step", "≤", 1, [results.terse("load/safetensors"), results.terse("load/safetensors", "cpu_seconds")], " s")
    for who, asked in (("tiktoken", 3), ("tokenizers", 30)):
        yield row(f"BPE encoding, one thread, against {who}", "≥", asked, results.against("bpe/encode", who), " x", 1)
    if threads:  # each encodes all texts with the one tokenizer; what they cost each other is what a text costs more
        yield row(f"the same on {threads.rpartition(':')[2]} threads: CPU time a text, one thread's over theirs", "≥", 0.9, [None, results.between("bpe/encode", threads)[1]])
    yield row("BPE encoding of a megabyte of one letter", "≤", 1, [results.terse("bpe/one_letter"), results.terse("bpe/one_letter", "cpu_seconds")], " s")
    yield row("BPE training, vocabulary 32,000, against tokenizers", "≥", 1, results.against("bpe/train_corpus", "peer"), " x", 1)
    yield row("ROUGE against rouge_score", "≥", 100, results.against("rouge/pairs", "peer"), " x", 0)
    for name, what, asked in (("header", "`#include <terse/terse.hpp>` alone", 3), ("training", "README's training program", 20)):
        yield row(f"compile time: {what}", "≤", asked, [max(results.compile(name, "seconds"), default=None)], " s", 1)
    yield row("compile memory: README's training program", "≤", 1500, [max(results.compile("training", "peak_mib"), default=None)], " MiB", 0)


def table(results):
    yield "| what | asked | by the clock | by CPU time | |\n|---|---|---|---|---|"
    for what, asked, reached, clock, cpu in rows(results):
        if clock is None and cpu is None:
            clock = "not measured"
        yield f"| {what} | {asked} | {clock or ''} | {cpu or ''} | {'' if reached is None else 'reached' if reached else '**short**'} |"


def machine(results):
    m = results.data["machine"]
    peers = ", ".join(f"{name} {version}" for name, version in m["peers"].items())
    return (f"{m['date'][:10]}, commit {m['commit']}: {m['cpu']}, {m['cores']} cores, {' '.join(m['isa'])}; {m['threads']} threads; {m['compiler']}; {m['blas']}; "
            f"{peers}; dialogues of {m['dialogues']}; load average at the end {m['load_average']:.1f}.")


def number(end, y, words, inside):
    """A bar's, inside where the bar is long: what stands behind it may be the roof."""
    return f'<text x="{end - 8:.1f}" y="{y}" text-anchor="end" fill="white">{words}</text>' if inside else f'<text x="{end + 5:.1f}" y="{y}">{words}</text>'


def bars(title, unit, values, roof=None):
    """An SVG of horizontal bars; `roof` is a line across them."""
    values = [(name, value) for name, value in values if value is not None]
    if not values:
        return None
    width, left, height, top = 720, 190, 28, 44
    largest = max([value for _, value in values] + [roof or 0]) * 1.15
    scale = (width - left - 20) / largest
    bottom = top + height * len(values)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{bottom + 24}" font-family="sans-serif" font-size="13">',
             f'<rect width="100%" height="100%" fill="white"/><text x="10" y="22" font-size="15">{title}</text>']
    for i, (name, value) in enumerate(values):
        y = top + height * i
        colour = PALETTE["terse"] if name.startswith("terse") else "#a0aec0"
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{name}</text><rect x="{left}" y="{y}" width="{value * scale:.1f}" height="20" fill="{colour}"/>'
                     + number(left + value * scale, y + 15, f"{value:.3g} {unit}", value * scale > 200))
    if roof is not None:
        x = left + roof * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{bottom}" stroke="{PALETTE["roof"]}" stroke-width="2"/>'
                     f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle" fill="{PALETTE["roof"]}">roof: {roof:.3g} {unit}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def plots(results):
    """{file name: SVG}; rates by CPU time, a core-second each."""
    tokens = results.terse(STEP, "tokens")
    peers = results.work.get(STEP, {}).get("peers", {})
    yield "train_step.svg", bars("GPT-2 124M, fp32, 8 dialogues: tokens a second of CPU time", "tokens/s",
                                 [("terse", divided(tokens, results.terse(STEP, "cpu_seconds"))), *((who, divided(tokens, peer.get("cpu_seconds"))) for who, peer in peers.items())],
                                 divided(tokens, results.terse(PRODUCTS, "cpu_seconds")))
    gigabytes = [("terse", divided(results.terse(STEP, "peak_bytes"), 1e9)), *((who, divided(peer.get("peak_bytes"), 1e9)) for who, peer in peers.items())]
    yield "memory.svg", bars("The same step: peak memory", "GB", gigabytes)
    rate, seconds = results.terse("bpe/encode", "bytes_per_second"), results.terse("bpe/encode")
    megabytes = None if rate is None else rate * seconds * 1e-6
    encoders = [("terse", results.terse("bpe/encode", "cpu_seconds")), *((who, peer.get("cpu_seconds")) for who, peer in results.work.get("bpe/encode", {}).get("peers", {}).items())]
    yield "encode.svg", bars("BPE encoding of dialogues, one thread", "MB/s", [(who, divided(megabytes, seconds)) for who, seconds in encoders])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--docs", type=pathlib.Path)
    options = parser.parse_args()
    results = Results(json.loads(options.results.read_text(encoding="utf-8")))
    text = "\n".join([machine(results), "", *table(results)])
    print(text)
    if not options.docs:
        return
    folder = options.docs / "performance"
    folder.mkdir(exist_ok=True)
    shown = []
    for name, svg in plots(results):
        if svg:
            (folder / name).write_text(svg, encoding="utf-8")
            shown.append(f"![{name.removesuffix('.svg')}](performance/{name})")
    page = options.docs / "performance.md"
    measured = "\n".join([BEGIN, text, "", *shown, END])
    page.write_text(re.sub(re.escape(BEGIN) + ".*" + re.escape(END), lambda _: measured, page.read_text(encoding="utf-8"), flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
