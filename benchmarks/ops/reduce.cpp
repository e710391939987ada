// Sums: a bias's gradient over (T, 4C), and the squares of as many values as the token table has (the gradient's norm).
#include <terse/ops/reduce/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

void bias_gradient(benchmark::State& state) {
  Cpu cpu;
  const auto dy = random_rows<float, 4 * C>(cpu);
  const Tensor<Vector<float, 4 * C>, Cpu> dbias(cpu);
  time(state, cpu, {.bytes = bytes_of(dy)}, [&] { ops::bias_gradient(cpu, dy.view(), dbias.view()); });
}

void sum_of_squares(benchmark::State& state) {
  Cpu cpu;
  const auto x = random<Matrix<float, padded_vocabulary, C>>(cpu);
  time(state, cpu, {.bytes = bytes_of(x)}, [&] { benchmark::DoNotOptimize(ops::sum_of_squares(cpu, x.data(), x.size())); });
}

}  // namespace

BENCHMARK(bias_gradient)->Name("reduce/bias_gradient/fp32")->Apply(op);
BENCHMARK(sum_of_squares)->Name("reduce/sum_of_squares/fp32")->Apply(op);
