#include <algorithm>
#include <limits>

#include "attention_case.hpp"

using namespace terse;

namespace {

/// Lengths around those of a group, a tile and a block; documents together and alone. Sanitizers look at what doesn't need many shapes.
template <Real T, Index heads, Index D>
void check_lengths() {
  const std::vector<std::vector<int>> batches = is_sanitized ? std::vector<std::vector<int>>{{1, 70, 17}} : std::vector<std::vector<int>>{{1, 2, 7, 63, 64, 65, 130}, {97}};
  for (const auto& lengths : batches)
    for (const ops::Dropout& dropout : {ops::Dropout{}, tenth}) check_attention<T, heads, D>(lengths, dropout);
}

}  // namespace

TEST_CASE("attention on CUDA: fp32 agrees with the CPU to 1e-5") {
  check_lengths<float, 2, 8>();
  if constexpr (!is_sanitized) check_lengths<float, 1, 64>(), check_attention<float, 1, 128>({65, 20}, tenth);
}

TEST_CASE("attention on CUDA: fp16 on tensor cores") {
  check_lengths<half, 2, 16>();
  if constexpr (!is_sanitized) check_lengths<half, 1, 64>(), check_attention<half, 3, 32>({65, 20}, tenth), check_attention<half, 1, 128>({65, 20}, tenth);
}

TEST_CASE("attention on CUDA: heads of queries that share keys and values") {
  check_attention<half, 6, 16, 2>({70, 17}, tenth);
  if constexpr (!is_sanitized) check_attention<float, 3, 8, 1>({65, 20}, tenth);
}

TEST_CASE("attention on CUDA: bf16 on tensor cores, where they have it") {
  if constexpr (!is_sanitized)
    if (multiplies<bfloat16>()) check_lengths<bfloat16, 1, 64>();
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
