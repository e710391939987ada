#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include <terse/device/cpu.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/logits/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::inline TERSE_ISA {
namespace logits {

/// Calls visit(v) for each v in [first, n) with reaches(x[v]), ascending. `reaches` must grow with its argument: where a block's
/// largest value doesn't reach, none does, so that the few best of a vocabulary are found at the speed of a maximum.
template <class S, class Reaches, class Visit>
void for_each_reaching(const S* x, Index first, Index n, Reaches&& reaches, Visit&& visit) {
  constexpr Index block = 256;
  for (; first < n; first += block) {
    const Index end = std::min(n, first + block);
    if (!reaches(largest_of(x + first, end - first))) continue;
    for (Index v = first; v < end; ++v)
      if (reaches(x[v])) visit(v);
  }
}

template <class S>
void edit(S* row, Index vocabulary, const LogitEdit& edit) {
  constexpr S never = -std::numeric_limits<S>::infinity();
  S& logit = row[edit.id];
  const S amount = static_cast<S>(edit.amount), before = logit;
  switch (edit.kind) {
    case LogitEdit::Kind::ban: logit = never; break;
    case LogitEdit::Kind::only: std::fill_n(row, vocabulary, never), logit = before == never ? S{0} : before; break;
    case LogitEdit::Kind::add: logit += amount; break;
    case LogitEdit::Kind::penalize: logit = before < 0 ? before * amount : before / amount; break;
  }
}

/// The largest of n >= out.size() values, `best` having room for as many.
template <class S>
void best_of(const S* x, Index n, std::span<Candidate<S>> out, Candidate<S>* best) {
  const auto count = static_cast<Index>(out.size());
  constexpr TokenId none = std::numeric_limits<TokenId>::max();
  const auto better = [](const Candidate<S>& a, const Candidate<S>& b) { return a.score > b.score || (a.score == b.score && a.id < b.id); };
  std::fill_n(best, count, Candidate<S>{-std::numeric_limits<S>::infinity(), none});  // a heap: the worst of the best so far stands first
  for_each_reaching(x, 0, n, [best](S value) { return value >= best->score; }, [&](Index v) {
    const Candidate<S> candidate{x[v], static_cast<TokenId>(v)};
    if (!better(candidate, *best)) return;
    std::pop_heap(best, best + count, better);
    best[count - 1] = candidate;
    std::push_heap(best, best + count, better);
  });
  std::sort(best, best + count, better);
  std::transform(best, best + count, out.begin(), [](const Candidate<S>& found) { return found.id == none ? Candidate<S>{std::numeric_limits<S>::quiet_NaN(), 0} : found; });
}

}  // namespace logits
}  // namespace terse::ops::inline TERSE_ISA

namespace terse::ops {

/// In place; see ops/logits/op.hpp.
template <Index vocabulary, Real S, Index P>
void log_softmax(const Cpu& cpu, Rows<S, P> rows) {
  static_assert(vocabulary <= P);
  cpu.parallel_for(rows.rows, [=](Index b) {
    S* const row = rows[b].data;
    const S log_sum = softmax_statistics(row, vocabulary).log_sum();
    if (!std::isfinite(log_sum)) return void(std::fill_n(row, vocabulary, std::numeric_limits<S>::quiet_NaN()));
#pragma omp simd
    for (Index v = 0; v < vocabulary; ++v) row[v] -= log_sum;
  });
}

/// Each row's edits in their order, in place; see ops/logits/op.hpp.
template <Index vocabulary, Real S, Index P>
void edit(const Cpu& cpu, LogitEdits edits, Rows<S, P> rows) {
  static_assert(vocabulary <= P);
  cpu.parallel_for(rows.rows, [=](Index b) {
    const auto at = static_cast<std::size_t>(b);
    for (auto e = edits.starts[at]; e < edits.starts[at + 1]; ++e) logits::edit(rows[b].data, vocabulary, edits.edits[e]);
  });
}

/// candidates (B, n): the n best of each row; see ops/logits/op.hpp.
template <Index vocabulary, Real S, Index P>
void best(const Cpu& cpu, Rows<S, P> rows, Index n, std::span<Candidate<std::remove_const_t<S>>> candidates) {
  static_assert(vocabulary <= P);
  cpu.parallel_for(rows.rows, [=, &cpu](Index b) {
    using C = Candidate<std::remove_const_t<S>>;
    logits::best_of(rows[b].data, vocabulary, candidates.subspan(static_cast<std::size_t>(b * n), static_cast<std::size_t>(n)), reinterpret_cast<C*>(cpu.thread_scratch()));
  });
}

}  // namespace terse::ops
