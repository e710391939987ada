#!/usr/bin/env python3
"""Goldens of data parallel training: PyTorch's DistributedDataParallel, gloo, one process a rank.

  ddp.py [FOLDER]     writes ddp.json and ddp_trained_B.safetensors into FOLDER (default: tests/data)

The job is that of gpt.py's training.runs (gpt.json: weights, samples, settings, "micro-batch"), which one process computes there.
"""
import contextlib
import json
import pathlib
import sys
import tempfile

import torch
import torch.distributed
import torch.multiprocessing
from safetensors.numpy import save_file

from gpt_judge import training
from gpt_judge.weights import build, named_tensors

DATA = pathlib.Path(__file__).parent.parent / "data"


def train(rank, configuration, settings, meeting, folder):
    """A rank's whole life; rank 0 writes what it saw and what it has learnt."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    ranks, accumulate, batch, samples = settings["ranks"], settings["accumulate"], settings["batch"], settings["samples"][configuration]
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    module = build(configuration)
    model = torch.nn.parallel.DistributedDataParallel(module)
    optimizer = training.adamw(module, settings["weight_decay"])
    log = {"loss": [], "grad_norm": []}
    for step in range(settings["steps"]):
        total = torch.zeros(1, dtype=torch.float64)
        for micro in range(accumulate):
            first = (step * ranks + rank) * accumulate * batch + micro * batch
            rows = [samples[(first + k) % len(samples)] for k in range(batch)]
            with model.no_sync() if micro + 1 < accumulate else contextlib.nullcontext():
                loss, targets = training.summed_loss(model, rows)
                share = loss / (targets * accumulate)  # DistributedDataParallel takes the mean over ranks
                share.backward()
            total += float(share.detach())
        torch.distributed.all_reduce(total)
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named_tensors(module)], settings["clip"])
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate(step, settings["lr"], settings["min_lr"], settings["warmup"], settings["steps"])
        optimizer.step()
        optimizer.zero_grad()
        log["loss"].append(float(total) / ranks), log["grad_norm"].append(float(norm))
    if rank == 0:
        (folder / f"{configuration}.json").write_text(json.dumps(log))
        save_file({name: tensor.detach().numpy().copy() for name, tensor in named_tensors(module)}, folder / f"{configuration}.safetensors")
    torch.distributed.destroy_process_group()


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    settings = json.loads((DATA / "gpt.json").read_text())["training"]
    runs = []
    for configuration in ("A", "B"):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            torch.multiprocessing.spawn(train, (configuration, settings, scratch / "meeting", scratch), nprocs=settings["ranks"])
            log = json.loads((scratch / f"{configuration}.json").read_text())
            if configuration == "B":
                (folder / "ddp_trained_B.safetensors").write_bytes((scratch / "B.safetensors").read_bytes())
        print(f"{configuration}: loss {log['loss'][0]:.4f} -> {log['loss'][-1]:.4f}")
        runs.append({"model": configuration, "normalisation": "micro-batch", "parameters": "ddp_trained_B.safetensors" if configuration == "B" else None, **log})
    (folder / "ddp.json").write_text(json.dumps({"torch": torch.__version__, "backend": "gloo", "runs": runs}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
