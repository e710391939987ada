#!/usr/bin/env python3
"""PyTorch's ops at GPT-2 124M's sizes: the same work as bench_ops, under the same names.

Where PyTorch has several ways, the faster one stands here: scaled_dot_product_attention on the batch padded to its longest document,
AdamW fused. Rows are packed as terse's are, which a PyTorch program would have to arrange for itself.
"""
import torch
import torch.nn.functional as functional

import peer

C, HEADS, VOCABULARY, PADDED, CONTEXT = 768, 12, 50257, 50304, 1024
D, HEAD_ROWS, DECODE_ROWS = C // HEADS, 320, 32
LENGTHS = [int(n) for n in (peer.ROOT / "benchmarks" / "ops" / "lengths.inc").read_text().split(",")]
T, B = sum(LENGTHS), len(LENGTHS)
BF16 = torch.bfloat16


def values(*shape, dtype=torch.float32):
    return (torch.rand(*shape) * 2 - 1).to(dtype)


def gradient_of(make_output, *inputs):
    """A call that runs only the backward pass: gradients are returned, not added up."""
    for tensor in inputs:
        tensor.requires_grad_()
    output = make_output()
    slope = torch.ones_like(output)
    return lambda: torch.autograd.grad(output, inputs, slope, retain_graph=True)


def matmuls():
    for name, width, out in (("qkv", C, 3 * C), ("projection", C, C), ("up", C, 4 * C), ("down", 4 * C, C)):
        yield f"matmul/{name}/fp32", lambda x=values(T, width), w=values(width, out), y=torch.empty(T, out): torch.mm(x, w, out=y)
    yield "matmul/head/fp32", lambda x=values(HEAD_ROWS, C), w=values(PADDED, C), y=torch.empty(HEAD_ROWS, PADDED): torch.mm(x, w.t(), out=y)
    yield "matmul/up_input_gradient/fp32", lambda x=values(T, 4 * C), w=values(C, 4 * C), y=torch.empty(T, C): torch.mm(x, w.t(), out=y)
    yield "matmul/up_weight_gradient/fp32", lambda x=values(T, C), dy=values(T, 4 * C), dw=torch.zeros(C, 4 * C): dw.addmm_(x.t(), dy)
    yield "matmul/up/bf16", lambda x=values(T, C, dtype=BF16), w=values(C, 4 * C, dtype=BF16): torch.mm(x, w)
    yield "matmul/up_weight_gradient/bf16", lambda x=values(T, C, dtype=BF16), dy=values(T, 4 * C, dtype=BF16): torch.mm(x.t(), dy)
    for rows in (1, 8, 32, 288):
        for name, (In, Out) in {"qkv": (C, 3 * C), "projection": (C, C), "up": (C, 4 * C), "down": (4 * C, C)}.items():
            yield f"invariant_matmul/{name}/fp32/rows:{rows}", lambda x=values(rows, In), w=values(In, Out): torch.mm(x, w)
            if name in ("up", "down"):
                yield f"invariant_matmul/{name}/bf16/rows:{rows}", lambda x=values(rows, In, dtype=BF16), w=values(In, Out, dtype=BF16): torch.mm(x, w)
        yield f"invariant_matmul/head/fp32/rows:{rows}", lambda x=values(rows, C), w=values(PADDED, C): torch.mm(x, w.t())
        yield f"invariant_matmul/head/bf16/rows:{rows}", lambda x=values(rows, C, dtype=BF16), w=values(PADDED, C, dtype=BF16): torch.mm(x, w.t())


