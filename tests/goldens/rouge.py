#!/usr/bin/env python3
"""Goldens of tests/parity/rouge.cpp, by rouge_score 0.1.2 and nltk 3.10: rouge.json and rouge.f64 in the output folder.

The texts are generated here and in the test by the same few lines (SplitMix64 over the pieces of rouge.json), so only
scores and hashes are stored.
"""
import json
import struct
import sys
from pathlib import Path

import nltk
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

PAIRS, RANDOM_WORDS, CHUNK = 2000, 200_000, 1000

RULE_WORDS = """
caresses ponies ties caress cats feed agreed plastered bled motoring sing conflated troubled sized hopping tanned falling
hissing fizzed failing filing happy sky enjoy enjoyment spied died tied flies dies lies relational conditional rational valency
hesitancy digitizer conformably radically differently vilely analogously vietnamization predication operator feudalism
decisiveness hopefulness callousness formality sensitivity sensibility triplicate formative formalize electricity electrical
hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment
dependent adoption homologous communism activate angularity effective bowdlerize probate rate cease controlling rolling
skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed succeed proceeded exceeding
geology archaeology theology philology analogy logic usefully hopefully carefully awfully finally personally rally
summarize summarizing summarized summarization meetings meeting was this that they there yes syzygy toy boy by say saying
yyyy ayyy eyyed yying aing bing ing ied ies eed lled ssing zzing xxed fizz abilities communication oscillators generalizations
national optional station nation union onion million ions motion possible terrible able table ement cement agreement moment
ousness sous alize size prize seize ative native icate delicate iciti ical topical ful awful ness business 1990s 2nds 3rded
""".split()

PIECES = RULE_WORDS[:230] + [
    "the", "a", "to", "and", "of", "in", "is", "will", "not", "meet", "Anna", "Tom", "Person1", "#Person2#", "10:30", "3.5",
    "don't", "It's", "UPPER", "MiXeD", "re-do", "e-mail", "x", "y", "I", "2024", "007",
    "\n", "\n", "\n\n", "\r\n", " ", "  ", "\t", ".", ",", "!", "?", "…", "—", "_", "\u00a0", "\u2028", "\x0b", "\x85",
    "\u0130stanbul", "\u212aelvin", "wee\u212ay", "naïve", "café", "ſtill", "ß", "ﬁne", "Ångström", "Ωmega", "日本語", "会議は三時", "привет",
    "мир", "مرحبا", "שלום", "हिन्दी", "🎉", "👩‍👩‍👧", "e\u0301", "１２３", "²", "Ⅷ", "ａｂｃ",
]


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) % bound


def lengths(index, random):
    """Words of a pair's reference: mostly a summary's, sometimes none, a few very long."""
    if index % 50 == 0:
        return 0
    if index % 400 == 7:
        return 500 + random.below(1000)
    if index % 40 == 3:
        return 64 + random.below(130)
    return 1 + random.below(40)


def pair(index):
    random = SplitMix64(index)
    # A narrow choice of pieces repeats words, which the counting has to get right.
    width = 1 + random.below(12) if index % 4 == 0 else len(PIECES)
    start = random.below(len(PIECES))
    piece = lambda: PIECES[(start + random.below(width)) % len(PIECES)]
    separator = ["", " ", " ", " "][random.below(4)]
    line = 2 + random.below(30)
    reference = []
    for _ in range(lengths(index, random)):
        reference.append("\n" if random.below(line) == 0 else piece())
    prediction = []
    change = 1 + random.below(10)
    for text in reference:
        action = random.below(10 * change)
        if action > 7:
            prediction.append(text)
        elif action < 3:
            prediction.append(piece())
        elif action < 5:
            prediction += [text, piece()]
        elif action == 5 and prediction:
            prediction.insert(random.below(len(prediction)), text)
    if index % 77 == 0:
        prediction = []
    if index % 50 == 25:
        prediction = [piece() for _ in range(1 + random.below(30))]
    return separator.join(reference), separator.join(prediction)


def random_word(index, stems, suffixes):
    random = SplitMix64(1_000_000 + index)
    if index % 2 == 0:
        word = stems[random.below(len(stems))]
        for _ in range(1 + random.below(2)):
            word += suffixes[random.below(len(suffixes))]
        return word
    letters = "aeiouyyylstzwxbdnr1"
    word = "".join(letters[random.below(len(letters))] for _ in range(1 + random.below(9)))
    return word + (suffixes[random.below(len(suffixes))] if random.below(3) else "")


def fnv1a(text, value=0xCBF29CE484222325):
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    return value


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "data")
    stemmer = PorterStemmer()
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)

    scores = bytearray()
    for index in range(PAIRS):
        result = scorer.score(*pair(index))
        for kind in ["rouge1", "rouge2", "rougeL", "rougeLsum"]:
            scores += struct.pack("<3d", *result[kind])
    (out / "rouge.f64").write_bytes(scores)

    stems = """b tr y toy oat tree troubl private hop fil at fall his fizz oscill gener a e i o u ab electr form relat sens commun
        depend adjust homolog archae ge the vietnam dig cal log al ful ab yy ayy crab control rol an er""".split()
    suffixes = """s es ies ied sses ss eed ed ing y ational tional ation enci anci izer bli abli alli entli eli ousli ization ator
        alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able
        ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e ll l at bl iz ly ally ology ability ying""".split()
    chunks = []
    for start in range(0, RANDOM_WORDS, CHUNK):
        value = fnv1a("")
        for index in range(start, start + CHUNK):
            value = fnv1a(stemmer.stem(random_word(index, stems, suffixes)) + "\n", value)
        chunks.append(f"{value:016x}")

    golden = {
        "judge": f"rouge_score 0.1.2, nltk {nltk.__version__}",
        "pieces": PIECES,
        "pairs": PAIRS,
        "first_pairs": [pair(index) for index in range(1, 6)],
        "stems_of": {word: stemmer.stem(word) for word in RULE_WORDS},
        "word_stems": stems,
        "word_suffixes": suffixes,
        "words_in_a_chunk": CHUNK,
        "stem_chunks": chunks,
    }
    (out / "rouge.json").write_text(json.dumps(golden, indent=0) + "\n")


if __name__ == "__main__":
    main()
