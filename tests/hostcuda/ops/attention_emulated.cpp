// What only an emulated GPU shows: another capability, and how much was done.
#include <hostcuda/control.hpp>

#include "attention_case.hpp"
#include "support/messages.hpp"

using namespace terse;

TEST_CASE("attention on CUDA at capability 7.5: fp16 by chained products, bf16 refused") {
  hostcuda::set_capability(75);
  check_attention<half, 2, 16>({40, 3}, tenth);
  if constexpr (!is_sanitized) {
    const Cuda cuda;
    const auto forward = [&] { ops::forward(cuda, ops::Attention<2>{}, PackedBatch{}, {}, Rows<bfloat16, 384>{}, Rows<bfloat16, 128>{}, ops::Attention<2>::Saved<float>{}); };
    CHECK(message_of(forward) == "cuda:0 has compute capability 7.5, bf16 needs 8.0; use fp16");
  }
  hostcuda::set_capability(80);
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
