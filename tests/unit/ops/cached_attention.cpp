#include <terse/ops/attention/cpu.hpp>
#include <terse/ops/cached_attention/cpu.hpp>

#include <algorithm>
#include <cmath>
#include <functional>

#include "support/op_case.hpp"
#include "support/owned_batch.hpp"

using namespace terse;

namespace {

/// The documents of a batch as slots of a cache, read in one step: the same numbers as attention inside the documents.
template <Index heads, Index D, Index key_value_heads = heads>
struct CachedAttentionCase {
  using Attention = ops::Attention<heads, key_value_heads>;
  static constexpr Index C = heads * D, columns = Attention::qkv_columns(D), context = 80;
  static constexpr bool any_threads = true;

  OwnedBatch batch;

  /// The cache in T, the rows in the wide type.
  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const Index rows = batch.tokens(), cached = batch.sequences() * context * key_value_heads * D;
    std::vector<std::int32_t> slots;
    for (Index row = 0; row < rows; ++row) slots.push_back(static_cast<std::int32_t>(ops::document_of(batch, row)));
    std::vector<T> keys(static_cast<std::size_t>(cached), T(std::nanf(""))), values = keys;
    ops::forward(cpu, ops::CachedAttention{}, ops::CacheRows{batch.ids(), slots, batch.positions()}, Rows<S, columns>{t.input<S>("qkv", rows * columns), rows},
                 ops::KeyValueCache<T, key_value_heads, context, D>{keys.data(), values.data()}, Rows<S, C>{t.output<S>("out", rows * C), rows});
  }
  Values reference(const Tensors& t) const {
    Cpu cpu(1);
    cpu.reserve_thread_scratch(ops::attention_scratch<double, D>(context));
    const Index rows = batch.tokens();
    auto qkv = t.values("qkv");
    std::vector<double> out(static_cast<std::size_t>(rows * C)), log_sums(static_cast<std::size_t>(rows * heads));
    ops::forward(cpu, Attention{}, batch, ops::Dropout{}, Rows<double, columns>{qkv.data(), rows}, Rows<double, C>{out.data(), rows},
                 typename Attention::template Saved<double>{{log_sums.data(), rows}});
    return {{"out", out}};
  }
};

constexpr Index heads = 2, D = 12, C = heads * D, context = 48, length = 37;
using Cache = ops::KeyValueCache<bfloat16, heads, context, D>;

/// A text of 37 tokens in slot 1, read in pieces of `piece` rows, each with rows of another text before and after it.
std::vector<float> read_in_pieces(Index piece, bool neighbours) {
  Cpu cpu(2);
  cpu.reserve_thread_scratch(context * sizeof(float));
  Tensors t;
  const float* const qkv = t.input<float>("qkv", length * 3 * C);
  std::vector<bfloat16> memory(static_cast<std::size_t>(2 * 3 * Cache::slot_values));
  const Cache cache{memory.data(), memory.data() + 3 * Cache::slot_values};
  std::vector<float> result;
  for (Index first = 0; first < length; first += piece) {
    const Index count = std::min(piece, length - first);
    std::vector<std::int32_t> slots, positions;
    std::vector<float> rows;
    const auto add = [&](std::int32_t slot, Index position, Index from) {
      slots.push_back(slot), positions.push_back(static_cast<std::int32_t>(position));
      rows.insert(rows.end(), qkv + from * 3 * C, qkv + (from + 1) * 3 * C);
    };
    if (neighbours) add(2, first, 7);
    for (Index i = first; i < first + count; ++i) add(1, i, i);
    if (neighbours) add(0, first, 11), add(0, first + 1, 12);
    const auto total = static_cast<Index>(slots.size());
    std::vector<float> out(static_cast<std::size_t>(total * C));
    ops::forward(cpu, ops::CachedAttention{}, ops::CacheRows{slots, slots, positions}, Rows<float, 3 * C>{rows.data(), total}, cache, Rows<float, C>{out.data(), total});
    const auto begin = out.begin() + (neighbours ? C : 0);
    result.insert(result.end(), begin, begin + count * C);
  }
  return result;
}

/// The same text with position j in slot owner(j) of 3, each row read into its own; shared: others find it by `sources`.
template <Real K>
std::vector<float> read_over_slots(const std::function<Index(Index)>& owner, bool shared) {
  using AnyCache = ops::KeyValueCache<K, heads, context, D>;
  Cpu cpu(2);
  cpu.reserve_thread_scratch(context * sizeof(float));
  Tensors t;
  float* const qkv = t.input<float>("qkv", length * 3 * C);
  std::vector<K> memory(static_cast<std::size_t>(2 * 3 * AnyCache::slot_values), K(std::nanf("")));
  std::vector<std::int32_t> slots, positions, sources(3 * context);
  for (Index j = 0; j < length; ++j) {
    slots.push_back(static_cast<std::int32_t>(owner(j))), positions.push_back(static_cast<std::int32_t>(j));
    for (Index s = 0; s < 3; ++s) sources[static_cast<std::size_t>(s * context + j)] = slots.back();
  }
  std::vector<float> out(static_cast<std::size_t>(length * C));
  ops::forward(cpu, ops::CachedAttention{}, ops::CacheRows{slots, slots, positions, shared ? sources.data() : nullptr}, Rows<float, 3 * C>{qkv, length},
               AnyCache{memory.data(), memory.data() + 3 * AnyCache::slot_values}, Rows<float, C>{out.data(), length});
  return out;
}

}  // namespace

TEST_CASE("cached attention equals attention") {
  check_op(CachedAttentionCase<2, 12>{OwnedBatch::of_lengths({1, 31, 32, 33, 70}, 9)});
  check_op(CachedAttentionCase<6, 12, 2>{OwnedBatch::of_lengths({1, 33, 70}, 9)});
  check_op(CachedAttentionCase<1, 1>{OwnedBatch::of_lengths({3, 2}, 9)});
  check_op(CachedAttentionCase<1, 35>{OwnedBatch::of_lengths({18}, 9)});
}

TEST_CASE("cached attention: a text doesn't depend on how it's cut or on its neighbours") {
  const auto whole = read_in_pieces(length, false);
  for (const Index piece : {1, 3, 8, 36}) {
    INFO("pieces of " << piece);
    CHECK(whole == read_in_pieces(piece, false));
    CHECK(whole == read_in_pieces(piece, true));
  }
  CHECK(whole == read_in_pieces(length, true));
}

TEST_CASE("cached attention: a text spread over slots has the bits of one in a slot") {
  const auto check = []<Real K>(K) {
    const auto whole = read_over_slots<K>([](Index) { return 1; }, false);
    CHECK(std::ranges::none_of(whole, [](float value) { return std::isnan(value); }));
    for (Index run = 1; run <= length; ++run) {
      INFO("runs of " << run << ", " << name_of(dtype_of<K>()));
      CHECK(whole == read_over_slots<K>([run](Index j) { return j / run % 3; }, true));
    }
    CHECK(whole == read_over_slots<K>([](Index j) { return j < 3 ? 2 : j * j / 7 % 3; }, true));
  };
  check(float{}), check(bfloat16{});
}
