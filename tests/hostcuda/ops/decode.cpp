// What decoding runs on: products and attention that don't depend on their neighbours, and sampling with the CPU's decisions.
#include <terse/ops/cached_attention/cpu.hpp>
#include <terse/ops/cached_attention/cuda.cuh>
#include <terse/ops/matmul/invariant.cuh>
#include <terse/ops/matmul/invariant.hpp>
#include <terse/ops/sample/cpu.hpp>
#include <terse/ops/sample/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

namespace {

template <Real T, Index In, Index Out>
void check_products(Index rows) {
  on_both_devices([rows](OpRun& run) {
    const auto x = run.input<float>(rows * In), other = run.input<float>(rows * Out);
    const auto w = run.input<T>(In * Out);
    const auto y = run.output<float>(rows * Out), z = run.output<float>(rows * In);
    run([&](auto& device, auto at) {
      ops::invariant_matmul(device, Rows<const float, In>{at(x), rows}, Matrix<const T, In, Out>{at(w)}, Rows<float, Out>{at(y), rows});
      ops::invariant_matmul_transposed(device, Rows<const float, Out>{at(other), rows}, Matrix<const T, In, Out>{at(w)}, Rows<float, In>{at(z), rows});
    });
    run.agrees("y", y, Out), run.agrees("z", z, In);

    // So few outputs that not every warp of a block has one.
    constexpr Index few = 20;
    const auto rest = run.input<T>(few * In);
    const auto of_rest = run.output<float>(rows * few);
    run([&](auto& device, auto at) { ops::invariant_matmul_transposed(device, Rows<const float, In>{at(x), rows}, Matrix<const T, few, In>{at(rest)}, Rows<float, few>{at(of_rest), rows}); });
    run.agrees("of_rest", of_rest, few);

    // Each row alone gives the same bits.
    const auto alone = run.output<float>(rows * Out), alone_z = run.output<float>(rows * In);
    for (Index r = 0; r < rows; ++r) {
      ops::invariant_matmul(run.cuda, Rows<const float, In>{x.gpu() + r * In, 1}, Matrix<const T, In, Out>{w.gpu()}, Rows<float, Out>{alone.gpu() + r * Out, 1});
      ops::invariant_matmul_transposed(run.cuda, Rows<const float, Out>{other.gpu() + r * Out, 1}, Matrix<const T, In, Out>{w.gpu()}, Rows<float, In>{alone_z.gpu() + r * In, 1});
    }
    CHECK(alone.from_gpu() == y.from_gpu());
    CHECK(alone_z.from_gpu() == z.from_gpu());
  });
}

}  // namespace

TEST_CASE("invariant products on CUDA: the CPU's values, and the same bits whatever the number of rows") {
  for_each_dtype([]<Real T>(T) {
    for (const Index rows : {1, 3, 17}) check_products<T, 8, 24>(rows), check_products<T, 96, 200>(rows);
  });
}

