"""transformers' `generate`: greedy ids, and the distributions that sampling draws from."""
import numpy
import torch
from transformers import GenerationConfig

from .training import random_ids
from .weights import CONFIGURATIONS, build, random_unit


def greedy(model, prompt, new_tokens):
    """(new ids, smallest gap between the two best logits of any step), the prompt alone in its batch."""
    end = model.config.eos_token_id
    out = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                         do_sample=False, max_new_tokens=new_tokens, eos_token_id=end, pad_token_id=end,
                         return_dict_in_generate=True, output_logits=True)
    best = torch.stack(out.logits).flatten(0, 1).topk(2).values
    return out.sequences[0, len(prompt):].tolist(), float((best[:, 0] - best[:, 1]).min())


def greedy_prompts(configuration="G", count=20, new_tokens=64, gap=1e-3, ended=6, distinct=16):
    """`count` prompts whose every step is decided by more than `gap`; `ended` of them stop at the end of text, the
    others are cut at `new_tokens` with at least `distinct` ids."""
    sizes = CONFIGURATIONS[configuration]
    model = build(configuration, spread=True)
    generator = numpy.random.default_rng(5)
    kept = {True: [], False: []}
    wanted = {True: ended, False: count - ended}
    tried = 0
    while any(len(kept[key]) < wanted[key] for key in kept):
        tried += 1
        prompt = random_ids(generator, sizes["vocabulary"] - 1, int(generator.integers(1, 49)))
        ids, smallest = greedy(model, prompt, new_tokens)
        ends = ids[-1] == sizes["vocabulary"] - 1
        if smallest > gap and (len(set(ids)) >= distinct or ends and len(ids) >= 4) and len(kept[ends]) < wanted[ends]:
            kept[ends].append({"prompt": prompt, "ids": ids, "gap": smallest})
        if tried > 500:
            raise RuntimeError(f"too few prompts: {len(kept[True])} ended, {len(kept[False])} not")
    print(f"greedy: {tried} prompts tried, {count} kept, "
          f"{numpy.mean([len(set(p['ids'])) for p in kept[False]]):.1f} distinct ids of {new_tokens}")
    return {"model": configuration, "spread": True, "new_tokens": new_tokens, "end_of_text": sizes["vocabulary"] - 1,
            "prompts": kept[False] + kept[True]}


def warpers(model, temperature, top_k, top_p, min_p, typical):
    """The processors `generate` itself would build, in its order."""
    options = GenerationConfig(do_sample=True, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p or None,
                               typical_p=typical)
    return model._get_logits_processor(options, input_ids_seq_length=1)


def shares(scores, keep):
    """The probabilities of those that are kept, 0 for the others."""
    weights = numpy.where(keep, numpy.exp(scores - scores[keep].max()), 0)
    return weights / weights.sum()


def nucleus(scores, keep, top_p):
    """(what top-p keeps of `keep`, how far the cut is from being another). A cut among equal logits has no margin:
    transformers sorts unstably there."""
    keep = keep.copy()
    order = numpy.argsort(numpy.where(keep, scores, -numpy.inf), kind="stable")
    weights = shares(scores, keep)[order]
    cumulative = numpy.cumsum(weights)
    removed = cumulative <= 1 - top_p
    removed[-1] = False
    keep[order[removed]] = False
    first = int((~removed).argmax())
    if first and keep[order[first]] and scores[order[first]] == scores[order[first - 1]] and weights[first - 1] > 0:
        return keep, 0.0
    return keep, float(numpy.abs(cumulative - (1 - top_p)).min())


def likely(scores, keep, min_p):
    """(what min-p keeps of `keep`, margin)."""
    ratio = numpy.exp(scores - scores[keep].max())
    return keep & (ratio >= min_p), float(numpy.abs(ratio / min_p - 1)[keep].min())


def typical_ones(scores, keep, mass):
    """(what typical keeps of `keep`, margin: of the sums, and of the distances around the last one's)."""
    probabilities = shares(scores, keep)
    surprise = numpy.where(keep, -numpy.log(numpy.where(keep, probabilities, 1)), numpy.inf)
    distances = numpy.abs(surprise - (probabilities[keep] * surprise[keep]).sum())
    levels, level = numpy.unique(distances[keep], return_inverse=True)
    nearer = numpy.cumsum(numpy.bincount(level, probabilities[keep]))
    cut = min(int((nearer < mass).sum()), len(levels) - 1)
    gaps = numpy.diff(levels)[max(cut - 1, 0):cut + 1]
    return distances <= levels[cut], float(min([numpy.abs(nearer - mass).min(), *gaps]))


def filtered(row, temperature, top_k, top_p, min_p, typical):
    """(ids kept, margin of the cuts): the rules written out, for choosing vectors no rounding decides."""
    scores = row.astype(numpy.float64) / temperature
    keep, margins = numpy.ones(len(row), bool), [1.0]
    if top_k:
        keep = scores >= numpy.sort(scores)[-top_k]
    for rule, value, off in ((nucleus, top_p, 1), (likely, min_p, 0), (typical_ones, typical, 1)):
        if value != off:
            keep, margin = rule(scores, keep, value)
            margins.append(margin)
    return numpy.flatnonzero(keep), min(margins)


def filters(count=40, vocabulary=211):
    """`count` vectors of logits under each setting: ids kept and their probabilities, packed back to back.
    Every fourth vector is rounded to quarters, so ties stand at the k-th place."""
    model = build("G")
    settings = [(0.7, top_k, top_p, 0.0, 1.0) for top_k in (0, 5, 50) for top_p in (1.0, 0.9, 0.5)]
    settings += [(1.3, 50, 0.9, 0.0, 1.0)]
    settings += [(0.7, 0, 1.0, min_p, typical) for min_p, typical in ((0.02, 1.0), (0.3, 1.0), (0.0, 0.9), (0.0, 0.2), (0.02, 0.5))]
    settings += [(1.3, top_k, top_p, min_p, typical) for top_k, top_p in ((50, 1.0), (0, 0.9)) for min_p, typical in ((0.05, 1.0), (0.0, 0.7))]
    settings += [(1.3, 50, 0.9, 0.05, 0.7)]
    logits, candidate = [], 0
    while len(logits) < count:
        row = random_unit(0, f"logits.{candidate}", vocabulary) * numpy.float32(2.0 ** (1 + len(logits) % 4))
        if len(logits) % 4 == 3:
            row = numpy.floor(row * 4) / numpy.float32(4)
        candidate += 1
        if all(filtered(row, *setting)[1] > 1e-5 for setting in settings):
            logits.append(row)
    logits = numpy.stack(logits)
    ids, probabilities, starts = [], [], [0]
    for setting in settings:
        scores = warpers(model, *setting)(torch.zeros(count, 1, dtype=torch.long), torch.from_numpy(logits))
        for row, kept in zip(logits, torch.softmax(scores, dim=-1).numpy()):
            chosen = numpy.flatnonzero(kept)
            expected = filtered(row, *setting)[0]
            assert numpy.array_equal(chosen, expected), (setting, chosen, expected)
            ids.append(chosen.astype(numpy.uint8)), probabilities.append(kept[chosen])
            starts.append(starts[-1] + len(chosen))
    tensors = {"logits": logits, "settings": numpy.array(settings, numpy.float32),
               "starts": numpy.array(starts, numpy.int32), "ids": numpy.concatenate(ids),
               "probabilities": numpy.concatenate(probabilities).astype(numpy.float32)}
    print("filters: processors", [type(p).__name__ for p in warpers(model, *settings[-1])],
          f"{len(probabilities)} distributions, {starts[-1]} probabilities")
    return tensors
