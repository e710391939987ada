#pragma once
/// Cross-entropy of softmax, fused with its gradient. V vocabulary, P >= V columns (the padded vocabulary).
///
///   loss[n]      = log(sum over v < V of exp(logits[n][v])) - logits[n][targets[n]]             in nats
///   dlogits[n][v] = weights[n] * loss_scale * (softmax(logits[n])[v] - (v == targets[n])),  0 for v >= V
///
/// Shapes     logits, dlogits (N, P) · targets, weights, loss (N); dlogits may be logits · loss_scale one value in the device's memory, nullptr: 1
/// Precision  float (double for double) whatever dlogits is stored in
/// Errors     none: targets are below V where they enter
