#!/usr/bin/env python3
"""Goldens of GPT-2 from PyTorch and transformers (versions in tests/goldens/README.md).

  gpt.py [FOLDER]                            writes the committed goldens into FOLDER (default: tests/data)
  gpt.py --gpt2-124m FOLDER [--tokenizer DIR [--csv F]]   a random GPT-2 124M, its logits, losses of 5 steps
  gpt.py --read FOLDER REFERENCE.json        loads our checkpoint by from_pretrained and compares
"""
import argparse
import json
import pathlib
import sys

import numpy
import torch
import transformers
from safetensors.numpy import save_file

from gpt_judge import checkpoints, decoding, training
from gpt_judge.weights import CONFIGURATIONS, SEED, build, named_tensors, weight_checks

TRAINING = dict(steps=20, ranks=2, accumulate=2, batch=3, lr=1e-3, min_lr=1e-4, warmup=4, beta1=0.9, beta2=0.95,
                epsilon=1e-8, weight_decay=0.1, clip=1.0)
DATA = pathlib.Path(__file__).parent.parent / "data"


def as_arrays(tensors):
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def write_logits(folder, goldens):
    """(T, V) of all documents back to back; padded to the longest where torch ran them."""
    tensors = {}
    for label, configuration, activation, lengths in (("A", "A", "gelu_new", (1, 7, 20, 64)),
                                                      ("B", "B", "gelu_new", (1, 7, 20, 33)),
                                                      ("A.gelu", "A", "gelu", (1, 7, 20))):
        generator = numpy.random.default_rng(11)
        documents = [training.random_ids(generator, CONFIGURATIONS[configuration]["vocabulary"], n) for n in lengths]
        model = build(configuration, activation)
        x, mask, _ = training.padded([{"prompt": 1, "ids": ids + [0]} for ids in documents])
        with torch.no_grad():
            batch = model(input_ids=x, attention_mask=mask).logits
            alone = [model(input_ids=torch.tensor([ids])).logits[0] for ids in documents]
            exact = [model.double()(input_ids=torch.tensor([ids])).logits[0] for ids in documents]
        rows = torch.cat([batch[b, :n] for b, n in enumerate(lengths)])
        print(f"logits {label}: largest {rows.abs().max():.2f}, padded against alone "
              f"{(rows - torch.cat(alone)).abs().max():.1e}, against double {(rows - torch.cat(exact)).abs().max():.1e}")
        tensors[label] = rows.numpy().copy()
        goldens["documents"][label] = {"model": configuration, "activation": activation, "ids": documents}
    save_file(tensors, folder / "gpt_logits.safetensors")


def write_gradients(folder, goldens):
    for configuration in ("A", "B"):
        samples = training.random_samples(configuration, 5, seed=21)
        loss, gradients = training.gradients(configuration, samples)
        _, exact = training.gradients(configuration, samples, torch.float64)
        by_labels = float(training.mean_loss_by_labels(build(configuration), samples[1:]).detach())
        by_hand = training.summed_loss(build(configuration), samples[1:])
        assert abs(by_labels - float(by_hand[0].detach()) / by_hand[1]) < 1e-5
        print(f"gradients {configuration}: loss {loss:.6f}, against double {training.relative(gradients, exact):.1e}")
        goldens["gradients"][configuration] = {"samples": samples, "loss": loss}
        save_file(as_arrays(gradients), folder / f"gpt_gradients_{configuration}.safetensors")


def write_training(folder, goldens):
    goldens["training"] = {**TRAINING, "samples": {}, "runs": []}
    for configuration in ("A", "B"):
        samples = training.random_samples(configuration, 60, seed=31)
        goldens["training"]["samples"][configuration] = samples
        for normalisation in ("micro-batch", "token"):
            options = {**TRAINING, "normalisation": normalisation}
            model, exact = build(configuration), build(configuration, dtype=torch.float64)
            log = training.train(model, samples, options)
            training.train(exact, samples, options)
            distance = training.relative(dict(named_tensors(model)), dict(named_tensors(exact)))
            print(f"training {configuration} {normalisation}: loss {log['loss'][0]:.4f} -> {log['loss'][-1]:.4f}, "
                  f"norm {log['grad_norm'][0]:.3f} -> {log['grad_norm'][-1]:.3f}, parameters against double {distance:.1e}")
            file = f"gpt_trained_{configuration}_{normalisation}.safetensors" if configuration == "B" else None
            if file:
                save_file(as_arrays(dict(named_tensors(model))), folder / file)
            goldens["training"]["runs"].append({"model": configuration, "normalisation": normalisation,
                                                "parameters": file, **log})


def write_goldens(folder):
    folder.mkdir(parents=True, exist_ok=True)
    goldens = {"torch": torch.__version__, "transformers": transformers.__version__, "seed": SEED,
               "models": CONFIGURATIONS, "documents": {}, "gradients": {},
               "weights": {"A": weight_checks("A"), "B": weight_checks("B"), "G.spread": weight_checks("G", True)}}
    write_logits(folder, goldens)
    write_gradients(folder, goldens)
    write_training(folder, goldens)
    goldens["greedy"] = decoding.greedy_prompts()
    save_file(decoding.filters(), folder / "gpt_filters.safetensors")
    (folder / "gpt.json").write_text(json.dumps(goldens, separators=(",", ":")) + "\n")
    for path in folder.glob("gpt*"):
        path.chmod(0o644)
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("gpt*"))}
    print(f"{sum(sizes.values()) / 2**20:.2f} MiB:", sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=DATA)
    parser.add_argument("--gpt2-124m", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--read", nargs=2, type=pathlib.Path, metavar=("FOLDER", "REFERENCE"))
    checkpoints.add_options(parser)
    options = parser.parse_args()
    if options.csv and not options.tokenizer:
        parser.error("--csv needs --tokenizer")
    torch.set_num_threads(2)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    if options.gpt2_124m:
        return checkpoints.write_124m(options)
    if options.read:
        return checkpoints.read(*options.read, options.tolerance)
    return write_goldens(options.folder)


if __name__ == "__main__":
    sys.exit(main())
