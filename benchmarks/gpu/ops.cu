// bench_gpu_ops: products, attention and memory-bound ops at GPT-2 124M's sizes, and the roofs they are held against.
#include "families.hpp"
#include "main.hpp"

void bench::add_benchmarks(int capability) {
  add_roofs(capability);
  add_matmuls(capability);
  add_attention(capability);
  add_memory_bound(capability);
}
