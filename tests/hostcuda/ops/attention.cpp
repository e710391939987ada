#include <algorithm>
#include <limits>

#include <terse/ops/attention/cpu.hpp>
#include <terse/ops/attention/cuda.cuh>

#include "gpu_batch.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

const ops::Dropout tenth = ops::DropoutPlan{0.1f, 1234}.at(ops::DropoutSite::attention_probabilities, 3);

/// Forward and backward on both devices.
template <Real T, Index heads, Index D>
void check(const std::vector<int>& lengths, const ops::Dropout& dropout) {
  constexpr Index C = heads * D;
  using Op = ops::Attention<heads>;
  INFO("head size " << D << ", " << lengths.size() << " documents, the first of " << lengths[0] << (dropout.active() ? ", dropout" : ""));
  on_both_devices([&](OpRun& run) {
    const auto owned = OwnedBatch::of_lengths(lengths, 100);
    const GpuBatch batch(run, owned);
    const Index rows = owned.tokens();
    const auto qkv = run.input<T>(rows * 3 * C), dout = run.input<T>(rows * C);
    const auto out = run.output<T>(rows * C), dqkv = run.output<T>(rows * 3 * C);
    const auto log_sums = run.output<float>(rows * heads);
    run([&](auto& device, auto at) {
      const typename Op::template Saved<float> saved{{at(log_sums), rows}};
      ops::forward(device, Op{}, batch(at), dropout, Rows<T, 3 * C>{at(qkv), rows}, Rows<T, C>{at(out), rows}, saved);
      ops::backward(device, Op{}, batch(at), dropout, Rows<T, 3 * C>{at(qkv), rows}, Rows<T, C>{at(out), rows}, saved, Rows<T, C>{at(dout), rows},
                    Rows<T, 3 * C>{at(dqkv), rows});
    });
    run.agrees("log_sums", log_sums, heads);
    run.agrees("out", out, C, attention_tolerance(dtype_of<T>()));
    run.agrees("dqkv", dqkv, 3 * C, attention_tolerance(dtype_of<T>()));
  });
}

/// Lengths around those of a group, a tile and a block; documents together and alone. Sanitizers look at what doesn't need many shapes.
template <Real T, Index heads, Index D>
void check_lengths() {
  const std::vector<std::vector<int>> batches = is_sanitized ? std::vector<std::vector<int>>{{1, 70, 17}} : std::vector<std::vector<int>>{{1, 2, 7, 63, 64, 65, 130}, {97}};
  for (const auto& lengths : batches)
    for (const ops::Dropout& dropout : {ops::Dropout{}, tenth}) check<T, heads, D>(lengths, dropout);
}

}  // namespace

TEST_CASE("attention on CUDA: fp32 agrees with the CPU to 1e-5") {
  check_lengths<float, 2, 8>();
  if constexpr (!is_sanitized) check_lengths<float, 1, 64>(), check<float, 1, 128>({65, 20}, tenth);
}

TEST_CASE("attention on CUDA: fp16 on tensor cores") {
  check_lengths<half, 2, 16>();
  if constexpr (!is_sanitized) check_lengths<half, 1, 64>(), check<half, 3, 32>({65, 20}, tenth), check<half, 1, 128>({65, 20}, tenth);
}

TEST_CASE("attention on CUDA: bf16 on tensor cores, where they have it") {
  if constexpr (!is_sanitized) check_lengths<bfloat16, 1, 64>();
  hostcuda::set_capability(75);
  check<half, 2, 16>({40, 3}, tenth);
  if constexpr (!is_sanitized) {
    const Cuda cuda;
    const auto forward = [&] { ops::forward(cuda, ops::Attention<2>{}, PackedBatch{}, {}, Rows<bfloat16, 384>{}, Rows<bfloat16, 128>{}, ops::Attention<2>::Saved<float>{}); };
    CHECK(message_of(forward) == "cuda:0 has compute capability 7.5, bf16 needs 8.0; use fp16");
  }
  hostcuda::set_capability(80);
}

