// Each rule of CUDA that a kernel or its caller breaks is seen, by name or by a wrong result. Plain build; tests.cmake has the sanitizers'.
#include "support/catch.hpp"

#include "hostcuda/self/bugs.cuh"
#include "support/messages.hpp"

using namespace bugs;

namespace {

/// In how many of 20 orders the mistake shows.
int orders_that_show(std::string_view name) {
  int count = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    hostcuda::set_seed(seed);
    count += found(name).empty() ? 0 : 1;
  }
  hostcuda::set_seed(0);
  return count;
}

/// Words of the machine, for every seed the same rule.
template <class Run>
void check_named(const std::string& rule, Run run) {
  for (const std::uint64_t seed : hostcuda::seeds()) {
    hostcuda::set_seed(seed);
    Bench bench;
    run(bench);
    const std::string words = bench.device.verdict();
    INFO("seed " << seed << ": " << words);
    CHECK(contains(words, rule));
  }
  hostcuda::set_seed(0);
}

/// The launch or call is refused at once.
template <class Run>
void check_refused(const std::string& rule, Run run) {
  Bench bench;
  const cudaError_t status = run(bench);
  INFO(hostcuda::last_report());
  CHECK(status != cudaSuccess);
  CHECK(contains(hostcuda::last_report(), rule));
}

cudaError_t refused(const Bench& bench, dim3 blocks, dim3 block, std::size_t bytes, float* values) {
  cudaLaunchConfig_t config{blocks, block, bytes, bench.device.stream(), nullptr, 0};
  return cudaLaunchKernelEx(&config, write_at, values, 0);
}

}  // namespace

TEST_CASE("a right kernel passes in every order") {
  for (const char* const name : {"no mistake", "event wait", "wait for copies"}) {
    INFO(name);
    CHECK(found(name).empty());
    CHECK(orders_that_show(name) == 0);
  }
}

TEST_CASE("a missing barrier shows in some orders") {
  for (const char* const name : {"no barrier after the load", "no barrier in the loop", "no barrier in the warp", "no barrier before the result is read",
                                 "storage used twice"}) {
    INFO(name);
    CHECK(orders_that_show(name) >= 4);
  }
}

TEST_CASE("a missing wait shows in some orders") {
  CHECK(orders_that_show("no event wait") >= 4);
  CHECK(orders_that_show("no wait for copies") >= 4);
  CHECK(contains(found("no wait for copies"), "asynchronous copies were begun that nobody waited for"));
}

TEST_CASE("one barrier is left out, one bounds check loosened, by place and kernel") {
  const auto at = [](int line, const char* kernel) { return "self/bugs.cuh:" + std::to_string(line) + kernel; };
  const auto fills_one_more = [](const std::string& place) {
    hostcuda::omit(place);
    Bench bench;
    bench.run(fill, 1, threads, 0, bench.output, 100, 7.0f);
    const bool one_more = bench.device.read(bench.output, 101)[100] == 7;
    hostcuda::omit("");
    return one_more;
  };
  CHECK_FALSE(fills_one_more(""));
  CHECK(fills_one_more(at(line_of_check, "")));
  CHECK(fills_one_more(at(line_of_check, "@bugs::fill")));
  CHECK_FALSE(fills_one_more(at(line_of_check, "@bugs::copy_values")));
  CHECK_FALSE(fills_one_more(at(line_of_check + 1, "")));
  hostcuda::omit(at(line_of_barrier, "@bugs::sum_by_halves"));
  CHECK(orders_that_show("no mistake") >= 4);
  hostcuda::omit("");
  CHECK(orders_that_show("no mistake") == 0);
}

TEST_CASE("barriers that not all threads reach") {
  check_named("divergent barrier: this thread is at __syncthreads", [](Bench& bench) { bench.run(divergent_barrier, 1, 64, 0, bench.output); });
  check_named("deadlock: 64 threads can never go on; 32 wait at a barrier", [](Bench& bench) { bench.run(barrier_against_warp, 1, 64, 0, bench.output); });
}