namespace {

template <Real K, Index heads, Index D, Index key_value_heads = heads>
void check_cached_attention() {
  constexpr Index C = heads * D, columns = C + 2 * key_value_heads * D, context = 48, slots = 3;
  on_both_devices([&](OpRun& run) {
    using Cache = ops::KeyValueCache<K, key_value_heads, context, D>;
    const auto keys = run.input<K>(slots * Cache::slot_values), values = run.input<K>(slots * Cache::slot_values);
    // a prompt's first rows, a text's next one, a full context: rows of one slot in order
    const std::vector<std::int32_t> at_slot{2, 2, 2, 0, 1}, at_position{0, 1, 2, 20, 47};
    const auto rows = static_cast<Index>(at_slot.size());
    const auto slot = run.values(at_slot), position = run.values(at_position);
    const auto qkv = run.input<float>(rows * columns), out = run.output<float>(rows * C);
    run([&](auto& device, auto at) {
      ops::forward(device, ops::CachedAttention{}, ops::CacheRows{.ids = {}, .slots = {at(slot), slot.size()}, .positions = {at(position), position.size()}},
                   Rows<float, columns>{at(qkv), rows}, Cache{at(keys), at(values)}, Rows<float, C>{at(out), rows});
    });
    run.equals("keys", keys), run.equals("values", values), run.agrees("out", out, C);

    // The last row alone: its slot's earlier rows are in the cache.
    const auto alone = run.output<float>(C);
    const Index last = rows - 1;
    ops::forward(run.cuda, ops::CachedAttention{}, ops::CacheRows{.ids = {}, .slots = {slot.gpu() + last, 1}, .positions = {position.gpu() + last, 1}},
                 Rows<float, columns>{qkv.gpu() + last * columns, 1}, Cache{keys.gpu(), values.gpu()}, Rows<float, C>{alone.gpu(), 1});
    const auto all = out.from_gpu();
    CHECK(alone.from_gpu() == std::vector<float>(all.end() - C, all.end()));
  });
}

/// Texts whose positions stand in any slot: the CPU's values, and the GPU's own bits of the same text in one slot.
template <Real K, Index heads, Index D>
void check_shared_cache() {
  constexpr Index C = heads * D, context = 48, slots = 4;
  on_both_devices([](OpRun& run) {
    using Cache = ops::KeyValueCache<K, heads, context, D>;
    const std::vector<std::int32_t> at_slot{1, 1, 3, 0}, at_position{30, 31, 47, 0};
    const auto rows = static_cast<Index>(at_slot.size());
    std::vector<std::int32_t> where(slots * context);
    for (Index s = 0; s < slots; ++s)
      for (Index j = 0; j < context; ++j) where[static_cast<std::size_t>(s * context + j)] = static_cast<std::int32_t>(s == 1 && j >= 30 ? s : s == 3 && j == 47 ? s : s == 0 && j == 0 ? s : j * (s + 3) / 5 % slots);
    const auto keys = run.input<K>(slots * Cache::slot_values), values = run.input<K>(slots * Cache::slot_values);
    const auto slot = run.values(at_slot), position = run.values(at_position), sources = run.values(where);
    const auto qkv = run.input<float>(rows * 3 * C), out = run.output<float>(rows * C);
    run([&](auto& device, auto at) {
      ops::forward(device, ops::CachedAttention{}, ops::CacheRows{.ids = {}, .slots = {at(slot), slot.size()}, .positions = {at(position), position.size()}, .sources = at(sources)},
                   Rows<float, 3 * C>{at(qkv), rows}, Cache{at(keys), at(values)}, Rows<float, C>{at(out), rows});
    });
    run.equals("keys", keys), run.equals("values", values), run.agrees("out", out, C);

    const auto gathered = [&](const Data<K>& cache) {
      const auto spread = cache.from_gpu();
      std::vector<K> result(spread.size());
      for (Index s = 0; s < slots; ++s)
        for (Index h = 0; h < heads; ++h)
          for (Index j = 0; j < context; ++j) {
            const Index at = (h * context + j) * D, from = where[static_cast<std::size_t>(s * context + j)];
            std::copy_n(spread.begin() + from * Cache::slot_values + at, D, result.begin() + s * Cache::slot_values + at);
          }
      return run.values(result);
    };
    const auto own_keys = gathered(keys), own_values = gathered(values);
    const auto again = run.output<float>(rows * C);
    ops::forward(run.cuda, ops::CachedAttention{}, ops::CacheRows{.ids = {}, .slots = {slot.gpu(), slot.size()}, .positions = {position.gpu(), position.size()}},
                 Rows<float, 3 * C>{qkv.gpu(), rows}, Cache{own_keys.gpu(), own_values.gpu()}, Rows<float, C>{again.gpu(), rows});
    CHECK(again.from_gpu() == out.from_gpu());
  });
}

}  // namespace

TEST_CASE("attention over a cache on CUDA") {
  for_each_dtype([]<Real K>(K) {
    check_cached_attention<K, 2, 8>();
    check_cached_attention<K, 3, 64>();
    check_cached_attention<K, 1, 80>();
    check_cached_attention<K, 6, 16, 2>();
  });
}

