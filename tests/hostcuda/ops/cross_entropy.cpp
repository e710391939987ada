#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/cross_entropy/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

namespace {

template <Real D, Index V, Index P>
void check(Index rows, float smoothing = 0) {
  on_both_devices([rows, smoothing](OpRun& run) {
    std::vector<std::int32_t> ids;
    for (Index n = 0; n < rows; ++n) ids.push_back(static_cast<std::int32_t>(n == 0 ? V - 1 : n * 5 % V));
    const auto targets = run.values(ids);
    const auto logits = run.input<float>(rows * P, 16), weights = run.input<float>(rows), loss = run.output<float>(rows), again = run.output<float>(rows);
    const auto scale = run.values(std::vector<float>{1024});
    const auto slopes = run.output<D>(rows * P);
    ops::cross_entropy<V>(run.cpu, Rows<const float, P>{logits.cpu(), rows}, ids, Column<float>{loss.cpu(), rows});
    ops::cross_entropy_with_gradient<V>(run.cpu, Rows<const float, P>{logits.cpu(), rows}, ids, {weights.cpu(), weights.size()}, Column<float>{again.cpu(), rows},
                                        Rows<D, P>{slopes.cpu(), rows}, scale.cpu(), smoothing);
    const std::span<const std::int32_t> on_gpu(targets.gpu(), targets.size());
    ops::cross_entropy<V>(run.cuda, Rows<const float, P>{logits.gpu(), rows}, on_gpu, Column<float>{loss.gpu(), rows});
    ops::cross_entropy_with_gradient<V>(run.cuda, Rows<const float, P>{logits.gpu(), rows}, on_gpu, {weights.gpu(), weights.size()}, Column<float>{again.gpu(), rows},
                                        Rows<D, P>{slopes.gpu(), rows}, scale.gpu(), smoothing);
    run.agrees("loss", loss, 1), run.agrees("loss again", again, 1), run.agrees("slopes", slopes, P);
  });
}

}  // namespace

TEST_CASE("cross-entropy on CUDA, with its gradient") {
  for_each_dtype([]<Real D>(D) {
    for (const Index rows : {1, 3, 65}) check<D, 5, 8>(rows), check<D, 50, 56>(rows);
    check<D, 5003, 5120>(3);
  });
}

TEST_CASE("cross-entropy on CUDA with smoothed labels") {
  for_each_dtype([]<Real D>(D) {
    for (const Index rows : {1, 65}) check<D, 5, 8>(rows, 0.1f), check<D, 50, 56>(rows, 0.9f);
    check<D, 5003, 5120>(3, 0.1f);
  });
}

TEST_CASE("slopes may take the place of the logits, and rows behind the targets are zero") {
  for (const float smoothing : {0.0f, 0.1f})
    on_both_devices([smoothing](OpRun& run) {
      constexpr Index V = 5003, P = 5120, rows = 64, count = 3;
      const std::vector<std::int32_t> ids{5002, 0, 17};
      const auto targets = run.values(ids);
      const auto logits = run.input<float>(rows * P, 16), weights = run.input<float>(count), loss = run.output<float>(count), slopes = run.output<float>(count * P);
      ops::cross_entropy_with_gradient<V>(run.cpu, Rows<const float, P>{logits.cpu(), count}, ids, {weights.cpu(), count}, Column<float>{loss.cpu(), count}, Rows<float, P>{slopes.cpu(), count}, nullptr, smoothing);
      ops::cross_entropy_with_gradient<V>(run.cuda, Rows<const float, P>{logits.gpu(), rows}, {targets.gpu(), count}, {weights.gpu(), count}, Column<float>{loss.gpu(), count},
                                          Rows<float, P>{logits.gpu(), rows}, nullptr, smoothing);
      const auto got = logits.from_gpu();
      double worst = 0;
      for (Index n = 0; n < rows; ++n)
        for (Index v = 0; v < P; ++v) {
          const double want = n < count ? static_cast<double>(slopes.cpu()[n * P + v]) : 0.0;
          worst = std::max(worst, std::abs(static_cast<double>(got[static_cast<std::size_t>(n * P + v)]) - want));
        }
      CHECK(worst <= 1e-5);  // slopes are at most as large as weights: 2
      run.agrees("loss", loss, 1);
      CHECK(logits.fences_intact());
    });
}

TEST_CASE("a logit that isn't finite makes the loss NaN on CUDA, as on the CPU") {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    on_both_devices([bad](OpRun& run) {
      constexpr Index V = 50, P = 56;
      std::vector<float> values(2 * P, 1.0f);
      values[7] = bad;
      const auto logits = run.values(values), loss = run.output<float>(2);
      const auto targets = run.values(std::vector<std::int32_t>{3, 3});
      run([&](auto& device, auto at) { ops::cross_entropy<V>(device, Rows<const float, P>{at(logits), 2}, std::span<const TokenId>(at(targets), 2), Column<float>{at(loss), 2}); });
      run.agrees("loss", loss, 1);
      CHECK(std::isnan(loss.from_gpu()[0]));
    });
}

TEST_CASE("a batch's loss is summed on the GPU") {
  for (const Index n : {0, 1, 255, 1000})
    on_both_devices([n](OpRun& run) {
      const auto weights = run.input<float>(n), losses = run.input<float>(n);
      const auto total = run.output<double>(1);
      ops::weighted_sum(run.cuda, std::span<const float>(weights.gpu(), weights.size()), Column<float>{losses.gpu(), n}, total.gpu());
      const double want = ops::weighted_sum(std::span<const float>(weights.cpu(), weights.size()), Column<float>{losses.cpu(), n});
      CHECK(std::abs(total.from_gpu()[0] - want) <= 1e-12 * static_cast<double>(n));
      CHECK(total.fences_intact());
    });
}
