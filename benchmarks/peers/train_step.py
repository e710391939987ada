#!/usr/bin/env python3
"""What PyTorch and transformers need for one training step of GPT-2 124M on the same dialogues as bench_train_step: seconds, and peak memory.

forward + backward + clip + AdamW (fused), bf16 under autocast. tokens/s count real tokens, no padding, as terse's benchmark does. Three ways:
  transformers       eager, the batch padded to its longest sample
  torch.compile      the same, compiled
  reference recipe   eager, padded to the model's context of 1024, as the script that terse-summarize reproduces does it
Each runs in a process of its own, for its memory. What can't run here (torch.compile without a compiler, 8 x 1024 tokens in too little memory) is said on stderr and left out.
"""
import concurrent.futures
import multiprocessing
import resource
import sys
import tempfile

import torch
import torch.nn.functional as functional
from transformers import GPT2Config, GPT2LMHeadModel

import peer
from gpt_judge.dialogues import load_samples, load_tokenizer
from gpt_judge.training import adamw, padded

CONTEXT = 1024
WAYS = ("transformers", "torch.compile", "reference recipe")


def step(model, optimizer, batch, precision):
    x, mask, y = batch
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        logits = model(input_ids=x, attention_mask=mask, use_cache=False).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-100)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def batch_of(samples, way):
    batch = padded(samples)
    missing = CONTEXT - batch[0].shape[1] if way == "reference recipe" else 0
    return [functional.pad(tensor, (0, missing), value=filler) for tensor, filler in zip(batch, (0, 0, -100))]


def measure(options, samples, dropout, precision, way):
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = GPT2Config(resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout)
    config._attn_implementation = options.attention
    model = GPT2LMHeadModel(config).train()
    optimizer = adamw(model, 0.1)
    for group in optimizer.param_groups:
        group["lr"], group["fused"], group["foreach"] = 1e-5, True, False
    batch = batch_of(samples, way)
    run = torch.compile(model) if way == "torch.compile" else model
    result = peer.timed(lambda: step(run, optimizer, batch, precision), options.repetitions)
    tokens = int(batch[1].sum())
    return result | {"tokens": tokens, "padded_tokens": batch[1].numel(), "targets": int((batch[2] != -100).sum()),
                     "tokens_per_second": tokens / result["seconds"], "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def load(options):
    """from_pretrained of a file that the page cache has, and an optimizer."""
    with tempfile.TemporaryDirectory() as folder:
        GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
        return peer.timed(lambda: adamw(GPT2LMHeadModel.from_pretrained(folder), 0.1), options.repetitions)


def alone(function, *arguments):
    """Its result, from a new process; None where it failed, or was killed for its memory."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except Exception as error:  # whatever it is that torch.compile lacks
            print(f"{function.__name__} {arguments[2:]}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}", file=sys.stderr)
            return None


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--way", choices=WAYS, help="only this one")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager")
    options = parser.parse_args()
    samples = load_samples(options.csv, load_tokenizer(peer.TOKENIZER))
    runs = [(8, 0, "fp32", way) for way in WAYS]
    if not options.quick:
        runs += [(16, 0, "fp32", "transformers"), (16, 10, "fp32", "transformers"), (16, 0, "bf16", "transformers"), (16, 0, "bf16", "torch.compile")]
    runs = [run for run in runs if options.way in (None, run[3])]
    work = {f"train_step/{precision}/samples:{count}/dropout_percent:{percent}@{way}": alone(measure, options, samples[:count], percent / 100, precision, way)
            for count, percent, precision, way in runs}
    work["load/safetensors@transformers"] = alone(load, options)
    peer.print_result(["torch", "transformers"], {name: result for name, result in work.items() if result})


if __name__ == "__main__":
    main()
