#!/usr/bin/env python3
"""A small GPT-2 as transformers' save_pretrained writes it, and its logits: tests/data/transformers_checkpoint.

  transformers_checkpoint.py [FOLDER]      writes FOLDER/transformers_checkpoint (default: tests/data)
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

SIZES = dict(vocab_size=97, n_positions=32, n_layer=1, n_head=2, n_embd=16, bos_token_id=96, eos_token_id=96)
LENGTHS = (1, 9)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data")
    folder /= "transformers_checkpoint"
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SIZES, attn_implementation="eager")).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # a fresh model's are too small and too regular to show a mistake
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)

    tensors = {}
    for d, length in enumerate(LENGTHS):
        ids = torch.randint(SIZES["vocab_size"], (length,))
        with torch.no_grad():
            logits = model(input_ids=ids[None]).logits[0]
            exact = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()(input_ids=ids[None]).logits[0]
        print(f"{length} ids: largest logit {logits.abs().max():.2f}, against double {(logits - exact).abs().max():.1e}")
        tensors[f"ids.{d}"], tensors[f"logits.{d}"] = ids.to(torch.int32), logits.contiguous()
    save_file(tensors, folder / "logits.safetensors")
    for path in folder.iterdir():
        path.chmod(0o644)
    print({path.name: path.stat().st_size for path in sorted(folder.iterdir())})


if __name__ == "__main__":
    main()
