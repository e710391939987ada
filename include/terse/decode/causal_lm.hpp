#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include <terse/core/arena.hpp>
#include <terse/ops/cached_attention/op.hpp>

namespace terse::decode {

/// A model that text can be generated with: it predicts the next token, and remembers the tokens before in a cache.
///
///   Config              vocabulary and context, in tokens
///   Cache(device, n)    keys and values of n texts ("slots"); Cache::bytes(n)
///   InferenceScratch    a group of views (core/arena.hpp), `logits` (B, padded vocabulary) among them
///   infer               runs rows against the cache and leaves the logits that follow each row of `ask` in scratch.logits, in the
///                       order of `ask`. A row's logits may depend on its text's earlier rows alone, which stand where rows.sources says
///                       (ops/cached_attention/op.hpp): texts stand on that
///
/// models::Gpt is one.
template <class M>
concept CausalLm = requires(const M& model, const typename M::Cache& cache, typename M::InferenceScratch scratch, ops::CacheRows rows,
                            std::span<const std::int32_t> ask) {
  { M::Config::vocabulary } -> std::convertible_to<Index>;
  { M::Config::context } -> std::convertible_to<Index>;
  { M::Cache::bytes(Index{}) } -> std::same_as<std::size_t>;
  { model.device() } -> std::same_as<typename M::Device&>;
  { bytes_needed<typename M::InferenceScratch>(Extent{}) } -> std::same_as<std::size_t>;
  typename decltype(scratch.logits)::Value;
  model.infer(rows, ask, cache, scratch);
} && std::constructible_from<typename M::Cache, typename M::Device&, Index>;

/// One that also shows what it knows of each row: contrastive search holds that of one token against that of another.
///
///   hidden(scratch)     (R, width) of the rows that infer ran last, as its head takes them: after the last norm
template <class M>
concept ShowsHidden = CausalLm<M> && requires(typename M::InferenceScratch& scratch) {
  { M::hidden(scratch).rows } -> std::convertible_to<Index>;
  { decltype(M::hidden(scratch))::columns } -> std::convertible_to<Index>;
};

/// What a model's logits are.
template <CausalLm M>
using LogitOf = typename decltype(M::InferenceScratch::logits)::Value;

}  // namespace terse::decode
