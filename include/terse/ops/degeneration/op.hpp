#pragma once
/// How like an earlier token's hidden state a token's is: the degeneration penalty of contrastive search (Su et al. 2022, "A Contrastive Framework for Neural
/// Text Generation", arXiv:2202.06417).
///
///   directions[slot of r][position of r] = hidden[r] / |hidden[r]|, for every row r; where |hidden[r]| is 0, 0
///   penalties[a] = max over j < position of r of directions[source of j][j] · hidden[r] / |hidden[r]|, where r = ask[a]; of a text's first token -1
///
/// Rows and where texts stand are those of cached attention (ops/cached_attention/op.hpp), and `directions` is filled as its cache is.
///
/// Shapes     hidden (R, C) · directions (slots * context, C) · ask, penalties (A)
/// Precision  directions, penalties and sums in the wide type of hidden's
/// Order      a penalty depends on its text alone, not on the slots it stands in: batch-invariant
/// Errors     none at run time

#include <span>

#include <terse/ops/cached_attention/op.hpp>
