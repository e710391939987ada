#pragma once

namespace bench {

/// Each registers the benchmarks of its file for GPUs of this compute capability.
void add_roofs(int capability);
void add_matmuls(int capability);
void add_attention(int capability);
void add_memory_bound(int capability);

}  // namespace bench
