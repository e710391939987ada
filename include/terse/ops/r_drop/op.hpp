#pragma once
/// R-Drop (Liang et al. 2021, arXiv:2106.14448, equation 4; their example's `compute_kl_loss`): rows 2i and 2i+1 of the logits are twins, the same place of the same
/// sample, which dropout treated differently, and the loss pulls their distributions p and q together. V vocabulary, P >= V columns; a is R-Drop's weight.
///
///   loss[n]       = cross_entropy[n] + a * (KL(p || q) + KL(q || p)) / 2            of row n, whose twin's distribution is q
///   dlogits       = loss_scale * the gradient of sum over n of weights[n] * loss[n],  0 for v >= V:
///   dlogits[n][v] = cross_entropy's + loss_scale * a * w * (p[v] * (log p[v] - log q[v] - KL(p || q)) + p[v] - q[v])   w is the mean of both twins' weights
///
///   KL(p || q)    = sum over v < V of p[v] * (log p[v] - log q[v])
///
/// Cross-entropy, its smoothed labels and its gradient are ops/cross_entropy/op.hpp's. Where each twin has half of a sample's weight, as text::BatchStorage::add_twins
/// gives it, the sum is their example's: the mean of two cross-entropies plus a times the mean of two divergences.
///
/// Shapes     logits, dlogits (N, P), N even · targets, weights, loss (N); dlogits may be logits · loss_scale one value in the device's memory, nullptr: 1 ·
///            loss_terms.label_smoothing from 0 to below 1, loss_terms.r_drop at least 0
/// Precision  float (double for double) whatever dlogits is stored in
/// Errors     none: targets are below V where they enter
