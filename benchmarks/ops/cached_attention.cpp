// One layer's attention of 32 texts being written, each over a cache of 256 tokens.
#include <terse/ops/cached_attention/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

template <class T>
void forward(benchmark::State& state) {
  constexpr Index D = C / heads, keys = 256;
  using Cache = ops::KeyValueCache<T, heads, context, D>;
  Cpu cpu;
  cpu.reserve_thread_scratch(context * sizeof(float));
  const auto memory = random_rows<T, Cache::slot_values>(cpu, 2 * decode_rows);
  const Cache cache{memory.data(), memory.data() + decode_rows * Cache::slot_values};
  const auto qkv = random_rows<float, 3 * C>(cpu, decode_rows);
  const Tensor<Rows<float, C>, Cpu> out(cpu, decode_rows);
  std::vector<std::int32_t> slots(decode_rows), positions(decode_rows, keys - 1);
  for (std::size_t r = 0; r < slots.size(); ++r) slots[r] = static_cast<std::int32_t>(r);
  const double values = static_cast<double>(decode_rows * keys * C);
  time(state, cpu, {4 * values, 2 * values * sizeof(T) + bytes_of(qkv, out)},
       [&] { ops::forward(cpu, ops::CachedAttention{}, {slots, slots, positions}, qkv.view(), cache, out.view()); });
}

}  // namespace

BENCHMARK(forward<float>)->Name("cached_attention/fp32")->Apply(op);
BENCHMARK(forward<bfloat16>)->Name("cached_attention/bf16")->Apply(op);
