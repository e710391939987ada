#pragma once
/// Gated linear unit with SiLU (Shazeer 2020, arXiv:2002.05202), Llama's activation.
///
///   y = silu(gate) * up        silu(g) = g / (1 + exp(-g))
///
/// Shapes     x (T, 2M): gate, then up · y (T, M)
/// Precision  computed in float (double for double)
/// Backward   y again, and dx (T, 2M) from dy (T, M):  dup = dy silu(gate),  dgate = dy up silu'(gate)
