#!/usr/bin/env python3
"""Goldens of LoRA from the peft library (versions in tests/goldens/README.md), on families.py's small Llama.

  lora.py [FOLDER]     into FOLDER (default: tests/data):
                       lora_adapter.safetensors   adapters as peft saves them, random a and b
                       lora.safetensors           merged.TENSOR of the model with them merged, trained.TENSOR after 20 steps of AdamW
                       lora.json                  samples, the loss of each step
"""
import copy
import json
import pathlib
import shutil
import sys
import tempfile

import numpy
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

import families
from gpt_judge import training

OPTIONS = dict(steps=20, batch=3, lr=1e-2, min_lr=1e-3, warmup=4)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else families.DATA
    torch.set_num_threads(1)
    model = get_peft_model(families.llama(), LoraConfig(r=2, lora_alpha=4, target_modules=ALL, lora_dropout=0.0, bias="none"))
    generator = torch.Generator().manual_seed(9)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved, save_embedding_layers=False)
        shutil.copyfile(pathlib.Path(saved) / "adapter_model.safetensors", folder / "lora_adapter.safetensors")
    merged = copy.deepcopy(model).merge_and_unload()
    tensors = {f"merged.{name}": parameter.detach().clone() for name, parameter in merged.named_parameters()}

    draws = numpy.random.default_rng(4)
    samples = [{"prompt": int(n) // 2, "ids": training.random_ids(draws, families.VOCABULARY, n)} for n in draws.integers(4, 40, size=12)]
    optimizer = torch.optim.AdamW(trained.values(), lr=0.0, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=False, foreach=False)
    losses = []
    for step in range(OPTIONS["steps"]):
        batch = [samples[(step * OPTIONS["batch"] + k) % len(samples)] for k in range(OPTIONS["batch"])]
        total, targets = training.summed_loss(model, batch)
        (total / targets).backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate(step, OPTIONS["lr"], OPTIONS["min_lr"], OPTIONS["warmup"], OPTIONS["steps"])
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total.detach()) / targets)
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}")
    save_file(tensors | {"trained." + name.replace(".default", ""): parameter.detach().clone() for name, parameter in trained.items()}, folder / "lora.safetensors")
    (folder / "lora.json").write_text(json.dumps({"samples": samples, "loss": losses, **OPTIONS}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