TEST_CASE("masks of shuffles and votes") {
  check_named("wrong mask: the lane isn't in the mask it gave to __shfl_xor_sync", [](Bench& bench) { bench.run(not_in_mask, 1, 32, 0, bench.output); });
  check_named("warp divergence: __shfl_xor_sync meets __shfl_xor_sync with another mask", [](Bench& bench) { bench.run(overlapping_masks, 1, 32, 0, bench.output); });
  check_named("warp divergence", [](Bench& bench) { bench.run(different_operations, 1, 32, 0, bench.output); });
  Bench bench;
  bench.run(from_outside_the_mask, 1, 32, 0, bench.output);
  CHECK(bench.verdict(1) == "NaN");
}

TEST_CASE("accesses out of bounds") {
  check_named("illegal address", [](Bench& bench) { bench.run(write_at, 1, 32, 0, bench.output, Bench::size); });
  check_named("illegal address", [](Bench& bench) { bench.run(write_at, 1, 32, 0, bench.output, -1); });
  check_named("illegal address", [](Bench& bench) { bench.run(write_at, 1, 32, 0, bench.output, 1 << 28); });
  check_named("illegal address", [](Bench& bench) { bench.run(behind_shared, 1, 32, sizeof(Values), bench.output, threads); });
  check_named("shared<T>: T has 1024 bytes, the launch gave 512", [](Bench& bench) { bench.run(shared_at, 1, 32, 512, bench.output, 0); });
  CHECK(contains(found("one past the end"), "an allocation of 400 bytes was overwritten at byte 400"));
  CHECK(contains(found("use after free"), "illegal address"));
}

TEST_CASE("memory that was never written reads as NaN") {
  Bench bench;
  bench.run(copy_values, 1, 32, 0, bench.output, bench.device.allocate<float>(32), 32);
  CHECK(bench.verdict(0) == "NaN");
  bench.run(shared_at, 1, threads, sizeof(Values), bench.output, 0);
  CHECK(bench.verdict(0) == "NaN");
}

TEST_CASE("a CUDA thread whose stack is full") {
  check_named("stack is full", [](Bench& bench) { bench.run(endless_recursion, 1, 1, 0, bench.output, 1000); });
}

TEST_CASE("fragments and rows that the hardware doesn't take") {
  check_named("isn't at a multiple of 16 bytes", [](Bench& bench) { bench.run(misaligned_row, 1, 32, sizeof(Words), bench.output); });
  hostcuda::set_capability(75);
  check_named("compute capability 7.5 has none", [](Bench& bench) { bench.run(product_of_bfloat16, 1, 32, 0, bench.output); });
  hostcuda::set_capability(80);
}

TEST_CASE("addresses that a kernel can't use") {
  static float on_the_host[8];
  check_refused("argument 1 is the host's address", [](Bench& bench) { return refused(bench, 1, 32, 0, on_the_host); });
  check_refused("no live allocation", [](Bench& bench) {
    float* freed = nullptr;
    cudaMalloc(&freed, 400), cudaFree(freed);
    return refused(bench, 1, 32, 0, freed);
  });
  check_refused("an address of device 1, the kernel runs on device 0", [](Bench& bench) {
    float* elsewhere = nullptr;
    cudaSetDevice(1);
    cudaMalloc(&elsewhere, 400);
    cudaSetDevice(0);
    const cudaError_t status = refused(bench, 1, 32, 0, elsewhere);
    return cudaFree(elsewhere), status;
  });
}

TEST_CASE("launches that CUDA refuses") {
  check_refused("a block of 1056 threads", [](Bench& bench) { return refused(bench, 1, 1056, 0, bench.output); });
  check_refused("blocks; x up to", [](Bench& bench) { return refused(bench, dim3(1, 65536), 32, 0, bench.output); });
  check_refused("50000 bytes of dynamic shared memory, 49152 are allowed", [](Bench& bench) { return refused(bench, 1, 32, 50000, bench.output); });
  hostcuda::set_capability(75);
  check_refused("at most 65536", [](Bench&) { return cudaFuncSetAttribute(reinterpret_cast<const void*>(&write_at), cudaFuncAttributeMaxDynamicSharedMemorySize, 65537); });
  hostcuda::set_capability(80);
  check_refused("a stream of device 0, but the current device is 1", [](Bench& bench) {
    cudaSetDevice(1);
    const cudaError_t status = refused(bench, 1, 32, 0, bench.output);
    return cudaSetDevice(0), status;
  });
  CHECK(contains(message_of([] { Bench().run(write_at, 1, 2000, 0, nullptr, 0); }), "kernel bugs::write_at(float*, int): invalid configuration argument"));
}
