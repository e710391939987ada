// Right kernels give right results, bitwise alike whatever the order of threads, blocks and streams.
#include "support/catch.hpp"

#include <numeric>
#include <random>

#include <cub/cub.cuh>
#include <cub/device/device_radix_sort.cuh>
#include <cuda_fp16.h>
#include <terse/device/bounds.cuh>
#include <terse/device/ptx.cuh>
#include <terse/device/shared.cuh>

#include "hostcuda/self/device.hpp"

using terse::device::launch;

static_assert(terse::device::ptx_is_hostcuda && terse::device::shared_is_hostcuda && terse::device::bounds_are_hostcuda, "the library's own headers came first");

namespace {

constexpr int threads = 128;
struct RowSumShared {
  float of_warp[threads / 32];
};

__global__ void row_sum(float* sums, const float* rows, int columns) {
  auto& shared = terse::device::shared<RowSumShared>();
  const int thread = static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int c = thread; c < columns; c += threads) sum += rows[static_cast<int>(blockIdx.x) * columns + c];
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (thread % 32 == 0) shared.of_warp[thread / 32] = sum;
  __syncthreads();
  float total = 0;
  for (const float part : shared.of_warp) total += part;
  if (thread == threads - 1) sums[blockIdx.x] = total;
}

struct TileShared {
  float tile[32][33];
};
__global__ void transpose(float* to, const float* from, int rows, int columns) {   // block (32, 8)
  auto& shared = terse::device::shared<TileShared>();
  const int x = static_cast<int>(blockIdx.x * 32 + threadIdx.x), y = static_cast<int>(blockIdx.y * 32 + threadIdx.y);
  for (unsigned j = 0; j < 32; j += 8)
    if (x < columns && y + static_cast<int>(j) < rows) shared.tile[threadIdx.y + j][threadIdx.x] = from[(y + static_cast<int>(j)) * columns + x];
  __syncthreads();
  const int u = static_cast<int>(blockIdx.y * 32 + threadIdx.x), v = static_cast<int>(blockIdx.x * 32 + threadIdx.y);
  for (unsigned j = 0; j < 32; j += 8)
    if (u < rows && v + static_cast<int>(j) < columns) to[(v + static_cast<int>(j)) * rows + u] = shared.tile[threadIdx.x][threadIdx.y + j];
}

struct ProductShared {
  alignas(16) terse::half a[16][16 + 8], b[16][8 + 8];
};
// c (16, 8) = a (16, K) b (K, 8) by one warp; copies of the next values are under way while these are multiplied.
template <int k_step>
__global__ void product(float* c, const terse::half* a, const terse::half* b, int k) {
  auto& shared = terse::device::shared<ProductShared>();
  const int lane = static_cast<int>(threadIdx.x);
  float sum[4] = {};
  for (int first = 0; first < k; first += 16) {
    terse::device::copy_async_16(&shared.a[lane / 2][lane % 2 * 8], a + (lane / 2) * k + first + lane % 2 * 8);
    if (lane < 16) terse::device::copy_async_16(&shared.b[lane][0], b + (first + lane) * 8);
    terse::device::commit_copies();
    terse::device::wait_for_copies<0>();
    __syncwarp();
    for (int inner = 0; inner < 16; inner += k_step) {
      std::uint32_t left[k_step / 4], right[k_step / 8];
      if constexpr (k_step == 16) terse::device::ldmatrix(left, &shared.a[lane % 16][lane / 16 * 8]);
      else terse::device::ldmatrix(left, &shared.a[lane % 16][inner]);
      terse::device::ldmatrix_transposed(right, &shared.b[inner + lane % k_step][0]);
      terse::device::mma<terse::half>(sum, left, right);
    }
    __syncwarp();
  }
  for (int i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sum[i];
}

__global__ void count_odd(unsigned* count, const float* values, int size) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const bool odd = i < size && static_cast<int>(values[i]) % 2 == 1;
  const unsigned votes = __ballot_sync(~0u, odd);
  if (threadIdx.x % 32 == 0) atomicAdd(count, static_cast<unsigned>(__popc(votes)));
}

struct CubShared {
  cub::BlockReduce<float, threads>::TempStorage sum;
  cub::BlockScan<int, threads>::TempStorage scan;
};
__global__ void by_cub(float* total, int* places) {
  auto& shared = terse::device::shared<CubShared>();
  const float sum = cub::BlockReduce<float, threads>(shared.sum).Sum(static_cast<float>(threadIdx.x));
  if (threadIdx.x == 0) *total = sum;
  int place = -1;
  cub::BlockScan<int, threads>(shared.scan).ExclusiveSum(threadIdx.x % 3 == 0 ? 1 : 0, place);
  places[threadIdx.x] = place;
}

__global__ void ends_early(float* values, int size) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread >= size) return;
  __syncthreads();
  const int others = __syncthreads_count(thread % 2 == 0);
  values[thread] = static_cast<float>(others);
}

