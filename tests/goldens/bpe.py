"""Goldens of the tokenizer: tiktoken for encoding, tokenizers for training.

    python tests/goldens/bpe.py [OUTPUT] [--dialogsum FOLDER]

OUTPUT (tests/data) gets
  bpe_strings.txt      the grammar of the generated strings; tests/support/bpe_strings.hpp reads it
  bpe_generated.bin    one 32-bit hash of the ids per generated string, after a hash of all the strings
  bpe_trained.txt      merges.txt of a BPE trained on generated strings
with --dialogsum FOLDER (dev.csv, test.csv) also
  bpe_dialogsum.bin    the same hashes for DialogSum's texts and random parts of them, then that of trained merges
Needs Python 3.11 (Unicode 14, as PCRE2 10.42), tiktoken 0.14, tokenizers 0.23.
"""
import argparse
import csv
import json
import pathlib
import struct
import unicodedata

import tiktoken
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
END = "<|endoftext|>"
GENERATED, PARTS = 12000, 5000
MASK = 2**64 - 1


class Random:
    """splitmix64 (Steele, Lea, Flood 2014)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % bound


class Hash:
    """FNV-1a, its 64 bits folded into 32."""

    def __init__(self):
        self.state = 0xCBF29CE484222325

    def add(self, data):
        for byte in data:
            self.state = ((self.state ^ byte) * 0x100000001B3) & MASK
        return self

    def value(self):
        return (self.state ^ (self.state >> 32)) & 0xFFFFFFFF


def assigned():
    """Ranges of Unicode 14's assigned code points; surrogates aren't characters."""
    assert unicodedata.unidata_version == "14.0.0", "Python 3.11 is needed"
    start = None
    for point in range(0x110001):
        inside = point < 0x110000 and unicodedata.category(chr(point)) not in ("Cn", "Cs")
        if inside and start is None:
            start = point
        if not inside and start is not None:
            yield start, point - 1
            start = None


def grammar():
    """{kind: (most items, [item])}; an item is a text, or (first, last, most fresh characters, most repeats of each)."""
    def lone(points):
        return [(point, point, 1, 1) for point in points]

    space = (0x20, 0x20, 1, 1)
    lower, upper, digit = (0x61, 0x7A, 9, 1), (0x41, 0x5A, 4, 1), (0x30, 0x39, 5, 1)
    marks = [(0x21, 0x2F, 2, 2), (0x3A, 0x40, 2, 2), (0x5B, 0x60, 2, 1), (0x7B, 0x7E, 2, 1)]
    white = [(0x09, 0x0D, 2, 2), (0x20, 0x20, 1, 6), (0x85, 0x85, 1, 2), (0xA0, 0xA0, 1, 2), (0x1680, 0x1680, 1, 2),
             (0x2000, 0x200A, 2, 2), (0x2028, 0x2029, 1, 2), (0x202F, 0x202F, 1, 2), (0x205F, 0x205F, 1, 2), (0x3000, 0x3000, 1, 3)]
    apart = [word + end for word in ("", "I", " he", "we", " WE", "don", "\u00e9") for end in
             ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "\u2019s", "' s", "'", "''ve", "'lly")]
    controls = [(0x00, 0x1F, 2, 2), (0x7F, 0x9F, 2, 2), (0x180E, 0x180E, 1, 2), (0x200B, 0x200F, 2, 1), (0x202A, 0x202E, 1, 1),
                (0x2060, 0x206F, 1, 1), (0xFEFF, 0xFEFF, 1, 1), (0xFFF9, 0xFFFD, 1, 1), (0xE000, 0xE010, 1, 1), (0xE0001, 0xE0001, 1, 1)]
    emoji = [(0x1F600, 0x1F64F, 2, 2), (0x1F3FB, 0x1F3FF, 1, 1), (0x1F1E6, 0x1F1FF, 2, 1), (0x1F300, 0x1F5FF, 1, 1),
             (0x1F900, 0x1F9FF, 1, 1), (0xE0061, 0xE007A, 3, 1), (0x2600, 0x27BF, 1, 1), (0x200D, 0x200D, 1, 1), (0xFE0F, 0xFE0F, 1, 1),
             "\U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466", "\U0001F469\U0001F3FD\u200D\U0001F680",
             "\u2764\uFE0F\u200D\U0001F525", "1\uFE0F\u20E3", "#\uFE0F\u20E3", "\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F"]
    scripts = [(0xC0, 0x17F, 7, 1), (0x391, 0x3A1, 6, 1), (0x3B1, 0x3C9, 6, 1), (0x410, 0x44F, 8, 1), (0x5D0, 0x5EA, 6, 1),
               (0x620, 0x64A, 6, 1), (0x660, 0x669, 4, 1), (0x64B, 0x652, 1, 1), (0x904, 0x939, 5, 1), (0x93E, 0x94D, 1, 1),
               (0x966, 0x96F, 3, 1), (0xE01, 0xE2E, 8, 1), (0xE31, 0xE3A, 1, 1), (0x1100, 0x1112, 3, 1), (0xAC00, 0xD7A3, 5, 1),
               (0x3041, 0x3093, 6, 1), (0x30A1, 0x30FA, 6, 1), (0x4E00, 0x9FFF, 6, 1), (0x20000, 0x2A6DF, 2, 1), (0x300, 0x36F, 2, 1),
               (0x2160, 0x2188, 2, 1), (0xBC, 0xBE, 2, 1), (0x2460, 0x249B, 2, 1), (0x1D400, 0x1D454, 4, 1), (0x1E900, 0x1E943, 4, 1)]
    runs = [(0x61, 0x7A, 1, 1500), (0x61, 0x61, 1, 1500), (0x20, 0x20, 1, 1500), (0x0A, 0x0A, 1, 1500), (0x30, 0x39, 1, 1500), (0x3D, 0x3D, 1, 1500),
            (0x61, 0x62, 600, 1), (0x61, 0x7A, 400, 1), (0x30, 0x39, 400, 1), (0x21, 0x2F, 300, 1), (0xE9, 0xE9, 1, 500),
            (0x3000, 0x3000, 1, 300), (0x1F602, 0x1F602, 1, 300), (0x4E00, 0x9FFF, 200, 1), space, lower]
    special = [END, END, END + END, "<|endoftext|", "|endoftext|>", "<|", END.upper(), lower, space, space, (0x0A, 0x0A, 1, 2)]
    return {
        "unicode": (40, [(first, last, 1, 1) for first, last in assigned()]),
        "ascii": (80, [(0x00, 0x7F, 1, 1), (0x20, 0x7E, 1, 1)]),
        "words": (40, [space] * 8 + [lower] * 8 + [upper, digit] + marks + white[:2] + apart[::3]),
        "emoji": (16, emoji + [space, lower]),
        "controls": (20, controls + white + [space, lower, digit]),
        "runs": (3, runs),
        "scripts": (24, scripts + [space] * 12 + white),
        "special": (12, special),
        "apart": (12, apart + [space, lower] + lone((0x27, 0x2019, 0x0A))),
    }


def write_grammar(file, kinds):
    with open(file, "w", encoding="ascii", newline="\n") as out:
        for name, (most, items) in kinds.items():
            print("kind", name, most, len(items), file=out)
            for item in items:
                if isinstance(item, str):
                    print("text", item.encode().hex(), file=out)
                else:
                    print("draw", *item, file=out)


def generate(kinds, index):
    """String `index`, and its kind."""
    random = Random(index)
    name, (most, items) = list(kinds.items())[index % len(kinds)]
    text = ""
    for _ in range(random.below(most + 1)):
        item = items[random.below(len(items))]
        if isinstance(item, str):
            text += item
            continue
        first, last, fresh, repeats = item
        for _ in range(1 + random.below(fresh)):
            character = chr(first + random.below(last - first + 1))
            text += character * (1 + random.below(repeats))
    return text, name


def gpt2():
    folder = ROOT / "examples/summarize/gpt2"
    points = [*range(33, 127), *range(161, 173), *range(174, 256)]
    points = {chr(byte): byte for byte in points} | {
        chr(256 + n): byte for n, byte in enumerate(byte for byte in range(256) if byte not in points)}
    ranks = {bytes(points[c] for c in token): id for token, id in json.loads((folder / "vocab.json").read_text("utf-8")).items()}
    special = {END: ranks.pop(END.encode())}
    return tiktoken.Encoding("gpt2-files", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special)


def hash_of_ids(ids):
    return Hash().add(b"".join(struct.pack("<i", id) for id in ids)).value()


def trained_merges(texts, vocabulary, least):
    """merges.txt as tokenizers' byte-level BpeTrainer finds it; `vocabulary` leaves room for the end-of-text token."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - 1, min_frequency=least, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)


