#!/usr/bin/env python3
"""Goldens of LoRA from the peft library (versions in tests/goldens/README.md), on families.py's small Llama and on gpt_judge's GPT-2 B.

  lora.py [FOLDER]     into FOLDER (default: tests/data), for NAME lora (Llama) and lora_gpt2:
                       NAME_adapter.safetensors   adapters as peft saves them, random a and b
                       NAME.safetensors           trained.TENSOR after 20 steps of AdamW; of the model with the random ones merged merged.TENSOR, or of
                                                  GPT-2 the logits of the first sample
                       NAME.json                  samples, the loss of each step; of GPT-2 what peft's adapter_config.json says
  lora.py --read BASE ADAPTER REFERENCE.json     loads by from_pretrained BASE and on it by PeftModel ADAPTER, which terse wrote both, and prints one JSON
                       object; exit 1 where logits differ from the REFERENCE's by more than 1e-4, 77 where this Python has no peft
"""
import copy
import json
import pathlib
import shutil
import sys
import tempfile
import warnings

import numpy
import torch
from safetensors.torch import save_file

import families
from gpt_judge import training, weights

OPTIONS = dict(steps=20, batch=3, lr=1e-2, min_lr=1e-3, warmup=4)
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
GPT2 = ["c_attn", "c_proj", "c_fc"]


def write(folder, name, base, targets, longest):
    from peft import LoraConfig, get_peft_model
    is_gpt2 = targets is GPT2
    model = get_peft_model(base, LoraConfig(r=2, lora_alpha=4, target_modules=targets, lora_dropout=0.0, bias="none", fan_in_fan_out=is_gpt2))
    generator = torch.Generator().manual_seed(9)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved, save_embedding_layers=False)
        shutil.copyfile(pathlib.Path(saved) / "adapter_model.safetensors", folder / f"{name}_adapter.safetensors")
        config = json.loads((pathlib.Path(saved) / "adapter_config.json").read_text())
    draws = numpy.random.default_rng(4)
    samples = [{"prompt": int(n) // 2, "ids": training.random_ids(draws, 97, n)} for n in draws.integers(4, longest, size=12)]
    merged = copy.deepcopy(model).merge_and_unload()
    if is_gpt2:
        with torch.no_grad():
            tensors = {"logits": merged(input_ids=torch.tensor([samples[0]["ids"]])).logits[0].clone()}
    else:
        tensors = {f"merged.{name}": parameter.detach().clone() for name, parameter in merged.named_parameters()}

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
    print(f"{name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}")
    save_file(tensors | {"trained." + name.replace(".default", ""): parameter.detach().clone() for name, parameter in trained.items()}, folder / f"{name}.safetensors")
    says = {"config": {"target_modules": sorted(config["target_modules"]), "fan_in_fan_out": config["fan_in_fan_out"]}} if is_gpt2 else {}
    (folder / f"{name}.json").write_text(json.dumps({"samples": samples, "loss": losses, **says, **OPTIONS}) + "\n")


def read(base, adapter, reference):
    try:
        from peft import PeftModel
    except ImportError:
        print("this Python has no peft (tests/goldens/requirements.txt)")
        return 77
    from transformers import AutoModelForCausalLM
    warnings.filterwarnings("error", message=".*missing adapter keys.*")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager"), adapter).eval()
    expected = json.loads(pathlib.Path(reference).read_text())
    errors, adapted = [], []
    for ids, logits in zip(expected["documents"], expected["logits"]):
        with torch.no_grad():
            found = model(input_ids=torch.tensor([ids])).logits[0]
            with model.disable_adapter():
                without = model(input_ids=torch.tensor([ids])).logits[0]
        errors.append(float((found - torch.tensor(logits)).abs().max()))
        adapted.append(float((found - without).abs().max()))
    print(json.dumps({"largest_difference": max(errors), "by_the_adapter": max(adapted)}))
    return 0 if max(errors) < 1e-4 < max(adapted) else 1


def main():
    if sys.argv[1:2] == ["--read"]:
        return read(*sys.argv[2:])
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else families.DATA
    torch.set_num_threads(1)
    write(folder, "lora", families.llama(), LLAMA, 40)
    write(folder, "lora_gpt2", weights.build("B"), GPT2, 33)
    return 0


if __name__ == "__main__":
    sys.exit(main())
