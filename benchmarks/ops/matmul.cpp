// The BLAS library's products in the shapes of a training step.
#include "op.hpp"

using namespace bench;

namespace {

template <class T, Index In, Index Out>
void matmul(benchmark::State& state) {
  Cpu cpu;
  cpu.reserve_workspace(ops::matmul_workspace<T>(tokens, Out, In));
  const auto x = random_rows<T, In>(cpu);
  const auto w = random<Matrix<T, In, Out>>(cpu);
  const Tensor<Rows<T, Out>, Cpu> y(cpu, tokens);
  time<T>(state, cpu, {2.0 * tokens * In * Out, bytes_of(x, w, y)}, [&] { ops::matmul(cpu, x.view(), w.view(), y.view()); });
}

/// rows: all tokens (the input's gradient of `up`), or the head's.
template <class T, Index In, Index Out, Index rows>
void matmul_transposed(benchmark::State& state) {
  Cpu cpu;
  cpu.reserve_workspace(ops::matmul_workspace<T>(rows, Out, In));
  const auto x = random_rows<T, In>(cpu, rows);
  const auto w = random<Matrix<T, Out, In>>(cpu);
  const Tensor<Rows<float, Out>, Cpu> y(cpu, rows);
  time<T>(state, cpu, {2.0 * rows * In * Out, bytes_of(x, w, y)}, [&] { ops::matmul_transposed(cpu, x.view(), w.view(), y.view()); });
}

template <class T, Index In, Index Out>
void matmul_gradient(benchmark::State& state) {
  Cpu cpu;
  cpu.reserve_workspace(ops::matmul_workspace<T>(In, Out, tokens));
  const auto x = random_rows<T, In>(cpu);
  const auto dy = random_rows<T, Out>(cpu);
  const Tensor<Matrix<float, In, Out>, Cpu> dw(cpu);
  time<T>(state, cpu, {2.0 * tokens * In * Out, bytes_of(x, dy, dw, dw)}, [&] { ops::matmul_gradient(cpu, x.view(), dy.view(), dw.view(), Write::accumulate); });
}

}  // namespace

BENCHMARK(matmul<float, C, 3 * C>)->Name("matmul/qkv/fp32")->Apply(op);
BENCHMARK(matmul<float, C, C>)->Name("matmul/projection/fp32")->Apply(op);
BENCHMARK(matmul<float, C, 4 * C>)->Name("matmul/up/fp32")->Apply(op);
BENCHMARK(matmul<float, 4 * C, C>)->Name("matmul/down/fp32")->Apply(op);
BENCHMARK(matmul_transposed<float, C, padded_vocabulary, head_rows>)->Name("matmul/head/fp32")->Apply(op);
BENCHMARK(matmul_transposed<float, 4 * C, C, tokens>)->Name("matmul/up_input_gradient/fp32")->Apply(op);
BENCHMARK(matmul_gradient<float, C, 4 * C>)->Name("matmul/up_weight_gradient/fp32")->Apply(op);
BENCHMARK(matmul<bfloat16, C, 4 * C>)->Name("matmul/up/bf16")->Apply(op);
BENCHMARK(matmul_gradient<bfloat16, C, 4 * C>)->Name("matmul/up_weight_gradient/bf16")->Apply(op);
