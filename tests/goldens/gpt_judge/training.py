"""Samples, padded batches, losses, gradients and optimizer steps, as a PyTorch user would write them."""
import math

import numpy
import torch
import torch.nn.functional as functional

from .weights import CONFIGURATIONS, build, named_tensors


def random_ids(generator, vocabulary, length):
    """Skewed towards small ids, so that there is something to learn."""
    draws = generator.integers(0, vocabulary, size=(2, length))
    return [int(value) for value in draws.min(axis=0)]


def random_samples(configuration, count, seed):
    """Samples {prompt, ids}: `ids` is prompt ++ summary ++ end of text; `prompt` counts the prompt's ids.
    The first fills the context, the second is as short as can be."""
    sizes = CONFIGURATIONS[configuration]
    generator = numpy.random.default_rng(seed)
    samples = []
    for index in range(count):
        prompt = int(generator.integers(2, sizes["context"] * 2 // 3))
        summary = int(generator.integers(1, sizes["context"] // 3))
        if index == 0:
            summary = sizes["context"] - prompt
        if index == 1:
            prompt, summary = 1, 0
        samples.append({"prompt": prompt, "ids": random_ids(generator, sizes["vocabulary"], prompt + summary)
                        + [sizes["vocabulary"] - 1]})
    return samples


def padded(samples, filler=0):
    """(x, mask, y), each (samples, longest): x = ids[:-1], y = ids[1:] or -100 where there is no loss."""
    length = max(len(sample["ids"]) - 1 for sample in samples)
    x = torch.full((len(samples), length), filler, dtype=torch.long)
    y = torch.full_like(x, -100)
    mask = torch.zeros_like(x)
    for row, sample in enumerate(samples):
        ids, first = torch.tensor(sample["ids"]), sample["prompt"] - 1
        x[row, :len(ids) - 1] = ids[:-1]
        y[row, first:len(ids) - 1] = ids[first + 1:]
        mask[row, :len(ids) - 1] = 1
    return x, mask, y


def summed_loss(model, samples):
    """(sum of the targets' losses, number of targets) of a padded batch."""
    x, mask, y = padded(samples)
    logits = model(input_ids=x, attention_mask=mask).logits
    loss = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-100, reduction="sum")
    return loss, int((y != -100).sum())


def mean_loss_by_labels(model, samples):
    """The same mean through transformers' own `labels`, which shift by one: a check on this file."""
    x, mask, y = padded(samples)
    end = torch.full((len(samples), 1), -100)
    labels = torch.cat([end, y], dim=1)
    x, mask = torch.cat([x, torch.zeros_like(end)], dim=1), torch.cat([mask, torch.zeros_like(end)], dim=1)
    return model(input_ids=x[:, :model.config.n_positions], attention_mask=mask[:, :model.config.n_positions],
                 labels=labels[:, :model.config.n_positions]).loss


def gradients(configuration, samples, dtype=torch.float32):
    """(loss, {name: gradient}) of the mean over the batch's targets."""
    model = build(configuration, dtype=dtype)
    loss, targets = summed_loss(model, samples)
    (loss / targets).backward()
    return float((loss / targets).detach()), {name: parameter.grad.clone() for name, parameter in named_tensors(model)}


def learning_rate(step, peak, low, warmup, decay):
    """Linear warmup, then cosine down to `low`; `step` counts from 0."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    if step > decay:
        return low
    ratio = (step - warmup) / (decay - warmup)
    return low + 0.5 * (1 + math.cos(math.pi * ratio)) * (peak - low)


def adamw(model, weight_decay):
    """torch.optim.AdamW with decay on tensors of two and more dimensions only."""
    parameters = [parameter for _, parameter in named_tensors(model)]
    groups = [{"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
              {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), eps=1e-8, fused=False, foreach=False)


def train(model, samples, options):
    """Trains `model` in place; returns {loss, grad_norm, lr}, a number a step.

    Step s takes the samples (s*N + k) mod len(samples), k = 0 … N-1, N = ranks*accumulate*batch, in this order;
    micro-batch j = rank*accumulate + a holds k = j*batch … j*batch + batch-1. Its loss counts
      micro-batch   mean over its targets, times 1 / (ranks*accumulate)
      token         sum over its targets, divided by the step's number of targets
    """
    optimizer = adamw(model, options["weight_decay"])
    micro_batches, batch = options["ranks"] * options["accumulate"], options["batch"]
    log = {"loss": [], "grad_norm": [], "lr": []}
    for step in range(options["steps"]):
        rows = [(step * micro_batches * batch + k) % len(samples) for k in range(micro_batches * batch)]
        step_targets = sum(len(samples[row]["ids"]) - samples[row]["prompt"] for row in rows)
        total = 0.0
        for j in range(micro_batches):
            loss, targets = summed_loss(model, [samples[row] for row in rows[j * batch:(j + 1) * batch]])
            share = loss / (targets * micro_batches if options["normalisation"] == "micro-batch" else step_targets)
            share.backward()
            total += float(share.detach())
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named_tensors(model)], options["clip"])
        rate = learning_rate(step, options["lr"], options["min_lr"], options["warmup"], options["steps"])
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        log["loss"].append(total), log["grad_norm"].append(float(norm)), log["lr"].append(rate)
    return log


def relative(a, b):
    """Relative L2 distance of two {name: tensor} over the flat vector, without the key third of c_attn.bias."""
    def flat(tensors):
        parts = []
        for name, tensor in tensors.items():
            tensor = tensor.detach().double().flatten()
            if name.endswith("c_attn.bias"):
                third = len(tensor) // 3
                tensor = torch.cat([tensor[:third], tensor[2 * third:]])
            parts.append(tensor)
        return torch.cat(parts)
    a, b = flat(a), flat(b)
    return float((a - b).norm() / b.norm())
