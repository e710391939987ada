#!/usr/bin/env python3
"""transformers' generate on the same dialogues as bench_decode: GPT-2 124M with random weights, 32 new tokens each, greedy, padded on the left."""
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import peer
from generation import NEW_TOKENS, generate, left_padded
from gpt_judge.dialogues import END_OF_TEXT, load_samples, load_tokenizer


def main():
    options = peer.arguments(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    samples = load_samples(options.csv, load_tokenizer(peer.TOKENIZER))
    model = GPT2LMHeadModel(GPT2Config()).eval()
    work = {}
    for precision, texts in (("fp32", 1), ("fp32", 8)) if options.quick else (("fp32", 1), ("fp32", 8), ("fp32", 32), ("bf16", 1), ("bf16", 32)):
        model.to(torch.bfloat16 if precision == "bf16" else torch.float32)
        ids, mask = left_padded([sample["ids"][:sample["prompt"]] for sample in samples[:texts]], END_OF_TEXT)
        result = peer.timed(lambda ids=ids, mask=mask: generate(model, ids, mask, END_OF_TEXT), options.repetitions)
        work[f"decode/{precision}/texts:{texts}"] = result | {"tokens": int(mask.sum()), "new_tokens_per_second": texts * NEW_TOKENS / result["seconds"]}
    peer.print_result(["torch", "transformers"], work)


if __name__ == "__main__":
    main()
