#!/usr/bin/env python3
"""Goldens of greedy decoding under each rule and of beam search, from transformers (tests/goldens/README.md).

  decoding.py [FOLDER]         writes decoding.json into FOLDER (default: tests/data), a few prompts a case
  decoding.py --full FOLDER    the same cases with every prompt
"""
import argparse
import itertools
import pathlib

from gpt_judge import strategies

DATA = pathlib.Path(__file__).parent.parent / "data"
RULES = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "min_new_tokens": 11, "forced": [7, 200],
         "bad_words_ids": [[103], [156, 129], [25, 28, 25]]}   # frequent in what the model writes unasked


def greedy_cases():
    names = [(), *((name,) for name in RULES), *itertools.combinations(RULES, 2), tuple(RULES)]
    return [*({name: RULES[name] for name in chosen} for chosen in names),
            {"no_repeat_ngram_size": 2},
            {"bad_words_ids": RULES["bad_words_ids"], "forced": [103, 7]},   # what is forced is written, bad or not
            {"max_new_tokens": 28, "long": True}]   # 28: up to the context's end


def beam_cases():
    neutral = {"length_penalty": 1.0, "early_stopping": False, "no_repeat_ngram_size": 0, "min_new_tokens": 0}
    sweep = [dict(zip(neutral, values)) for values in
             itertools.product((0.6, 1.0, 2.0), (False, True, "never"), (0, 3), (0, 11))]
    sweep = [{"num_beams": beams, **{name: value for name, value in case.items() if value != neutral[name]}}
             for beams in (2, 4, 8) for case in sweep]
    best = {"num_beams": 4, "num_return_sequences": 4}
    return sweep + [
        best, {**best, "length_penalty": 2.0, "early_stopping": True, "no_repeat_ngram_size": 3},
        {**best, "length_penalty": 0.6, "early_stopping": "never"}, {**best, "repetition_penalty": 1.3},
        {**best, "max_new_tokens": 5}, {**best, "max_new_tokens": 1},
        {"num_beams": 4, "length_penalty": 0.0, "early_stopping": "never"}, {"num_beams": 4, "length_penalty": -1.0, "early_stopping": "never"},
        *({"num_beams": 4, name: RULES[name]} for name in ("repetition_penalty", "bad_words_ids", "forced")),
        {"num_beams": 4, **RULES}, {"num_beams": 4, "max_new_tokens": 5}, {"num_beams": 4, "max_new_tokens": 1},
        *({"num_beams": 4, "early_stopping": stop, "max_new_tokens": new, "long": True} for stop in (False, "never") for new in (28,))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=DATA)
    parser.add_argument("--full", type=pathlib.Path, metavar="FOLDER")
    options = parser.parse_args()
    strategies.write((options.full or options.folder) / "decoding.json", greedy_cases() + beam_cases(),
                     strategies.SHORT if options.full else 7)


if __name__ == "__main__":
    main()
