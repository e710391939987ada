// A branch joins the residual stream (T, C), with its bias, and with dropout or without.
#include <terse/ops/residual/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

template <bool drops>
void residual(benchmark::State& state) {
  Cpu cpu;
  const MicroBatch batch;
  const auto x = random_rows<float, C>(cpu), branch = random_rows<float, C>(cpu), y = random_rows<float, C>(cpu);
  const auto bias = random<Vector<float, C>>(cpu);
  const Rows<const float, C> stream = x.view(), joins = branch.view();
  const ops::Dropout dropout = drops ? tenth(ops::DropoutSite::mlp_projection) : ops::Dropout{};
  time(state, cpu, {.bytes = bytes_of(x, branch, y)}, [&] { ops::residual(cpu, batch.view(), dropout, stream, joins, bias.view(), y.view()); });
}

}  // namespace

BENCHMARK(residual<false>)->Name("residual/fp32")->Apply(op);
BENCHMARK(residual<true>)->Name("residual_dropout/fp32")->Apply(op);
