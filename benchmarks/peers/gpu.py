#!/usr/bin/env python3
"""PyTorch and transformers on a GPU: the same training steps and decoding as bench_gpu_steps, under the same names.

As a PyTorch program does it: fp32 parameters under autocast (fp16 with a GradScaler), batches padded to their longest sample, attention by
scaled_dot_product_attention, fused AdamW; not compiled. Ids are arithmetic, as in bench_gpu_steps, so no tokenizer is needed.
"""
import torch
import torch.nn.functional as functional
from transformers import GPT2Config, GPT2LMHeadModel

import peer
from generation import generate, left_padded
from gpt_judge.training import adamw, padded

VOCABULARY, CONTEXT, SUMMARY = 50257, 1024, 45
END_OF_TEXT = VOCABULARY - 1
LENGTHS = [int(n) for n in (peer.ROOT / "benchmarks" / "ops" / "lengths.inc").read_text().split(",")]
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def ids(count, first=0):
    return [(first + i) * 7919 % VOCABULARY for i in range(count)]


def dialogues():
    return [{"prompt": length + 1 - SUMMARY, "ids": ids(length + 1, 1000 * n)} for n, length in enumerate(LENGTHS)]


def windows():
    text = ids(4 * CONTEXT + 1)
    return [{"prompt": 1, "ids": text[first:first + CONTEXT + 1]} for first in range(0, 4 * CONTEXT, CONTEXT)]


def train_step(samples, dropout, precision, repetitions):
    config = GPT2Config(resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout)
    config._attn_implementation = "sdpa"
    model = GPT2LMHeadModel(config).cuda().train()
    optimizer = adamw(model, 0.1)
    for group in optimizer.param_groups:
        group["lr"], group["fused"], group["foreach"] = 1e-5, True, False
    scaler = torch.amp.GradScaler("cuda", enabled=precision == "fp16")
    x, mask, y = (tensor.cuda() for tensor in padded(samples))
    mask = None if bool(mask.all()) else mask

    def step():
        with torch.autocast("cuda", dtype=DTYPES[precision]):
            logits = model(input_ids=x, attention_mask=mask, use_cache=False).logits
            loss = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-100)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    def steps(count=20):
        for _ in range(count):
            step()
        torch.cuda.synchronize()
    steps(5)
    result = peer.timed(steps, repetitions, warm=False)
    return {"seconds": result["seconds"] / 20, "best": result["best"] / 20, "tokens": sum(len(sample["ids"]) - 1 for sample in samples)}


def decode(texts, precision, repetitions):
    model = GPT2LMHeadModel(GPT2Config()).to("cuda", DTYPES[precision]).eval()
    prompts = [ids(LENGTHS[t % len(LENGTHS)] + 1 - SUMMARY, 1000 * t) for t in range(texts)]
    x, mask = (tensor.cuda() for tensor in left_padded(prompts, END_OF_TEXT))

    def run():
        generate(model, x, mask, END_OF_TEXT)
        torch.cuda.synchronize()
    return peer.timed(run, repetitions) | {"tokens": sum(map(len, prompts))}


def main():
    options = peer.arguments(__doc__).parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("peers/gpu.py: this Python's torch can't use the GPU")
    torch.manual_seed(0)
    work = {}
    for precision in ("fp16", "bf16") if torch.cuda.get_device_capability() >= (8, 0) else ("fp16",):
        work[f"train_step/dialogues/{precision}"] = train_step(dialogues(), 0.1, precision, options.repetitions)
        work[f"train_step/4x1024/{precision}"] = train_step(windows(), 0.0, precision, options.repetitions)
        for texts in (1, 32):
            work[f"decode/{texts}_texts/{precision}"] = decode(texts, precision, options.repetitions)
    peer.print_result(["torch", "transformers"], work)


if __name__ == "__main__":
    main()
