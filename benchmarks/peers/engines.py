#!/usr/bin/env python3
"""The engines that people write texts with, side by side: 64 new tokens for each of 64 dialogues, GPT-2 124M with random weights, greedy.

  engines.py --csv dev.csv --bench build/benchmark/bin/bench_decode [--threads 2]

transformers pads on the left; CTranslate2 sorts and batches by itself. Each runs with several batch sizes, the best counts. terse runs before and after them. Needs torch,
transformers and ctranslate2. Prints a table of new tokens a second, prompts' reading included.
"""
import json
import os
import subprocess
import tempfile
import time

import ctranslate2
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import generation
import peer
from gpt_judge.dialogues import END_OF_TEXT, load_samples, load_tokenizer

TEXTS, NEW_TOKENS = 64, 64
generation.NEW_TOKENS = NEW_TOKENS


def rate(body):
    start = time.perf_counter()
    body()
    return TEXTS * NEW_TOKENS / (time.perf_counter() - start)


def by_transformers(model, prompts, batch):
    def run():
        for first in range(0, TEXTS, batch):
            generation.generate(model, *generation.left_padded(prompts[first:first + batch], END_OF_TEXT), END_OF_TEXT)
    return rate(run)


def by_ctranslate2(folder, precision, prompts, batch, threads):
    model = ctranslate2.Generator(folder, device="cpu", compute_type={"fp32": "float32", "int8": "int8"}[precision], inter_threads=1, intra_threads=threads)
    tokens = [[str(id) for id in prompt] for prompt in prompts]
    return rate(lambda: model.generate_batch(tokens, max_batch_size=batch, max_length=NEW_TOKENS, min_length=NEW_TOKENS, sampling_topk=1, include_prompt_in_result=False))


def convert(model, folder):
    """CTranslate2's own format; tokens are named by their ids."""
    model.save_pretrained(folder + "/hub")
    with open(folder + "/hub/vocab.json", "w") as file:
        json.dump({"<|endoftext|>" if id == END_OF_TEXT else str(id): id for id in range(END_OF_TEXT + 1)}, file)
    with open(folder + "/hub/merges.txt", "w") as file:
        file.write("#version: 0.2\n")
    ctranslate2.converters.TransformersConverter(folder + "/hub").convert(folder + "/ct2", force=True)
    return folder + "/ct2"


def by_terse(bench, precision, options):
    environment = os.environ | {"TERSE_BENCH_CSV": str(options.csv), "OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "passive"}
    out = subprocess.run([bench, f"--benchmark_filter=evaluation/{precision}", "--benchmark_format=json"], check=True, capture_output=True, text=True, env=environment).stdout
    return [(work["new tokens/s"], work["roof"]) for work in json.loads(out)["benchmarks"]]


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--bench", required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    prompts = [sample["ids"][:sample["prompt"]] for sample in load_samples(options.csv, load_tokenizer(peer.TOKENIZER), 900)[:TEXTS]]
    model = GPT2LMHeadModel(GPT2Config()).eval()
    print("| engine | weights | batch | new tokens/s | of the roof |\n|---|---|---|---|---|", flush=True)

    def show(engine, precision, batch, tokens, roof=None):
        print(f"| {engine} | {precision} | {batch} | {tokens:.0f} | {'' if roof is None else f'{100 * roof:.0f} %'} |", flush=True)

    batches = (32,) if options.quick else (8, 32)
    with tempfile.TemporaryDirectory() as folder:
        converted = convert(model, folder)
        for precision in ("fp32", "bf16", "int8"):
            show("terse", precision, 32, *max(by_terse(options.bench, precision, options)))
            for batch in batches if precision != "int8" else ():
                show("transformers", precision, batch, by_transformers(model.to(torch.bfloat16 if precision == "bf16" else torch.float32), prompts, batch))
            for batch in batches if precision != "bf16" else ():
                show("CTranslate2", precision, batch, by_ctranslate2(converted, precision, prompts, batch, options.threads))
            if not options.quick:
                show("terse", precision, 32, *max(by_terse(options.bench, precision, options)))


if __name__ == "__main__":
    main()
