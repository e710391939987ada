#!/usr/bin/env python3
"""The judge of a real fine-tuning: SmolLM2-135M-Instruct on dialogues, in PyTorch, the recipe of benchmarks/finetune.

  finetune.py MODEL.gguf --train dev.csv --test test.csv --output FOLDER [--steps 30] [--batch 16] [--limit 64] [--threads 2] [--precision bf16] [--skip-zero-shot]

Samples are terse-summarize's, in the file's order; a batch is padded to its longest; fp32 or bf16 (autocast), AdamW (fused), no dropout. Then greedy summaries of the first
--limit rows of the test set, at most 60 tokens each, and their ROUGE with rouge_score against the column "summary", the first of three references. FOLDER gets
training.jsonl (a line a step: loss, grad_norm, lr, seconds, tokens without padding), summaries.jsonl and result.json.
"""
import argparse
import csv
import json
import pathlib
import time

import peer  # finds gpt_judge
import torch
from gpt_judge import training
from rouge_score import rouge_scorer
from transformers import AutoModelForCausalLM, AutoTokenizer

BEFORE, AFTER = "\n\n### DIALOGUE:\n\n", "\n\n### SUMMARY:\n\n"


def read(path, limit=None):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))[:limit]


def prompt_of(tokenizer, row):
    return tokenizer(BEFORE + row["dialogue"] + AFTER, add_special_tokens=False)["input_ids"]


def samples_of(tokenizer, rows):
    samples = []
    for row in rows:
        prompt = prompt_of(tokenizer, row)
        samples.append({"prompt": len(prompt), "ids": prompt + tokenizer(row["summary"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]})
    return samples


def optimizer_of(model):
    parameters = list(model.parameters())
    groups = [{"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1}, {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), eps=1e-8, fused=True)


def backward(model, batch, micro_batch, precision):
    """Adds the gradient of the batch's mean loss over targets, `micro_batch` samples at a time. Returns the loss, tokens without and with padding."""
    targets = sum(len(sample["ids"]) - sample["prompt"] for sample in batch)
    total, tokens, padded_tokens = 0.0, 0, 0
    for first in range(0, len(batch), micro_batch):
        x, mask, y = training.padded(batch[first:first + micro_batch])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = model(input_ids=x, attention_mask=mask, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), y.flatten(), ignore_index=-100, reduction="sum") / targets
        loss.backward()
        total, tokens, padded_tokens = total + float(loss.detach()), tokens + int(mask.sum()), padded_tokens + x.numel()
    return total, tokens, padded_tokens


def train(model, samples, options):
    optimizer = optimizer_of(model)
    with open(options.output / "training.jsonl", "w") as log:
        for step in range(options.steps):
            start = time.perf_counter()
            batch = [samples[(step * options.batch + k) % len(samples)] for k in range(options.batch)]
            loss, tokens, padded_tokens = backward(model, batch, options.micro_batch or options.batch, options.precision)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate(step, options.lr, options.min_lr, options.warmup, options.steps)
            optimizer.step()
            optimizer.zero_grad()
            entry = {"step": step + 1, "loss": loss, "grad_norm": float(norm), "seconds": time.perf_counter() - start, "tokens": tokens, "padded": padded_tokens}
            print(json.dumps(entry), file=log, flush=True)
            print(f"step {step + 1}: loss {entry['loss']:.4f}, {entry['seconds']:.1f} s, {entry['tokens'] / entry['seconds']:.0f} tokens/s", flush=True)


def summarize(model, tokenizer, rows, batch=8):
    """Greedy, left-padded, sorted by length so that little is padding."""
    prompts = {i: prompt_of(tokenizer, row) for i, row in enumerate(rows)}
    order, texts = sorted(prompts, key=lambda i: len(prompts[i])), {}
    for first in range(0, len(order), batch):
        some = order[first:first + batch]
        longest = max(len(prompts[i]) for i in some)
        x = torch.tensor([[0] * (longest - len(prompts[i])) + prompts[i] for i in some])
        mask = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in some])
        with torch.no_grad():
            out = model.generate(x, attention_mask=mask, do_sample=False, max_new_tokens=60, eos_token_id=tokenizer.eos_token_id, pad_token_id=0)
        for row, i in zip(out[:, longest:].tolist(), some):
            new = row[:row.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in row else row
            texts[i] = tokenizer.decode(new).strip()
        print(f"{first + len(some)} of {len(order)} texts", flush=True)
    return [texts[i] for i in range(len(rows))]


def score(rows, texts):
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    scores = [scorer.score(row["summary"], text) for row, text in zip(rows, texts)]
    return {name: sum(s[name].fmeasure for s in scores) / len(scores) for name in ("rouge1", "rouge2", "rougeL")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--test", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--micro-batch", type=int, help="samples at a time, for less memory (16 at a time may take more than 24 GB, 8 took 12): the same gradients; default: the whole batch")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--min-lr", type=float, default=1e-5)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--limit", type=int, default=64, help="rows of the test set; 0: only train")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--skip-zero-shot", action="store_true")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    model = AutoModelForCausalLM.from_pretrained(options.gguf.parent, gguf_file=options.gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(options.gguf.parent, gguf_file=options.gguf.name)
    rows, result = read(options.test, options.limit), {}
    if rows and not options.skip_zero_shot:
        result["zero_shot"] = score(rows, summarize(model.eval(), tokenizer, rows))
        print("zero-shot:", result["zero_shot"], flush=True)
    train(model.train(), samples_of(tokenizer, read(options.train)), options)
    if not rows:
        return
    texts = summarize(model.eval(), tokenizer, rows)
    with open(options.output / "summaries.jsonl", "w", encoding="utf-8") as file:
        for row, text in zip(rows, texts):
            print(json.dumps({"id": row["id"], "summary": text}), file=file)
    result |= {"fine_tuned": score(rows, texts), "rows": len(rows)}
    (options.output / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(result)


if __name__ == "__main__":
    main()
