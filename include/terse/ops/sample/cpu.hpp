#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include <terse/device/cpu.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/logits/cpu.hpp>
#include <terse/ops/sample/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::inline TERSE_ISA {
namespace sampling {

using logits::for_each_reaching;

/// The k-th largest of n >= k values. `best` has room for k.
template <class S>
S kth_largest(const S* x, Index n, Index k, S* best) {
  S* const end = std::copy_n(x, k, best);
  std::make_heap(best, end, std::greater<S>());  // the smallest of the k best so far stands first
  for_each_reaching(x, k, n, [best](S value) { return value > *best; }, [&](Index v) {
    std::pop_heap(best, end, std::greater<S>());
    end[-1] = x[v];
    std::push_heap(best, end, std::greater<S>());
  });
  return *best;
}

template <class S>
S largest_score(std::span<const Candidate<S>> candidates) {
  S largest = -std::numeric_limits<S>::infinity();
  for (const auto& candidate : candidates) largest = std::max(largest, candidate.score);
  return largest;
}

/// Those whose score is one of `kept`, in the order they have.
template <class S, class Kept>
std::span<Candidate<S>> only(std::span<Candidate<S>> candidates, Kept&& kept) {
  return {candidates.begin(), std::remove_if(candidates.begin(), candidates.end(), [&](const auto& candidate) { return !kept(candidate.score); })};
}

/// The greatest in the order of `less`, as few of them as together have a probability of p; the greatest last.
template <class S, class Less>
std::span<Candidate<S>> greatest(std::span<Candidate<S>> candidates, double p, Less&& less) {
  const S largest = largest_score<S>(candidates);
  double total = 0, reached = 0;
  for (const auto& candidate : candidates) total += static_cast<double>(fast_exp(candidate.score - largest));
  std::make_heap(candidates.begin(), candidates.end(), less);
  auto first = candidates.end();
  do {
    std::pop_heap(candidates.begin(), first--, less);
    reached += static_cast<double>(fast_exp(first->score - largest)) / total;
  } while (first != candidates.begin() && reached < p);
  return {first, candidates.end()};
}

/// The tokens that top_p leaves, likeliest last.
template <class S>
std::span<Candidate<S>> nucleus(std::span<Candidate<S>> candidates, double p) {
  return greatest(candidates, p, [](const Candidate<S>& a, const Candidate<S>& b) { return a.score < b.score || (a.score == b.score && a.id > b.id); });
}

/// The tokens that `typical` leaves, in the order they have. A score is log p and a constant, so that near the mean surprise is near the mean score.
/// `room` is for as many.
template <class S>
std::span<Candidate<S>> nearest_to_mean(std::span<Candidate<S>> candidates, double p, Candidate<S>* room) {
  const S largest = largest_score<S>(candidates);
  double total = 0, sum = 0;
  for (const auto& candidate : candidates) {
    const auto weight = static_cast<double>(fast_exp(candidate.score - largest));
    total += weight, sum = multiply_add(weight, static_cast<double>(candidate.score), sum);
  }
  const auto distance = [mean = sum / total](S score) { return static_cast<S>(std::abs(static_cast<double>(score) - mean)); };
  std::copy(candidates.begin(), candidates.end(), room);
  const auto nearest = greatest(std::span(room, candidates.size()), p, [&](const Candidate<S>& a, const Candidate<S>& b) { return distance(a.score) > distance(b.score); });
  return only(candidates, [&, cut = distance(nearest.front().score)](S score) { return distance(score) <= cut; });
}

/// The tokens that may be drawn; each `score` becomes its weight, exp(score - largest score). `scratch` has sample_scratch bytes.
template <class S>
std::span<Candidate<S>> weighted_candidates(const Sample& op, const S* x, Index vocabulary, std::byte* scratch) {
  const S temperature = static_cast<S>(op.temperature);
  S threshold = std::numeric_limits<S>::lowest(), least = threshold;  // a logit of -infinity is no candidate
  if (op.top_k > 0 && op.top_k < vocabulary) threshold = std::max(threshold, kth_largest(x, vocabulary, Index{op.top_k}, reinterpret_cast<S*>(scratch)) / temperature);
  if (op.min_p > 0) least = static_cast<S>(static_cast<double>(largest_of(x, vocabulary) / temperature) + std::log(static_cast<double>(op.min_p)));
  if (op.top_p == 1) threshold = std::max(threshold, least);  // whose sums count what min_p drops after it
  auto* const all = reinterpret_cast<Candidate<S>*>(scratch);
  Candidate<S>* end = all;
  // Of the scores, not the logits: two logits may become one score.
  for_each_reaching(x, 0, vocabulary, [=](S logit) { return logit / temperature >= threshold; },
                    [&](Index v) { *end++ = {x[v] / temperature, static_cast<TokenId>(v)}; });
  std::span<Candidate<S>> candidates(all, end);
  if (op.top_p < 1) candidates = only(nucleus(candidates, static_cast<double>(op.top_p)), [=](S score) { return score >= least; });
  if (op.typical < 1) candidates = nearest_to_mean(candidates, static_cast<double>(op.typical), all + vocabulary);
  const S largest = largest_score<S>(candidates);
  for (auto& candidate : candidates) candidate.score = fast_exp(candidate.score - largest);
  return candidates;
}

template <class S>
double total_weight(std::span<const Candidate<S>> candidates) {
  double total = 0;
  for (const auto& candidate : candidates) total += static_cast<double>(candidate.score);
  return total;
}

template <class S>
TokenId draw_from(std::span<const Candidate<S>> candidates, double uniform) {
  double left = uniform * total_weight(candidates);
  for (const auto& candidate : candidates)
    if ((left -= static_cast<double>(candidate.score)) < 0) return candidate.id;
  return candidates.back().id;  // where rounding ate the rest
}

template <class S>
Choice<S> choose(const Sample& op, const S* x, Index vocabulary, Draw draw, std::byte* scratch) {
  const auto statistics = softmax_statistics(x, vocabulary);
  if (!std::isfinite(statistics.log_sum())) return {0, std::numeric_limits<S>::quiet_NaN()};
  const TokenId id = op.greedy ? static_cast<TokenId>(std::find(x, x + vocabulary, statistics.largest) - x)
                               : draw_from<S>(weighted_candidates(op, x, vocabulary, scratch), draw.uniform());
  return {id, x[id] - statistics.log_sum()};
}

}  // namespace sampling