namespace {

/// The bits of what attention gives the rows of one document of `batch`, all other documents' inputs being NaN.
template <Real T, Index heads, Index D>
std::vector<T> rows_of_document(const OwnedBatch& owned, int document, Index length) {
  constexpr Index C = heads * D;
  using Op = ops::Attention<heads>;
  const Index rows = owned.tokens(), first = owned.first_row(document);
  OpRun run(ops::attention_workspace(rows, heads));
  const auto with_document = [&](Index columns) {
    std::vector<T> all(static_cast<std::size_t>(rows * columns), T(std::numeric_limits<float>::quiet_NaN()));
    RandomStream random(1, RandomUse::synthesize);
    std::generate_n(all.begin() + first * columns, length * columns, [&] { return T(random.uniform() * 4 - 2); });
    return run.values(std::move(all));
  };
  const GpuBatch batch(run, owned);
  const auto qkv = with_document(3 * C), dout = with_document(C), out = run.output<T>(rows * C), dqkv = run.output<T>(rows * 3 * C);
  const auto log_sums = run.output<float>(rows * heads);
  const typename Op::template Saved<float> saved{{log_sums.gpu(), rows}};
  ops::forward(run.cuda, Op{}, batch(AtGpu{}), tenth, Rows<T, 3 * C>{qkv.gpu(), rows}, Rows<T, C>{out.gpu(), rows}, saved);
  ops::backward(run.cuda, Op{}, batch(AtGpu{}), tenth, Rows<T, 3 * C>{qkv.gpu(), rows}, Rows<T, C>{out.gpu(), rows}, saved, Rows<T, C>{dout.gpu(), rows},
                Rows<T, 3 * C>{dqkv.gpu(), rows});
  const auto outs = out.from_gpu(), slopes = dqkv.from_gpu();
  std::vector<T> result(outs.begin() + first * C, outs.begin() + (first + length) * C);
  result.insert(result.end(), slopes.begin() + first * 3 * C, slopes.begin() + (first + length) * 3 * C);
  return result;
}

template <Real T>
void check_packing() {
  const auto bits = [](const OwnedBatch& batch, int document) {
    std::vector<float> result;
    for (const T value : rows_of_document<T, 2, 16>(batch, document, 70)) result.push_back(static_cast<float>(value));
    return result;
  };
  const auto alone = bits(OwnedBatch({{70, 8}}, 9), 0);
  CHECK(std::none_of(alone.begin(), alone.end(), [](float value) { return std::isnan(value); }));
  CHECK(alone == bits(OwnedBatch({{5, 1}, {70, 8}, {40, 3}}, 9), 1));
  CHECK(alone == bits(OwnedBatch({{40, 3}, {1, 2}, {64, 1}, {70, 8}}, 9), 3));
  CHECK(alone != bits(OwnedBatch({{70, 9}}, 9), 0));  // other draws
}

}  // namespace

TEST_CASE("attention on CUDA: a document's bits don't depend on the packing, nor on what stands beside it") {
  check_packing<half>();
  if constexpr (!is_sanitized) check_packing<float>();
}

namespace {

/// What the machine counts while attention goes forward and backward: one head of 16 columns in fp16.
hostcuda::Statistics work_of(const std::vector<int>& lengths) {
  using Op = ops::Attention<1>;
  constexpr Index C = 16;
  const auto owned = OwnedBatch::of_lengths(lengths, 100);
  const Index rows = owned.tokens();
  OpRun run(ops::attention_workspace(rows, 1));
  const GpuBatch batch(run, owned);
  const auto qkv = run.input<half>(rows * 3 * C), dout = run.input<half>(rows * C), out = run.output<half>(rows * C), dqkv = run.output<half>(rows * 3 * C);
  const auto log_sums = run.output<float>(rows);
  const typename Op::Saved<float> saved{{log_sums.gpu(), rows}};
  const auto before = hostcuda::statistics();
  ops::forward(run.cuda, Op{}, batch(AtGpu{}), {}, Rows<half, 3 * C>{qkv.gpu(), rows}, Rows<half, C>{out.gpu(), rows}, saved);
  ops::backward(run.cuda, Op{}, batch(AtGpu{}), {}, Rows<half, 3 * C>{qkv.gpu(), rows}, Rows<half, C>{out.gpu(), rows}, saved, Rows<half, C>{dout.gpu(), rows}, Rows<half, 3 * C>{dqkv.gpu(), rows});
  run.cuda.synchronize();
  const auto after = hostcuda::statistics();
  return {.barriers = after.barriers - before.barriers, .warp_operations = after.warp_operations - before.warp_operations};
}

/// The same, counted by hand: a barrier for each tile of 32 rows that a block of 64 loads; for each 16 x 16 scores on the diagonal or below 27 loads
/// and products of matrices (two products forward, three and four backward, each an ldmatrix and two mma), 4 shuffles for a warp's tile, and 4 for
/// each of its two sums at the end of the forward kernel and at the beginning of the backward one.
hostcuda::Statistics least_work(const std::vector<int>& lengths) {
  hostcuda::Statistics work;
  const auto up = [](int n, int part) { return static_cast<std::uint64_t>((n + part - 1) / part); };
  for (const int length : lengths) {
    for (int first = 0; first < length; first += 64) work.barriers += 2 * up(std::min(length, first + 64), 32) + up(length - first, 32);
    const std::uint64_t groups = up(length, 16);
    work.warp_operations += 27 * groups * (groups + 1) / 2 + 4 * groups + 4 * 4 * up(length, 64);
    for (std::uint64_t group = 0; group < groups; ++group) work.warp_operations += 4 * (group / 2 + 1);
  }
  return work;
}

}  // namespace

TEST_CASE("attention on CUDA: no work beyond a document's end, nor above its diagonal") {
  for (const auto& lengths : std::vector<std::vector<int>>{{1}, {16}, {17}, {64}, {65}, {97}, {192}, {64, 64, 3}, {5, 130, 40}}) {
    INFO(lengths.size() << " documents, the first of " << lengths[0]);
    const auto work = work_of(lengths), least = least_work(lengths);
    CHECK(work.barriers == least.barriers);
    CHECK(work.warp_operations == least.warp_operations);
  }
}
