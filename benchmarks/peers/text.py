#!/usr/bin/env python3
"""The same text work as bench_text, one thread: tiktoken and tokenizers encode, tokenizers trains a BPE, rouge_score scores (stemmed, four scores)."""
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

    hub = Tokenizer(models.BPE.from_file(str(peer.TOKENIZER / "vocab.json"), str(peer.TOKENIZER / "merges.txt")))
    hub.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)

    def train(texts=texts, vocabulary=VOCABULARY):
        trained = Tokenizer(models.BPE())
        trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocabulary, min_frequency=2, show_progress=False, special_tokens=["<|endoftext|>"],
                                                               initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))

    def score():
        for row, following in zip(rows, rows[1:]):
            scorer.score(row["summary"], following["summary"])

    def encode():
        return sum(len(tokenizer.encode_ordinary(text)) for text in texts)

    def encode_by_hub():
        return sum(len(hub.encode(text).ids) for text in texts)

    work = {"bpe/encode@tiktoken": peer.timed(encode, options.repetitions, 0.5) | {"tokens": encode()},
            "bpe/encode@tokenizers": peer.timed(encode_by_hub, options.repetitions, 0.5) | {"tokens": encode_by_hub()},
            "bpe/train": peer.timed(train, options.repetitions),
            "rouge/pairs": peer.timed(score, options.repetitions)}
    if "TERSE_BENCH_CORPUS" in os.environ:
        with open(os.environ["TERSE_BENCH_CORPUS"], encoding="utf-8", newline="\n") as file:
            lines = list(file)
        work["bpe/train_corpus"] = peer.timed(lambda: train(lines, 32000), options.repetitions, warm=False)
    peer.print_result(["tiktoken", "tokenizers", "rouge_score"], work)


if __name__ == "__main__":
    main()
