#!/usr/bin/env python3
"""Logits of transformers' GPT2LMHeadModel at the shapes of GPT-2 medium, large and xl: their width, heads and context, two layers,
a small vocabulary. usage: gpt2_shapes.py [FOLDER]   (default: tests/data)
"""
import json
import pathlib
import sys

import numpy
import torch
from safetensors.numpy import save_file

from gpt_judge import training
from gpt_judge.weights import CONFIGURATIONS, build, named_tensors

VOCABULARY = 97
LENGTHS = (1, 7, 33)
SHAPES = {"medium": dict(heads=16, width=1024), "large": dict(heads=20, width=1280), "xl": dict(heads=25, width=1600)}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data"
    generator = numpy.random.default_rng(41)
    documents = [training.random_ids(generator, VOCABULARY, n) for n in LENGTHS]
    tensors = {}
    for name, shape in SHAPES.items():
        CONFIGURATIONS[name] = dict(vocabulary=VOCABULARY, context=1024, layers=2, **shape)
        model = build(name)
        with torch.no_grad():
            for _, parameter in named_tensors(model):
                if parameter.dim() == 2:
                    parameter.mul_(0.25)  # random_weights are for widths of 32 to 64
            logits = torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids in documents])
            exact = torch.cat([model.double()(input_ids=torch.tensor([ids])).logits[0] for ids in documents])
        print(f"{name}: largest {logits.abs().max():.2f}, against double {(logits - exact).abs().max():.1e}")
        tensors[name] = logits.numpy().copy()
    save_file(tensors, folder / "gpt2_shapes.safetensors")
    (folder / "gpt2_shapes.json").write_text(json.dumps({"documents": documents}) + "\n")
    for path in folder.glob("gpt2_shapes.*"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
