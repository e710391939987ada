// Dropout of (T, C), p = 0.1: as many random words as values, so arithmetic, not memory, is what it takes.
#include <terse/ops/residual/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

void apply(benchmark::State& state) {
  Cpu cpu;
  const MicroBatch batch;
  const auto x = random_rows<float, C>(cpu), y = random_rows<float, C>(cpu);
  time(state, cpu, {.bytes = bytes_of(x, y)}, [&] { ops::apply_dropout(cpu, batch.view(), tenth(ops::DropoutSite::mlp_projection), x.view(), y.view()); });
}

}  // namespace

BENCHMARK(apply)->Name("dropout/fp32")->Apply(op);