TEST_CASE("attention over a cache on CUDA whose texts share positions") {
  for_each_dtype([]<Real K>(K) { check_shared_cache<K, 2, 8>(), check_shared_cache<K, 3, 64>(); });
}

namespace {

template <Index V, Index P>
void check_sampling(const ops::Sample& op) {
  constexpr Index rows = 3;
  INFO("greedy " << op.greedy << ", temperature " << op.temperature << ", top_k " << op.top_k << ", top_p " << op.top_p << ", min_p " << op.min_p << ", typical " << op.typical << ", vocabulary " << V);
  on_both_devices([&](OpRun& run) {
    auto given = run.input<float>(rows * P, 6).from_gpu();  // of 2048 values at most, so that many are equal
    for (Index b = 0; b < rows; ++b) std::fill(given.begin() + b * P + V, given.begin() + (b + 1) * P, 1000.0f);  // no tokens': whoever counted one would choose it
    const auto logits = run.values(given);
    std::vector<ops::Draw> which;
    for (Index b = 0; b < rows; ++b) which.push_back({5, static_cast<std::uint64_t>(b) << 30, static_cast<std::uint32_t>(7 * b)});
    const auto draws = run.values(which);
    const auto choices = run.values(std::vector<ops::Choice<float>>(rows));
    run([&](auto& device, auto at) {
      ops::sample<V>(device, op, Rows<const float, P>{at(logits), rows}, std::span<const ops::Draw>(at(draws), rows), std::span<ops::Choice<float>>(at(choices), rows));
    });
    const auto got = choices.from_gpu();
    for (std::size_t b = 0; b < rows; ++b) {
      CHECK(got[b].id == choices.cpu()[b].id);
      CHECK(std::abs(got[b].log_probability - choices.cpu()[b].log_probability) <= 1e-5f * std::abs(choices.cpu()[b].log_probability));
    }
  });
}

}  // namespace

TEST_CASE("sampling on CUDA draws what the CPU draws") {
  const auto check = [](const ops::Sample& op) { check_sampling<5, 8>(op), check_sampling<16, 16>(op), check_sampling<1003, 1008>(op); };
  check({.greedy = true});
  check({.temperature = 1});
  if constexpr (is_sanitized) return check({.temperature = 0.7f, .top_k = 50, .top_p = 0.95f, .min_p = 0.01f, .typical = 0.8f});
  for (const int top_k : {0, 1, 50})
    for (const float top_p : {0.0f, 0.5f, 0.95f, 1.0f}) check({.temperature = 0.7f, .top_k = top_k, .top_p = top_p});
  for (const int top_k : {0, 50})
    for (const float top_p : {0.9f, 1.0f}) {
      for (const float min_p : {0.02f, 1.0f}) check({.temperature = 0.7f, .top_k = top_k, .top_p = top_p, .min_p = min_p});
      for (const float typical : {0.001f, 0.7f}) check({.temperature = 1.3f, .top_k = top_k, .top_p = top_p, .typical = typical});
      check({.temperature = 1.3f, .top_k = top_k, .top_p = top_p, .min_p = 0.02f, .typical = 0.5f});
    }
}

TEST_CASE("logits that aren't finite give token 0 and NaN on CUDA") {
  on_both_devices([](OpRun& run) {
    constexpr Index V = 50, P = 56;
    std::vector<float> values(2 * P, 1.0f);
    values[9] = std::numeric_limits<float>::quiet_NaN(), values[P + 3] = std::numeric_limits<float>::infinity();
    const auto logits = run.values(values);
    const auto draws = run.values(std::vector<ops::Draw>(2));
    const auto choices = run.values(std::vector<ops::Choice<float>>(2, {7, 1.0f}));
    ops::sample<V>(run.cuda, ops::Sample{}, Rows<const float, P>{logits.gpu(), 2}, std::span<const ops::Draw>(draws.gpu(), 2), std::span<ops::Choice<float>>(choices.gpu(), 2));
    for (const auto& choice : choices.from_gpu()) CHECK((choice.id == 0 && std::isnan(choice.log_probability)));
  });
}
