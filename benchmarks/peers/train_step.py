#!/usr/bin/env python3
"""What transformers needs for one training step of GPT-2 124M on the same dialogues as bench_train_step.

The batch is padded to its longest sample; forward + backward + clip + AdamW (fused), bf16 under autocast. tokens/s count real tokens, no
padding, as terse's benchmark does.
"""
import torch
import torch.nn.functional as functional
from transformers import GPT2Config, GPT2LMHeadModel

import peer
from gpt_judge.dialogues import load_samples, load_tokenizer
from gpt_judge.training import adamw, padded


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


def measure(options, samples, dropout, precision):
    config = GPT2Config(resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout)
    config._attn_implementation = options.attention
    model = GPT2LMHeadModel(config).train()
    optimizer = adamw(model, 0.1)
    for group in optimizer.param_groups:
        group["lr"], group["fused"], group["foreach"] = 1e-5, True, False
    batch = padded(samples)
    result = peer.timed(lambda: step(model, optimizer, batch, precision), options.repetitions)
    tokens = int(batch[1].sum())
    return result | {"tokens": tokens, "padded_tokens": batch[1].numel(), "targets": int((batch[2] != -100).sum()),
                     "tokens_per_second": tokens / result["seconds"]}


def main():
    parser = peer.arguments(__doc__)
    parser.add_argument("--attention", choices=("eager", "sdpa"), default="eager")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    samples = load_samples(options.csv, load_tokenizer(peer.TOKENIZER))
    runs = [(4, 0, "fp32")] if options.quick else [(4, 0, "fp32"), (16, 0, "fp32"), (16, 10, "fp32"), (16, 0, "bf16")]
    work = {f"train_step/{precision}/samples:{count}/dropout_percent:{percent}": measure(options, samples[:count], percent / 100, precision)
            for count, percent, precision in runs}
    peer.print_result(["torch", "transformers"], work)


if __name__ == "__main__":
    main()
