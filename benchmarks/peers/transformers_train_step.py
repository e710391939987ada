#!/usr/bin/env python3
"""What transformers needs for one training step of GPT-2 124M on real dialogues: the number terse is held against.

fp32, eager attention, the batch padded to its longest sample, forward + backward + clip + AdamW, on --threads threads.
Prints one JSON object; tokens/s count real tokens (no padding), as terse's own benchmark does.

  transformers_train_step.py --csv train.csv --tokenizer examples/summarize/gpt2 [--samples 8] [--steps 5]
"""
import argparse
import json
import pathlib
import statistics
import sys
import time

import torch
import torch.nn.functional as functional
import transformers
from transformers import GPT2Config, GPT2LMHeadModel

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "goldens"))
from gpt_judge.dialogues import load_samples, load_tokenizer  # noqa: E402
from gpt_judge.training import adamw, padded  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=pathlib.Path, required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="folder of vocab.json and merges.txt")
    parser.add_argument("--samples", type=int, default=8, help="the file's first usable rows")
    parser.add_argument("--steps", type=int, default=5, help="timed steps, after one that warms up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.0, help="the job's is 0.1; 0 is the faster, so the harder peer")
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager")
    parser.add_argument("--foreach", action="store_true", help="AdamW over all tensors at once (torch's choice on GPUs)")
    return parser.parse_args()


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    samples = load_samples(options.csv, load_tokenizer(options.tokenizer))[:options.samples]
    x, mask, y = padded(samples)
    config = GPT2Config(resid_pdrop=options.dropout, embd_pdrop=options.dropout, attn_pdrop=options.dropout)
    config._attn_implementation = options.attention
    model = GPT2LMHeadModel(config).train()
    optimizer = adamw(model, 0.1)
    for group in optimizer.param_groups:
        group["lr"], group["foreach"] = 3e-4, options.foreach

    seconds, losses = [], []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        logits = model(input_ids=x, attention_mask=mask, use_cache=False).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    seconds = seconds[1:]
    tokens = int(mask.sum())
    print(json.dumps({
        "torch": torch.__version__, "transformers": transformers.__version__, "threads": options.threads,
        "attention": options.attention, "dropout": options.dropout, "samples": len(samples), "tokens": tokens,
        "padded_tokens": mask.numel(), "targets": int((y != -100).sum()), "losses": losses, "seconds": seconds,
        "tokens_per_second_best": tokens / min(seconds),
        "tokens_per_second_median": tokens / statistics.median(seconds)}))


if __name__ == "__main__":
    main()
