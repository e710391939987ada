"""The job's samples from a CSV and GPT-2's tokenizer files, written apart from the library that is judged."""
import csv
import json
import pathlib

import tiktoken

PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
END_OF_TEXT = 50256


def load_tokenizer(folder):
    """tiktoken over `folder`/vocab.json; a token's id is its rank, as GPT-2's is."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    hidden = [byte for byte in range(256) if byte not in printable]
    to_byte = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(hidden)}
    vocabulary = json.loads((pathlib.Path(folder) / "vocab.json").read_text(encoding="utf-8"))
    ranks = {bytes(to_byte[c] for c in token): rank for token, rank in vocabulary.items() if token != "<|endoftext|>"}
    return tiktoken.Encoding("gpt2-files", pat_str=PATTERN, mergeable_ranks=ranks,
                             special_tokens={"<|endoftext|>": END_OF_TEXT})


def load_samples(csv_path, tokenizer, context=1024):
    """[{id, prompt, ids}] in file order. Empty rows, and rows too long whose summary is too long as well, are left
    out; the dialogue of a row that is too long is cut at its end."""
    before = tokenizer.encode_ordinary("\n\n### DIALOGUE:\n\n")
    after = tokenizer.encode_ordinary("\n\n### SUMMARY:\n\n")
    samples = []
    with open(csv_path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not row["dialogue"].strip() or not row["summary"].strip():
                continue
            prompt = tokenizer.encode_ordinary(f"\n\n### DIALOGUE:\n\n{row['dialogue']}\n\n### SUMMARY:\n\n")
            summary = tokenizer.encode_ordinary(row["summary"]) + [END_OF_TEXT]
            if len(prompt) + len(summary) > context:
                if len(summary) > int(0.3 * context):
                    continue
                room = context - len(summary) - len(after)
                prompt = prompt[:-len(after)][:max(room, len(before))] + after
            samples.append({"id": row["id"], "prompt": len(prompt), "ids": prompt + summary})
    return samples