def write_hashes(file, hashes):
    file.write_bytes(struct.pack(f"<{len(hashes)}I", *hashes))
    print(file, len(hashes))


def dialogsum_texts(folder):
    """Every field but the id, in order; then random parts of them, cut between characters."""
    fields = []
    for name in ("dev.csv", "test.csv"):
        with open(folder / name, newline="", encoding="utf-8") as file:
            for row in list(csv.reader(file))[1:]:
                fields += row[1:]
    data = [field.encode() for field in fields]
    parts = []
    for index in range(PARTS):
        random = Random(index)
        field = data[random.below(len(data))]

        def boundary(at):
            while at < len(field) and field[at] & 0xC0 == 0x80:
                at += 1
            return min(at, len(field))
        begin = boundary(random.below(len(field) + 1))
        parts.append(field[begin:boundary(begin + random.below(300))].decode())
    return fields, parts


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("output", nargs="?", type=pathlib.Path, default=ROOT / "tests/data")
    arguments.add_argument("--dialogsum", type=pathlib.Path)
    arguments = arguments.parse_args()
    encoding, kinds = gpt2(), grammar()

    write_grammar(arguments.output / "bpe_strings.txt", kinds)
    strings, hashes, corpus = Hash(), [], []
    for index in range(GENERATED):
        text, kind = generate(kinds, index)
        strings.add(text.encode())
        ids = encoding.encode(text, allowed_special="all") if kind == "special" else encoding.encode_ordinary(text)
        hashes.append(hash_of_ids(ids))
        if kind in ("words", "scripts", "apart", "runs") and index < 3000:
            corpus.append(text)
    write_hashes(arguments.output / "bpe_generated.bin", [strings.value(), *hashes])
    (arguments.output / "bpe_trained.txt").write_text(trained_merges(corpus, 900, 0), "utf-8", newline="\n")

    if arguments.dialogsum:
        fields, parts = dialogsum_texts(arguments.dialogsum)
        merges = trained_merges(fields, 4000, 2)
        hashes = [hash_of_ids(encoding.encode_ordinary(text)) for text in fields + parts]
        write_hashes(arguments.output / "bpe_dialogsum.bin", hashes + [Hash().add(merges.encode()).value()])


if __name__ == "__main__":
    main()
