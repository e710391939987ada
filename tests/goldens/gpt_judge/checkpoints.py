"""Checkpoints both ways: transformers writes and we read; we write and transformers reads."""
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from . import dialogues, training

TEXTS = ("\n\n### DIALOGUE:\n\n#Person1#: Shall we meet at seven?\n#Person2#: Make it half past, I have to pick up Ann."
         "\n\n### SUMMARY:\n\n",
         "Hi",
         "The quick brown fox jumps over the lazy dog, 1234 times; then it sleeps. " * 12)


def add_options(parser):
    options = parser.add_argument_group("--gpt2-124m and --read")
    options.add_argument("--csv", type=pathlib.Path, help="dialogues to train on")
    options.add_argument("--tokenizer", type=pathlib.Path, help="folder of GPT-2's vocab.json and merges.txt")
    options.add_argument("--validation-split", type=float, default=0.05, help="share of rows left out at the front")
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--accumulate", type=int, default=2)
    options.add_argument("--ranks", type=int, default=1)
    options.add_argument("--lr", type=float, default=3e-4)
    options.add_argument("--warmup", type=int, default=2)
    options.add_argument("--normalisation", choices=("micro-batch", "token"), default="micro-batch")
    options.add_argument("--tolerance", type=float, default=2e-5)


def random_124m():
    """GPT-2 124M as `GPT2LMHeadModel(GPT2Config())` draws it, seed 0, without dropout, eager attention."""
    torch.manual_seed(0)
    config = GPT2Config()
    config._attn_implementation = "eager"
    model = GPT2LMHeadModel(config).eval()  # eval: dropout off
    return model


def write_124m(options):
    """model.safetensors, config.json, golden.safetensors and, where --csv is given, training.json."""
    folder = options.gpt2_124m
    folder.mkdir(parents=True, exist_ok=True)
    model = random_124m()
    model.save_pretrained(folder)
    goldens = {}
    if options.tokenizer:
        tokenizer = dialogues.load_tokenizer(options.tokenizer)
        documents = [tokenizer.encode_ordinary(text) for text in TEXTS]
        with torch.no_grad():
            logits = [model(input_ids=torch.tensor([ids])).logits[0] for ids in documents]
        for d, (ids, rows) in enumerate(zip(documents, logits)):
            goldens[f"ids.{d}"] = torch.tensor(ids, dtype=torch.int32)
            goldens[f"rows.{d}"] = torch.tensor(sorted({0, len(ids) // 2, len(ids) - 1}), dtype=torch.int32)
            goldens[f"logits.{d}"] = rows[goldens[f"rows.{d}"].long()].contiguous()
            goldens[f"logsumexp.{d}"] = rows.logsumexp(-1)
        save_file(goldens, folder / "golden.safetensors")
        print("golden.safetensors:", [len(ids) for ids in documents], "tokens")
    if options.csv:
        names = ("steps", "batch", "accumulate", "ranks", "lr", "warmup", "normalisation")
        settings = {name: getattr(options, name) for name in names}
        settings |= {"min_lr": 3e-5, "weight_decay": 0.1, "clip": 1.0, "validation_split": options.validation_split}
        samples = dialogues.load_samples(options.csv, tokenizer)
        samples = samples[round(options.validation_split * len(samples)):]
        log = training.train(model, samples, settings)
        used = [samples[i]["id"] for i in range(options.steps * options.batch * options.accumulate * options.ranks)]
        (folder / "training.json").write_text(json.dumps({"settings": settings, "samples": used, **log}, indent=1) + "\n")
        for step in range(options.steps):
            print(f"step {step}  loss {log['loss'][step]:.7f}  norm {log['grad_norm'][step]:.6f}  lr {log['lr'][step]:.3e}")
    return 0


def read(folder, reference_path, tolerance):
    """Holds the logits of a checkpoint in `folder` against REFERENCE.json; prints one JSON object; 1 if too far.

    REFERENCE.json: {"documents": [[id, …], …], "logits": [[[…], …], …] or "FILE.safetensors" beside it (tensor d
    is named "logits.D", (T, V)), "text"?: "…", "ids"?: [the text's ids]}. Without "logits" nothing is compared.
    """
    reference = json.loads(reference_path.read_text())
    model, loading = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                     output_loading_info=True)
    strange = {key: sorted(value) for key, value in loading.items() if value}
    result = {"parameters": model.num_parameters(), "loading": strange}
    expected = reference.get("logits")
    if isinstance(expected, str):
        tensors = load_file(reference_path.parent / expected)
        expected = [tensors[f"logits.{d}"] for d in range(len(reference["documents"]))]
    wrong = bool(strange)
    with torch.no_grad():
        logits = [model.eval()(input_ids=torch.tensor([ids])).logits[0] for ids in reference["documents"]]
    if expected is not None:
        distances = [float((ours - torch.as_tensor(theirs).reshape(ours.shape)).abs().max())
                     for ours, theirs in zip(logits, expected, strict=True)]
        result["max_abs"], result["tolerance"] = max(distances), tolerance
        wrong |= not max(distances) <= tolerance
    if "text" in reference:
        result["text_ids_equal"] = AutoTokenizer.from_pretrained(folder)(reference["text"])["input_ids"] == reference["ids"]
        wrong |= not result["text_ids_equal"]
    print(json.dumps(result))
    return int(wrong)
