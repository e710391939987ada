#!/usr/bin/env python3
"""Goldens of a training with smoothed labels, learning rates that decay by layer, and averaged weights, all at once, by PyTorch.

  recipes.py [FOLDER]     writes recipes.json and recipes.safetensors into FOLDER (default: tests/data)

The model is a GPT-2 of gpt_judge's weights, smaller than gpt.py's; steps, micro-batches and their means are as gpt_judge.training.train has them ("micro-batch").
"""
import copy
import json
import pathlib
import sys

import torch
import torch.nn.functional as functional
from safetensors.numpy import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gpt_judge import training
from gpt_judge.weights import CONFIGURATIONS, build, named_tensors

DATA = pathlib.Path(__file__).parent.parent / "data"
CONFIGURATIONS["R"] = dict(vocabulary=61, context=33, layers=3, heads=2, width=16)
OPTIONS = dict(steps=16, ranks=2, accumulate=2, batch=3, lr=3e-3, min_lr=3e-4, warmup=3, beta1=0.9, beta2=0.95, weight_decay=0.3, clip=1.0,
               label_smoothing=0.1, layer_decay=0.7, ema=0.8, evaluate_every=4, validation=7)


def smoothed_loss(model, samples, label_smoothing):
    """training.summed_loss with smoothed labels."""
    x, mask, y = training.padded(samples)
    logits = model(input_ids=x, attention_mask=mask).logits
    loss = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-100, reduction="sum", label_smoothing=label_smoothing)
    return loss, int((y != -100).sum())


def layer_of(name, layers):
    """As BEiT's get_num_layer_for_vit: embeddings 0, block l l + 1, all else the last."""
    if name in ("wte.weight", "wpe.weight"):
        return 0
    return int(name.split(".")[1]) + 1 if name.startswith("h.") else layers + 1


def adamw(model, layers, options):
    """A parameter group for each layer and whether weight decay acts, with BEiT's lr_scale."""
    groups = {}
    for name, parameter in named_tensors(model):
        layer, decays = layer_of(name, layers), parameter.dim() >= 2
        groups.setdefault((layer, decays), {"params": [], "lr_scale": options["layer_decay"] ** (layers + 1 - layer),
                                            "weight_decay": options["weight_decay"] if decays else 0.0})["params"].append(parameter)
    return torch.optim.AdamW(list(groups.values()), lr=0.0, betas=(options["beta1"], options["beta2"]), eps=1e-8, fused=False, foreach=False)


def train(model, samples, options):
    """Trains in place; returns its averaged copy and {loss, grad_norm, validation_loss}. Validation: the mean over the targets of the first samples, of the average."""
    optimizer = adamw(model, CONFIGURATIONS["R"]["layers"], options)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(options["ema"]))
    micro_batches, batch = options["ranks"] * options["accumulate"], options["batch"]
    log = {"loss": [], "grad_norm": [], "validation_loss": []}
    for step in range(options["steps"]):
        rows = [(step * micro_batches * batch + k) % len(samples) for k in range(micro_batches * batch)]
        total = 0.0
        for j in range(micro_batches):
            loss, targets = smoothed_loss(model, [samples[row] for row in rows[j * batch:(j + 1) * batch]], options["label_smoothing"])
            share = loss / (targets * micro_batches)
            share.backward()
            total += float(share.detach())
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named_tensors(model)], options["clip"])
        rate = training.learning_rate(step, options["lr"], options["min_lr"], options["warmup"], options["steps"])
        for group in optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        optimizer.step()
        optimizer.zero_grad()
        averaged.update_parameters(model)
        log["loss"].append(total), log["grad_norm"].append(float(norm))
        if (step + 1) % options["evaluate_every"] == 0:
            with torch.no_grad():
                loss, targets = training.summed_loss(averaged.module, samples[:options["validation"]])
            log["validation_loss"].append(float(loss) / targets)
    return averaged.module, log


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    samples = training.random_samples("R", 40, seed=51)
    model = build("R")
    exact = copy.deepcopy(model).double()
    averaged, log = train(model, samples, OPTIONS)
    exact_averaged, _ = train(exact, samples, OPTIONS)
    distance = training.relative(dict(named_tensors(averaged)), dict(named_tensors(exact_averaged)))
    print(f"loss {log['loss'][0]:.4f} -> {log['loss'][-1]:.4f}, validation {log['validation_loss']}, average against double {distance:.1e}")
    tensors = {f"trained.{name}": tensor for name, tensor in named_tensors(model)} | {f"ema.{name}": tensor for name, tensor in named_tensors(averaged)}
    save_file({name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}, folder / "recipes.safetensors")
    (folder / "recipes.json").write_text(json.dumps({"torch": torch.__version__, "model": CONFIGURATIONS["R"], **OPTIONS, "samples": samples, **log}, separators=(",", ":")) + "\n")
    for name in ("recipes.json", "recipes.safetensors"):
        (folder / name).chmod(0o644)


if __name__ == "__main__":
    sys.exit(main())
