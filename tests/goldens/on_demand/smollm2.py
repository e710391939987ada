#!/usr/bin/env python3
"""What transformers computes with SmolLM2-135M-Instruct, in fp32 from the GGUF file that scripts/get-smollm2 fetches.

  smollm2.py FILE.gguf CSV FOLDER [--dialogues 20] [--new 64]

writes golden.safetensors and golden.json into FOLDER: of the first dialogues, as prompts of terse-summarize, the ids, the last 8 rows of logits, and greedy
texts with the smallest gap between the two best logits. They hold the CSV's text, so they aren't part of the repository; tests/parity/smollm2.cpp reads them.
"""
import argparse
import csv
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("csv", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--dialogues", type=int, default=20)
    parser.add_argument("--new", type=int, default=64)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    model = AutoModelForCausalLM.from_pretrained(options.gguf.parent, gguf_file=options.gguf.name, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(options.gguf.parent, gguf_file=options.gguf.name)
    tensors, prompts = {}, []
    with open(options.csv, newline="", encoding="utf-8") as file, torch.no_grad():
        for d, row in zip(range(options.dialogues), csv.DictReader(file)):
            ids = tokenizer(f"\n\n### DIALOGUE:\n\n{row['dialogue']}\n\n### SUMMARY:\n\n", add_special_tokens=False)["input_ids"]
            tensors[f"logits.{d}"] = model(input_ids=torch.tensor([ids])).logits[0, -8:].contiguous()
            out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False, max_new_tokens=options.new,
                                 eos_token_id=-1, pad_token_id=0, return_dict_in_generate=True, output_logits=True)
            best = torch.stack(out.logits).flatten(0, 1).topk(2).values
            prompts.append({"ids": ids, "new": out.sequences[0, len(ids):].tolist(), "gaps": (best[:, 0] - best[:, 1]).tolist()})
            print(f"{d}: {len(ids)} tokens, smallest gap {min(prompts[-1]['gaps']):.4f}", flush=True)
    save_file(tensors, options.folder / "golden.safetensors")
    (options.folder / "golden.json").write_text(json.dumps(prompts) + "\n")


if __name__ == "__main__":
    main()
