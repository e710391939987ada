#pragma once
/// Cross-entropy of softmax, fused with its gradient. V vocabulary, P >= V columns (the padded vocabulary).
///
///   log p[n][v]   = logits[n][v] - log(sum over v < V of exp(logits[n][v]))
///   loss[n]       = -log p[n][targets[n]]                                                       in nats
///   dlogits[n][v] = weights[n] * loss_scale * (p[n][v] - (v == targets[n])),  0 for v >= V
///
/// With label smoothing e (Szegedy et al. 2016, arXiv:1512.00567, section 7; as torch.nn.functional.cross_entropy's label_smoothing) the target has 1 - e of the
/// weight, and all V, the target among them, share e:
///
///   loss[n]       = (1 - e) * -log p[n][targets[n]] + e * mean over v < V of -log p[n][v]
///   dlogits[n][v] = weights[n] * loss_scale * (p[n][v] - (1 - e) * (v == targets[n]) - e / V)
///
/// Shapes     logits, dlogits (N, P) · targets, weights, loss (N); dlogits may be logits · loss_scale one value in the device's memory, nullptr: 1 · label_smoothing
///            from 0 to below 1
/// Precision  float (double for double) whatever dlogits is stored in
/// Errors     none: targets are below V where they enter
