#pragma once

namespace bench {

/// Registers a program's benchmarks for GPUs of this compute capability; each program defines it once.
void add_benchmarks(int capability);

}  // namespace bench
