#include <terse/ops/r_drop/cpu.hpp>
#include <terse/ops/r_drop/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

namespace {

std::vector<std::int32_t> targets_of(Index rows, Index vocabulary) {
  std::vector<std::int32_t> ids;
  for (Index n = 0; n < rows; ++n) ids.push_back(static_cast<std::int32_t>(n == 0 ? vocabulary - 1 : n * 5 % vocabulary));
  return ids;
}

template <Real D, Index V, Index P>
void check(Index rows, LossTerms terms) {
  on_both_devices([rows, terms](OpRun& run) {
    const auto ids = targets_of(rows, V);
    const auto targets = run.values(ids);
    const auto logits = run.input<float>(rows * P, 4), weights = run.input<float>(rows), loss = run.output<float>(rows);
    const auto scale = run.values(std::vector<float>{1024});
    const auto slopes = run.output<D>(rows * P);
    ops::r_drop_with_gradient<V>(run.cpu, Rows<const float, P>{logits.cpu(), rows}, ids, {weights.cpu(), weights.size()}, Column<float>{loss.cpu(), rows},
                                 Rows<D, P>{slopes.cpu(), rows}, scale.cpu(), terms);
    ops::r_drop_with_gradient<V>(run.cuda, Rows<const float, P>{logits.gpu(), rows}, {targets.gpu(), targets.size()}, {weights.gpu(), weights.size()}, Column<float>{loss.gpu(), rows},
                                 Rows<D, P>{slopes.gpu(), rows}, scale.gpu(), terms);
    run.agrees("loss", loss, 1), run.agrees("slopes", slopes, P);
  });
}

}  // namespace

TEST_CASE("R-Drop on CUDA, its loss and gradient") {
  for_each_dtype([]<Real D>(D) {
    for (const Index rows : {2, 66}) check<D, 5, 8>(rows, {0, 1}), check<D, 8, 8>(rows, {0.1f, 0.5f}), check<D, 50, 56>(rows, {0.1f, 5});
    check<D, 5003, 5120>(4, {0, 1}), check<D, 5003, 5120>(2, {0.1f, 1});
  });
}

TEST_CASE("R-Drop's slopes may take the place of the logits, and rows behind the targets are zero") {
  for (const float smoothing : {0.0f, 0.1f})
    on_both_devices([smoothing](OpRun& run) {
      constexpr Index V = 5003, P = 5120, rows = 64, count = 4;
      const LossTerms terms{smoothing, 1};
      const auto ids = targets_of(count, V);
      const auto targets = run.values(ids);
      const auto logits = run.input<float>(rows * P, 4), weights = run.input<float>(count), loss = run.output<float>(count), slopes = run.output<float>(count * P);
      ops::r_drop_with_gradient<V>(run.cpu, Rows<const float, P>{logits.cpu(), count}, ids, {weights.cpu(), count}, Column<float>{loss.cpu(), count},
                                   Rows<float, P>{slopes.cpu(), count}, nullptr, terms);
      ops::r_drop_with_gradient<V>(run.cuda, Rows<const float, P>{logits.gpu(), rows}, {targets.gpu(), count}, {weights.gpu(), count}, Column<float>{loss.gpu(), count},
                                   Rows<float, P>{logits.gpu(), rows}, nullptr, terms);
      const auto got = logits.from_gpu();
      double worst = 0;
      for (Index n = 0; n < rows; ++n)
        for (Index v = 0; v < P; ++v) {
          const double want = n < count ? static_cast<double>(slopes.cpu()[n * P + v]) : 0.0;
          worst = std::max(worst, std::abs(static_cast<double>(got[static_cast<std::size_t>(n * P + v)]) - want));
        }
      CHECK(worst <= 1e-5);  // slopes are at most some times as large as weights: 2
      run.agrees("loss", loss, 1);
      CHECK(logits.fences_intact());
    });
}
