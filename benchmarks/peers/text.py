#!/usr/bin/env python3
"""The same text work as bench_text, one thread: tiktoken encodes, tokenizers trains a BPE, rouge_score scores (stemmed, four scores)."""
import csv
import os

os.environ["RAYON_NUM_THREADS"] = "1"  # tokenizers would take every core; read when it is loaded

from rouge_score.rouge_scorer import RougeScorer  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # noqa: E402

import peer  # noqa: E402
from gpt_judge.dialogues import load_tokenizer  # noqa: E402

ROWS, VOCABULARY = 500, 4096


def main():
    options = peer.arguments(__doc__).parse_args()
    with open(options.csv, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:ROWS]
    texts = [row["dialogue"] for row in rows]
    tokenizer = load_tokenizer(peer.TOKENIZER)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)

    def train():
        trained = Tokenizer(models.BPE())
        trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False, special_tokens=["<|endoftext|>"],
                                                               initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))

    def score():
        for row, following in zip(rows, rows[1:]):
            scorer.score(row["summary"], following["summary"])

    def encode():
        return sum(len(tokenizer.encode_ordinary(text)) for text in texts)

    work = {"bpe/encode": peer.timed(encode, options.repetitions, 0.5) | {"tokens": encode()},
            "bpe/train": peer.timed(train, options.repetitions),
            "rouge/pairs": peer.timed(score, options.repetitions)}
    peer.print_result(["tiktoken", "tokenizers", "rouge_score"], work)


if __name__ == "__main__":
    main()
