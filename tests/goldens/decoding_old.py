#!/usr/bin/env python3
"""Goldens of diverse beam search and contrastive search, from the last transformers that has both (tests/goldens/README.md).

  decoding_old.py [FOLDER]         writes decoding_old.json into FOLDER (default: tests/data), a few prompts a case
  decoding_old.py --full FOLDER    the same cases with every prompt
"""
import argparse
import itertools
import pathlib

from gpt_judge import strategies

DATA = pathlib.Path(__file__).parent.parent / "data"


def cases():
    diverse = [{"num_beams": beams, "num_beam_groups": groups, "diversity_penalty": penalty}
               for beams, groups, penalty in itertools.product((4, 6), (2, 3), (0.5, 1.0)) if beams % groups == 0]
    six = {"num_beams": 6, "num_beam_groups": 3, "diversity_penalty": 0.5}
    contrastive = [{"penalty_alpha": 0.6, "top_k": 4}, {"penalty_alpha": 0.3, "top_k": 8}]
    rules = {"no_repeat_ngram_size": 3, "min_new_tokens": 11}
    return [*diverse, *({**case, **rules} for case in diverse), *({**case, "num_return_sequences": case["num_beams"]} for case in diverse),
            *({**six, "length_penalty": penalty, "early_stopping": stop}
              for penalty, stop in itertools.product((0.6, 1.0, 2.0), (False, True, "never")) if (penalty, stop) != (1.0, False)),
            {**six, "max_new_tokens": 5}, {**six, "max_new_tokens": 28, "long": True},
            *contrastive, *({**case, **rules} for case in contrastive), *({**case, "max_new_tokens": 28, "long": True} for case in contrastive)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=DATA)
    parser.add_argument("--full", type=pathlib.Path, metavar="FOLDER")
    options = parser.parse_args()
    strategies.write((options.full or options.folder) / "decoding_old.json", cases(), strategies.SHORT if options.full else 7)


if __name__ == "__main__":
    main()