/// What sampling draws from: a probability for each of the logits, 0 for those filtered away.
template <class S>
std::vector<S> sample_distribution(const Sample& op, std::span<const S> logits) {
  const auto vocabulary = static_cast<Index>(logits.size());
  std::vector<std::byte> scratch(sample_scratch<S>(vocabulary));
  const auto candidates = sampling::weighted_candidates(op, logits.data(), vocabulary, scratch.data());
  const double total = sampling::total_weight<S>(candidates);
  std::vector<S> probabilities(logits.size());
  for (const auto& candidate : candidates)
    probabilities[static_cast<std::size_t>(candidate.id)] = static_cast<S>(static_cast<double>(candidate.score) / total);
  return probabilities;
}

}  // namespace terse::ops::inline TERSE_ISA

namespace terse::ops {

/// choices[b] from logits[b]; see ops/sample/op.hpp.
template <Index vocabulary, Real S, Index P>
void sample(const Cpu& cpu, const Sample& op, Rows<S, P> logits, std::span<const Draw> draws, std::span<Choice<std::remove_const_t<S>>> choices) {
  static_assert(vocabulary <= P);
  cpu.parallel_for(logits.rows, [&, logits, draws, choices](Index b) {
    const auto at = static_cast<std::size_t>(b);
    choices[at] = sampling::choose<std::remove_const_t<S>>(op, logits[b].data, vocabulary, draws[at], cpu.thread_scratch());
  });
}

}  // namespace terse::ops