template <class T, class Run>
void check_alike(Run run, const std::vector<T>& expected) {
  for (const std::uint64_t seed : hostcuda::seeds()) {
    hostcuda::set_seed(seed);
    INFO("seed " << seed);
    Device device;
    const std::vector<T> result = run(device);
    CHECK(device.verdict().empty());
    CHECK(result == expected);
  }
  hostcuda::set_seed(0);
}

std::vector<terse::half> halves(std::size_t count, unsigned draw) {
  std::mt19937 random(draw);
  std::vector<terse::half> values;
  for (std::size_t i = 0; i < count; ++i) values.emplace_back(static_cast<float>(static_cast<int>(random() % 17) - 8));
  return values;
}

}  // namespace

TEST_CASE("sums by shuffles and shared memory") {
  check_alike<float>(
      [](Device& device) {
        auto* const sums = device.allocate<float>(5);
        launch(device.stream(), row_sum, {5, threads, sizeof(RowSumShared)}, sums, device.copy(counting(1000)), 200);
        return device.read(sums, 5);
      },
      {19900, 59900, 99900, 139900, 179900});
}

TEST_CASE("a transpose by tiles in shared memory") {
  constexpr int rows = 70, columns = 45;
  std::vector<float> expected(rows * columns);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) expected[static_cast<std::size_t>(c * rows + r)] = static_cast<float>(r * columns + c);
  check_alike<float>(
      [](Device& device) {
        auto* const to = device.allocate<float>(rows * columns);
        launch(device.stream(), transpose, {dim3(2, 3), dim3(32, 8), sizeof(TileShared)}, to, device.copy(counting(rows * columns)), rows, columns);
        return device.read(to, rows * columns);
      },
      expected);
}

TEST_CASE("products by ldmatrix, mma and asynchronous copies") {
  constexpr int k = 48;
  const auto a = halves(16 * k, 1), b = halves(k * 8, 2);
  std::vector<float> expected(16 * 8);
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t j = 0; j < 8; ++j)
      for (std::size_t n = 0; n < k; ++n) expected[i * 8 + j] += float(a[i * k + n]) * float(b[n * 8 + j]);
  for (const int capability : {75, 80}) {
    hostcuda::set_capability(capability);
    INFO("capability " << capability);
    const auto by = [&](auto kernel) {
      return [&a, &b, kernel](Device& device) {
        auto* const c = device.allocate<float>(16 * 8);
        launch(device.stream(), kernel, {1, 32, sizeof(ProductShared)}, c, device.copy(a), device.copy(b), k);
        return device.read(c, 16 * 8);
      };
    };
    check_alike<float>(by(product<8>), expected);
    check_alike<float>(by(product<16>), expected);
  }
  hostcuda::set_capability(80);
}

TEST_CASE("votes and atomics") {
  check_alike<unsigned>(
      [](Device& device) {
        auto* const count = device.copy(std::vector<unsigned>{0});
        launch(device.stream(), count_odd, {4, 96}, count, device.copy(counting(333)), 333);
        return device.read(count, 1);
      },
      {166});
}

TEST_CASE("CUB's reduction and scan of a block") {
  check_alike<int>(
      [](Device& device) {
        auto* const total = device.allocate<float>(1);
        auto* const places = device.allocate<int>(threads);
        launch(device.stream(), by_cub, {1, threads, sizeof(CubShared)}, total, places);
        const auto found = device.read(places, threads);
        return std::vector<int>{static_cast<int>(device.read(total, 1)[0]), found[0], found[1], found[127]};
      },
      {8128, 0, 1, 43});
}

TEST_CASE("threads that have ended are not waited for") {
  check_alike<float>(
      [](Device& device) {
        auto* const values = device.allocate<float>(64);
        launch(device.stream(), ends_early, {1, 64}, values, 41);
        return device.read(values, 41);
      },
      std::vector<float>(41, 21.0f));
}

TEST_CASE("CUB's sort keeps pairs of equal keys in order") {
  check_alike<int>(
      [](Device& device) {
        constexpr int size = 6;
        const int *const keys = device.copy(std::vector<int>{3, 1, 3, 0, 1, 3 + 16}), *const values = device.copy(std::vector<int>{0, 1, 2, 3, 4, 5});
        auto *const sorted_keys = device.allocate<int>(size), *const sorted_values = device.allocate<int>(size);
        std::size_t bytes = 0;
        const auto sort = [&](void* storage) { return cub::DeviceRadixSort::SortPairs(storage, bytes, keys, sorted_keys, values, sorted_values, size, 0, 4, device.stream()); };
        CHECK(sort(nullptr) == cudaSuccess);
        CHECK(sort(device.allocate<char>(bytes)) == cudaSuccess);
        CHECK(sort(sorted_keys) == cudaErrorIllegalAddress);   // too little storage there
        auto found = device.read(sorted_keys, size);
        const auto order = device.read(sorted_values, size);
        found.insert(found.end(), order.begin(), order.end());
        return found;
      },
      {0, 1, 1, 3, 3, 19, 3, 1, 4, 0, 2, 5});
}