def layers():
    x, gain, bias = values(T, C), values(C), values(C)
    yield "layer_norm/forward/fp32", lambda: functional.layer_norm(x, (C,), gain, bias)
    own, own_gain, own_bias = x.clone(), gain.clone(), bias.clone()
    yield "layer_norm/backward/fp32", gradient_of(lambda: functional.layer_norm(own, (C,), own_gain, own_bias), own, own_gain, own_bias)
    wide = values(T, 4 * C)
    yield "gelu/forward/fp32", lambda: functional.gelu(wide, approximate="tanh")
    yield "gelu/forward/bf16", lambda x=wide.to(BF16): functional.gelu(x, approximate="tanh")
    own_wide = wide.clone()
    yield "gelu/backward/fp32", gradient_of(lambda: functional.gelu(own_wide, approximate="tanh"), own_wide)
    branch = values(T, C)
    yield "residual/fp32", lambda: x + (branch + bias)
    yield "residual_dropout/fp32", lambda: x + functional.dropout(branch + bias, 0.1)
    yield "dropout/fp32", lambda: functional.dropout(x, 0.1)
    yield "reduce/bias_gradient/fp32", lambda: wide.sum(0)
    yield "cast/fp32_to_bf16", lambda: wide.to(BF16)
    yield "cast/fp32_to_fp16", lambda: wide.to(torch.half)
    yield "cast/bf16_to_fp32", lambda x=wide.to(BF16): x.float()


def attentions():
    longest = max(LENGTHS)
    for name, dtype, dropout in (("/fp32", torch.float32, 0.0), ("_dropout/fp32", torch.float32, 0.1), ("/bf16", BF16, 0.0)):
        q, k, v = (values(B, HEADS, longest, D, dtype=dtype) for _ in range(3))

        def attend(q=q, k=k, v=v, dropout=dropout):
            return functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        yield f"attention/forward{name}", attend
        if dtype == torch.float32:
            yield f"attention/backward{name}", gradient_of(attend, q, k, v)
    for name, dtype in (("fp32", torch.float32), ("bf16", BF16)):
        keys, queries = values(DECODE_ROWS, HEADS, CONTEXT, D, dtype=dtype)[:, :, :256], values(DECODE_ROWS, HEADS, 1, D, dtype=dtype)
        yield f"cached_attention/{name}", lambda q=queries, k=keys, v=keys.clone(): functional.scaled_dot_product_attention(q, k, v)


def tables():
    tokens, positions = values(PADDED, C), values(CONTEXT, C)
    ids = torch.arange(T) * 7919 % VOCABULARY
    places = torch.cat([torch.arange(n) for n in LENGTHS])
    yield "embedding/forward/fp32", lambda: functional.embedding(ids, tokens) + functional.embedding(places, positions)
    dy = values(T, C)

    def backward():
        tokens.index_add_(0, ids, dy)
        positions.index_add_(0, places, dy)
    yield "embedding/backward/fp32", backward
    logits = values(HEAD_ROWS, VOCABULARY).requires_grad_()
    targets = torch.arange(HEAD_ROWS) * 7919 % VOCABULARY
    yield "cross_entropy/fp32", lambda: torch.autograd.grad(functional.cross_entropy(logits, targets), logits)
    yield "reduce/sum_of_squares/fp32", lambda: torch.linalg.vector_norm(tokens)
    weight = torch.nn.Parameter(values(PADDED, C))
    weight.grad = values(PADDED, C)
    yield "adamw/fp32", torch.optim.AdamW([weight], betas=(0.9, 0.95), weight_decay=0.1, fused=True).step


def samples():
    logits = 10 * values(DECODE_ROWS, VOCABULARY)
    yield "sample/greedy/fp32", lambda: (logits.argmax(-1), logits.logsumexp(-1))

    def top_k():
        scores, ids = (logits / 0.7).topk(50)
        return ids.gather(1, torch.multinomial(scores.softmax(-1), 1)), logits.logsumexp(-1)
    yield "sample/top_k/fp32", top_k

    def top_p():
        probabilities, ids = (logits / 0.7).softmax(-1).sort(descending=True)
        kept = probabilities.masked_fill(probabilities.cumsum(-1) - probabilities >= 0.9, 0)
        return ids.gather(1, torch.multinomial(kept, 1)), logits.logsumexp(-1)
    yield "sample/top_p/fp32", top_p


def main():
    options = peer.arguments(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    work = {}
    for group in (matmuls, layers, attentions, tables, samples):
        for name, body in group():
            work[name] = peer.timed(body, options.repetitions, 0.1 if options.quick else 0.5)
    peer.print_result(["torch"], work)


if __name__ == "__main__":
    main()
