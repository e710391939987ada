#!/usr/bin/env python3
"""transformers' generate on the same dialogues as bench_decode: GPT-2 124M with random weights, 32 new tokens each, greedy, padded on the left."""
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import peer
from gpt_judge.dialogues import END_OF_TEXT, load_samples, load_tokenizer

NEW_TOKENS = 32


def left_padded(prompts):
    longest = max(map(len, prompts))
    ids = torch.tensor([[END_OF_TEXT] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask


def main():
    options = peer.arguments(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    samples = load_samples(options.csv, load_tokenizer(peer.TOKENIZER))
    model = GPT2LMHeadModel(GPT2Config()).eval()
    work = {}
    for precision, texts in (("fp32", 1), ("fp32", 8)) if options.quick else (("fp32", 1), ("fp32", 8), ("fp32", 32), ("bf16", 1), ("bf16", 32)):
        model.to(torch.bfloat16 if precision == "bf16" else torch.float32)
        ids, mask = left_padded([sample["ids"][:sample["prompt"]] for sample in samples[:texts]])

        def generate(ids=ids, mask=mask):
            with torch.inference_mode():
                made = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS,
                                      pad_token_id=END_OF_TEXT)
            assert made.shape[1] == ids.shape[1] + NEW_TOKENS
        result = peer.timed(generate, options.repetitions)
        work[f"decode/{precision}/texts:{texts}"] = result | {"tokens": int(mask.sum()), "new_tokens_per_second": texts * NEW_TOKENS / result["seconds"]}
    peer.print_result(["torch", "transformers"], work)


if __name__ == "__main__":
    main()
