// The batch-invariant products that decoding stands on: few rows, so that reading the weight is the work.
#include <terse/ops/matmul/invariant.hpp>

#include "op.hpp"

using namespace bench;

namespace {

template <class T>
void up(benchmark::State& state) {
  Cpu cpu;
  const Index rows = state.range(0);
  const auto x = random_rows<float, C>(cpu, rows);
  const auto w = random<Matrix<T, C, 4 * C>>(cpu);
  const Tensor<Rows<float, 4 * C>, Cpu> y(cpu, rows);
  time(state, cpu, {2.0 * static_cast<double>(rows) * C * 4 * C, bytes_of(x, w, y)}, [&] { ops::invariant_matmul(cpu, x.view(), w.view(), y.view()); });
}

template <class T>
void head(benchmark::State& state) {
  Cpu cpu;
  const Index rows = state.range(0);
  const auto x = random_rows<float, C>(cpu, rows);
  const auto w = random<Matrix<T, padded_vocabulary, C>>(cpu);
  const Tensor<Rows<float, padded_vocabulary>, Cpu> y(cpu, rows);
  time(state, cpu, {2.0 * static_cast<double>(rows) * C * padded_vocabulary, bytes_of(x, w, y)},
       [&] { ops::invariant_matmul_transposed(cpu, x.view(), w.view(), y.view()); });
}

}  // namespace

BENCHMARK(up<float>)->Name("invariant_matmul/up/fp32")->ArgName("rows")->Arg(1)->Arg(8)->Arg(32)->Arg(256)->Apply(op);
BENCHMARK(up<bfloat16>)->Name("invariant_matmul/up/bf16")->ArgName("rows")->Arg(1)->Arg(32)->Apply(op);
BENCHMARK(head<float>)->Name("invariant_matmul/head/fp32")->ArgName("rows")->Arg(1)->Arg(32)->Apply(op);
BENCHMARK(head<bfloat16>)->Name("invariant_matmul/head/bf16")->ArgName("rows")->Arg(1)->Arg(32)->Apply(op);
