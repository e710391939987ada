#!/usr/bin/env python3
"""Goldens of R-Drop's loss and gradient, by PyTorch in double, as the example of its authors (github.com/dropreg/R-Drop) computes them.

  r_drop.py [FOLDER]     writes r_drop.json into FOLDER (default: tests/data)
"""
import json
import pathlib
import sys

import torch
import torch.nn.functional as functional

DATA = pathlib.Path(__file__).parent.parent / "data"
SAMPLES, VOCABULARY = 4, 19


def r_drop(first, second, targets, label_smoothing, weight):
    """The mean over samples of (the mean of both cross-entropies + weight * the mean of both divergences)."""
    entropy = sum(functional.cross_entropy(logits, targets, label_smoothing=label_smoothing) for logits in (first, second)) / 2
    one_way = functional.kl_div(functional.log_softmax(first, -1), functional.softmax(second, -1), reduction="none").sum(-1)
    other_way = functional.kl_div(functional.log_softmax(second, -1), functional.softmax(first, -1), reduction="none").sum(-1)
    return entropy + weight * ((one_way + other_way) / 2).mean()


def case(label_smoothing, weight, seed):
    torch.manual_seed(seed)
    logits = (4 * torch.randn(SAMPLES, 2, VOCABULARY)).float().double().requires_grad_()
    targets = torch.randint(VOCABULARY, (SAMPLES,))
    loss = r_drop(logits[:, 0], logits[:, 1], targets, label_smoothing, weight)
    loss.backward()
    return {"label_smoothing": label_smoothing, "r_drop": weight, "targets": targets.tolist(), "logits": logits.detach().flatten().tolist(), "loss": loss.item(),
            "gradient": logits.grad.flatten().tolist()}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    golden = {"torch": torch.__version__, "vocabulary": VOCABULARY, "cases": [case(0.0, 1.0, 1), case(0.1, 0.5, 2), case(0.0, 5.0, 3)]}
    (folder / "r_drop.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    sys.exit(main())
