"""Texts that transformers' `generate` decodes by a strategy, of those prompts only whose answer is more than rounding."""
import json
import multiprocessing

import numpy
import torch
import transformers

from .training import random_ids
from .weights import CONFIGURATIONS, build, named_tensors, random_unit

MODEL = "G"
END = CONFIGURATIONS[MODEL]["vocabulary"] - 1
SHORT, LONG = 50, 8      # prompts of 1 ... 48 ids, and those of LONG_LENGTH: 28 new ids fill the context
LONG_LENGTH = 100
GAP = 1e-3               # between the two best scores of a greedy step
SCORE_GAP = 1e-4         # between two judges' scores of a text, relative where they exceed 1
judges = None            # a process' own: a model takes longer to send than to build


def prompts():
    generator = numpy.random.default_rng(17)
    lengths = [1, 2, 48] + generator.integers(1, 49, SHORT - 3).tolist() + [LONG_LENGTH] * LONG
    return [random_ids(generator, END, length) for length in lengths]


def build_judges():
    """The model, and two of the same function that round otherwise: in double; with fused attention and each weight
    moved by up to a millionth."""
    global judges
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    other = build(MODEL, spread=True, attention="sdpa")
    with torch.no_grad():
        for name, parameter in named_tensors(other):
            parameter.mul_(1 + 1e-6 * torch.from_numpy(random_unit(2, name, parameter.numel())).view_as(parameter))
    exact = build(MODEL, spread=True, dtype=torch.float64)
    exact.lm_head.register_forward_hook(lambda module, inputs, logits: logits.float())   # what generate reads; some of it takes no other
    judges = build(MODEL, spread=True), exact, other


def decode(model, batch, options):
    """A prompt's texts [(new ids up to and with the end of text, score)], best first, for each prompt of the batch; and
    the smallest gap between the two best scores of a greedy step. Shorter prompts are padded on the left."""
    options = dict(options)
    forced = options.pop("forced", [])
    length = max(map(len, batch))

    def allowed(_, ids):
        step = len(ids) - length
        return forced[step:step + 1] or list(range(END + 1))

    out = model.generate(torch.tensor([[END] * (length - len(prompt)) + prompt for prompt in batch]),
                         attention_mask=torch.tensor([[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in batch]),
                         do_sample=False, use_cache=True, eos_token_id=END, pad_token_id=END,
                         prefix_allowed_tokens_fn=allowed if forced else None,
                         return_dict_in_generate=True, output_scores=True, **options)
    rows = [row[:row.index(END) + 1] if END in row else row for row in out.sequences[:, length:].tolist()]
    scores = out.sequences_scores.tolist() if "num_beams" in options else [None] * len(rows)
    best = options.get("num_return_sequences", 1)
    texts = [list(zip(rows[p:p + best], scores[p:p + best])) for p in range(0, len(rows), best)]
    if "num_beams" in options or "penalty_alpha" in options:
        return texts, numpy.inf
    steps = torch.cat(out.scores).topk(2).values
    return texts, float((steps[:, 0] - steps[:, 1]).min())


def agree(texts, other):
    """The same ids, and scores as near as rounding leaves them."""
    return all(ids == ids2 and (score is None or abs(score - score2) < SCORE_GAP * max(1, abs(score)))
               for (ids, score), (ids2, score2) in zip(texts, other))


def run_case(task):
    """The case: those of its prompts on whose every id all judges agree and where no greedy step is close. The texts
    are of one prompt a call; the other judges run them as one padded batch, which rounds otherwise too."""
    options, order = task
    batch = [prompts()[index] for index in order]
    others = [decode(judge, batch, options)[0] for judge in judges[1:]]
    texts = []
    for p, index in enumerate(order):
        (found,), gap = decode(judges[0], [batch[p]], options)
        if gap > GAP and all(agree(found, other[p]) for other in others):
            texts += [{"prompt": index, "ids": ids, "score": score if score is None else float(f"{score:.9g}")}
                      for ids, score in found]
    return {"options": options, "texts": texts}


def tasks(cases, count):
    """Each case with its prompts. Case c begins with prompt c·count, so that a few a case are all of them over the file."""
    for c, options in enumerate(cases):
        options = {"max_new_tokens": 64, **options}
        if options.pop("long", False):
            yield options, list(range(SHORT, SHORT + LONG))
        else:
            yield options, sorted((c * count + k) % SHORT for k in range(count))


def write(path, cases, count):
    """The cases with `count` prompts each, less those that rounding decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    work = list(tasks(cases, count))
    with multiprocessing.get_context("spawn").Pool(2, build_judges) as pool:
        done = pool.map(run_case, work, chunksize=1)
    texts = [text for case in done for text in case["texts"]]
    kept = sum(len({text["prompt"] for text in case["texts"]}) for case in done)
    path.write_text(json.dumps({"transformers": transformers.__version__, "model": MODEL, "spread": True,
                                "end_of_text": END, "prompts": prompts(), "cases": done}, separators=(",", ":")) + "\n")
    path.chmod(0o644)
    print(f"{path.name}: {len(done)} cases, {kept} of {sum(len(order) for _, order in work)} prompts decided; "
          f"{sum(text['ids'][-1] == END for text in texts)} of {len(texts)} texts end; {path.stat().st_size / 2**10:.0f} KiB")
