"""Goldens of tokenizers with SmolLM's pre-tokenizer, by Hugging Face tokenizers.

    python tests/goldens/bpe_smollm.py [OUTPUT] [--gguf SmolLM2-135M-Instruct.Q4_1.gguf] [--dialogsum FOLDER]

OUTPUT (tests/data) gets
  smollm_tokenizer/     tokenizer.json of a small BPE trained on generated strings, which lacks some bytes as SmolLM2's does, and tokenizer_config.json
  bpe_smollm.bin        one 32-bit hash of its ids per generated string (bpe_strings.txt), special tokens taken for what they are
with --gguf (scripts/get-smollm2) and --dialogsum also
  bpe_smollm2.bin       the same of SmolLM2's, for all generated strings and DialogSum's texts as bpe.py has them. Its tokenizer.json isn't at hand, so one is
                        built of the GGUF's tokens and merges, with the pre-tokenizer that SmolLM2's has: Digits(individual_digits), then ByteLevel
Needs what bpe.py needs, and gguf 0.19.
    python tests/goldens/bpe_smollm.py --auto FOLDER REFERENCE
compares the ids of transformers' AutoTokenizer from FOLDER, which terse saved, with those of REFERENCE: a folder's tokenizer.json or a GGUF file.
"""
import argparse
import json
import pathlib
import sys

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from bpe import END, GENERATED, ROOT, dialogsum_texts, generate, grammar, hash_of_ids, write_hashes

SHORT = 3000
SPECIAL = [END, "<|im_start|>", "<|im_end|>"]


def cutter():
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])


def generated(count):
    kinds = grammar()
    return [generate(kinds, index) for index in range(count)]


def trained():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = cutter()
    tokenizer.decoder = decoders.ByteLevel()
    corpus = [text for text, kind in generated(SHORT) if kind == "words"]
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, show_progress=False))
    return tokenizer


def of_gguf(path):
    from gguf import GGUFReader
    field = GGUFReader(path).fields
    tokens, merges, kinds = (field["tokenizer.ggml." + key].contents() for key in ("tokens", "merges", "token_type"))
    tokenizer = tokenizers.Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, [tuple(merge.split(" ")) for merge in merges]))
    tokenizer.pre_tokenizer = cutter()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken(token, normalized=False, special=True) for token, kind in zip(tokens, kinds) if kind == 3])
    return tokenizer


def hashes(tokenizer, texts):
    return [hash_of_ids(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


def compare(folder, reference):
    from transformers import AutoTokenizer
    ours = AutoTokenizer.from_pretrained(folder)
    path = pathlib.Path(reference)
    theirs = of_gguf(path) if path.suffix == ".gguf" else tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    texts = [text for text, _ in generated(GENERATED)]
    wrong = sum(ours(text, add_special_tokens=False)["input_ids"] != theirs.encode(text, add_special_tokens=False).ids for text in texts)
    print(f"{type(ours).__name__}, ends with {ours.eos_token} ({ours.eos_token_id}): {wrong} of {len(texts)} texts have other ids")
    return 1 if wrong else 0


def main():
    if sys.argv[1:2] == ["--auto"]:
        return compare(*sys.argv[2:])
    arguments = argparse.ArgumentParser()
    arguments.add_argument("output", nargs="?", type=pathlib.Path, default=ROOT / "tests/data")
    arguments.add_argument("--gguf", type=pathlib.Path)
    arguments.add_argument("--dialogsum", type=pathlib.Path)
    arguments = arguments.parse_args()

    tokenizer, folder = trained(), arguments.output / "smollm_tokenizer"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8", newline="\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[2]}) + "\n", "utf-8")
    write_hashes(arguments.output / "bpe_smollm.bin", hashes(tokenizer, [text for text, _ in generated(SHORT)]))
    if arguments.gguf and arguments.dialogsum:
        fields, parts = dialogsum_texts(arguments.dialogsum)
        texts = [text for text, _ in generated(GENERATED)] + fields + parts
        write_hashes(arguments.output / "bpe_smollm2.bin", hashes(of_gguf(arguments.gguf), texts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
