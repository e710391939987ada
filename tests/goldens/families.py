#!/usr/bin/env python3
"""Goldens of the model families beside GPT-2, from PyTorch and transformers (versions in tests/goldens/README.md).

  families.py [FOLDER]     for each of llama and neox, into FOLDER (default: tests/data):
                           NAME.safetensors         a small random model as terse reads it
                           NAME_judge.safetensors   logits.D of document D, gradient.TENSOR of the mean loss over all targets
                           families.json            documents, samples, loss, greedy texts

GPT-NeoX keeps q, k and v of each head side by side and its matrices as (out, in); terse's test has them as GPT-2 has (tests/parity/neox.cpp), so they are
written that way.
"""
import json
import pathlib
import sys

import numpy
import torch
from safetensors.torch import save_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from gpt_judge import training

VOCABULARY, WIDTH, HEADS = 97, 32, 4
DATA = pathlib.Path(__file__).parent.parent / "data"


def spread(model):
    """Weights that make a small model's logits differ by some nats."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            norm = "norm" in name
            tensor.copy_(1 + 0.1 * noise if norm and name.endswith("weight") else (0.25 if tensor.dim() > 1 else 0.05) * noise)
    return model.eval()


def llama(tied=True):
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=20, num_hidden_layers=2, num_attention_heads=HEADS, num_key_value_heads=2,
                         max_position_embeddings=64, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 100.0}, tie_word_embeddings=tied,
                         attn_implementation="eager")
    return spread(LlamaForCausalLM(config))


def neox():
    config = GPTNeoXConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2, num_attention_heads=HEADS, hidden_act="gelu",
                           rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}, max_position_embeddings=64, use_parallel_residual=True,
                           tie_word_embeddings=False, attn_implementation="eager")
    return spread(GPTNeoXForCausalLM(config))


def neox_names(tensors):
    """As tests/parity/neox.cpp names and stores them."""
    result = {}
    for name, tensor in tensors.items():
        if "query_key_value" in name:  # (heads, 3, D, …) -> (3, heads, D, …)
            rest = tensor.shape[1:]
            tensor = tensor.reshape(HEADS, 3, WIDTH // HEADS, *rest).transpose(0, 1).reshape(3 * WIDTH, *rest)
        if tensor.dim() == 2 and "embed" not in name and "lm_head" not in name:
            tensor = tensor.T
        result[name] = tensor.contiguous()
    return result


def judge(model, names, documents, samples):
    with torch.no_grad():
        result = {f"logits.{d}": model(input_ids=torch.tensor([ids])).logits[0].contiguous() for d, ids in enumerate(documents)}
    total, targets = training.summed_loss(model, samples)
    loss = total / targets
    loss.backward()
    gradients = names({name: parameter.grad for name, parameter in model.named_parameters()})
    return result | {f"gradient.{name}": tensor.clone() for name, tensor in gradients.items()}, float(loss.detach())


def greedy(model, prompt, count=24):
    """New ids, and the smallest gap between the two best logits of any step."""
    ids, gap = list(prompt), float("inf")
    with torch.no_grad():
        for _ in range(count):
            best = model(input_ids=torch.tensor([ids])).logits[0, -1].topk(2)
            gap = min(gap, float(best.values[0] - best.values[1]))
            ids.append(int(best.indices[0]))
    return {"prompt": prompt, "ids": ids[len(prompt):], "gap": gap}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = numpy.random.default_rng(3)
    documents = [training.random_ids(generator, VOCABULARY, n) for n in (1, 7, 33)]
    samples = [{"prompt": n // 2, "ids": training.random_ids(generator, VOCABULARY, n)} for n in (6, 21, 40)]
    goldens = {"documents": documents, "samples": samples}
    for name, model, names in (("llama", llama(), dict), ("untied", llama(tied=False), dict), ("neox", neox(), neox_names)):
        weights = names({key: parameter.detach() for key, parameter in model.named_parameters()})
        save_file({key: tensor.clone() for key, tensor in weights.items()}, folder / f"{name}.safetensors", {"format": "pt"})
        tensors, loss = judge(model, names, documents, samples)
        save_file(tensors, folder / f"{name}_judge.safetensors")
        texts = [text for n in range(3, 40) if (text := greedy(model, training.random_ids(generator, VOCABULARY, n)))["gap"] > 1e-3][:12]
        goldens[name] = {"loss": loss, "greedy": texts}
        print(f"{name}: loss {loss:.6f}, {len(texts)} texts, {numpy.mean([len(set(text['ids'])) for text in texts]):.1f} distinct ids of 24, "
              f"smallest gap {min(text['gap'] for text in texts):.1e}")
    (folder / "families.json").write_text(json.dumps(goldens, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    sys.exit(main())
