// The batch-invariant products that decoding stands on. With few rows reading the weight is the work, and in decoding it comes from memory: so there are several
// weights, used in turn, too large together for the caches.
#include <terse/ops/matmul/int8.hpp>
#include <terse/ops/matmul/invariant.hpp>

#include "op.hpp"

using namespace bench;

namespace {

constexpr std::size_t too_large = std::size_t{192} << 20;  ///< bytes, for the caches

/// Times multiply(x, i) for i-th of `weights` weights in turn.
template <class T, Index In>
void in_turn(benchmark::State& state, Cpu& cpu, double outputs, double bytes, std::size_t weights, auto&& multiply) {
  const Index rows = state.range(0);
  const auto x = random_rows<float, In>(cpu, rows);
  std::size_t next = 0;
  time<T>(state, cpu, {2.0 * static_cast<double>(rows) * In * outputs, bytes + static_cast<double>(4 * rows) * (In + outputs)},
          [&] { multiply(x.view(), next), next = (next + 1) % weights; });
}

template <class T, Index In, Index Out, bool transposed = false>
void product(benchmark::State& state) {
  using Weight = std::conditional_t<transposed, Matrix<T, Out, In>, Matrix<T, In, Out>>;
  Cpu cpu;
  constexpr Index weights = divide_up(static_cast<Index>(too_large / sizeof(T)), In * Out);
  const auto w = random_rows<T, In * Out>(cpu, weights);
  const Tensor<Rows<float, Out>, Cpu> y(cpu, state.range(0));
  in_turn<T, In>(state, cpu, Out, double{In * Out} * sizeof(T), weights, [&](auto x, std::size_t i) {
    const Weight weight{w[static_cast<Index>(i)].data};
    if constexpr (transposed) ops::invariant_matmul_transposed(cpu, x, weight, y.view());
    else ops::invariant_matmul(cpu, x, weight, y.view());
  });
}

template <Index In, Index Out>
void int8(benchmark::State& state) {
  using Weight = ops::Int8Matrix<In, Out>;
  Cpu cpu;
  constexpr std::size_t bytes = round_up(Weight::bytes(), alignment_bytes), weights = divide_up(too_large, bytes);
  const auto w = random<Matrix<float, In, Out>>(cpu);
  const CpuMemory memory(weights * bytes);
  std::vector<Weight> q(weights);
  for (std::size_t i = 0; i < weights; ++i) q[i].bind(memory.data() + i * bytes), ops::quantize(cpu, w.view(), q[i]);
  const Tensor<Rows<float, Out>, Cpu> y(cpu, state.range(0));
  const TensorGroup<ops::Int8Rows<In>, Cpu> p(cpu, {.tokens = state.range(0)});
  in_turn<bfloat16, In>(state, cpu, Out, double{bytes}, weights, [&](auto x, std::size_t i) { ops::int8_matmul(cpu, x, q[i], y.view(), *p); });
}

void rows(benchmark::internal::Benchmark* benchmark) {
  op(benchmark);
  benchmark->ArgName("rows")->Arg(1)->Arg(8)->Arg(32)->Arg(288);
}

}  // namespace

BENCHMARK(product<float, C, 3 * C>)->Name("invariant_matmul/qkv/fp32")->Apply(rows);
BENCHMARK(product<float, C, C>)->Name("invariant_matmul/projection/fp32")->Apply(rows);
BENCHMARK(product<float, C, 4 * C>)->Name("invariant_matmul/up/fp32")->Apply(rows);
BENCHMARK(product<float, 4 * C, C>)->Name("invariant_matmul/down/fp32")->Apply(rows);
BENCHMARK(product<float, C, padded_vocabulary, true>)->Name("invariant_matmul/head/fp32")->Apply(rows);
BENCHMARK(product<bfloat16, C, 4 * C>)->Name("invariant_matmul/up/bf16")->Apply(rows);
BENCHMARK(product<bfloat16, 4 * C, C>)->Name("invariant_matmul/down/bf16")->Apply(rows);
BENCHMARK(product<bfloat16, C, padded_vocabulary, true>)->Name("invariant_matmul/head/bf16")->Apply(rows);
BENCHMARK(int8<C, 4 * C>)->Name("int8_matmul/up")->Apply(rows);
BENCHMARK(int8<4 * C, C>)->Name("int8_matmul/down")->Apply(rows);
BENCHMARK(int8<C, padded_vocabulary>)->Name("int8_matmul/head")->Apply(rows);
