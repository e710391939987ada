#include <terse/ops/residual/cpu.hpp>
#include <terse/ops/residual/cuda.cuh>

#include "gpu_batch.hpp"

using namespace terse;

namespace {

constexpr ops::DropoutPlan residual_plan{0.1f, 1234};

}  // namespace

TEST_CASE("a branch joins the stream on CUDA, with the CPU's dropout") {
  for_each_dtype([]<Real P>(P) {
    for_each_width([](auto width) {
      constexpr Index C = decltype(width)::value;
      for (const auto& lengths : batch_lengths())
        for (const ops::Dropout& dropout : {ops::Dropout{}, residual_plan.at(ops::DropoutSite::mlp_projection, 3)})
          on_both_devices([&](OpRun& run) {
            const auto owned = OwnedBatch::of_lengths(lengths, 100);
            const GpuBatch batch(run, owned);
            const Index rows = owned.tokens();
            const auto x = run.input<float>(rows * C), branch = run.input<float>(rows * C), y = run.output<float>(rows * C);
            const auto bias = run.input<P>(C), dbranch = run.output<P>(rows * C);
            run([&](auto& device, auto at) {
              ops::residual<float, const P, C>(device, batch(at), dropout, {at(x), rows}, {at(branch), rows}, {at(bias)}, {at(y), rows});
              ops::apply_dropout(device, batch(at), dropout, Rows<const float, C>{at(y), rows}, Rows<P, C>{at(dbranch), rows});
            });
            run.agrees("y", y, C), run.agrees("dbranch", dbranch, C);
          });
    });
  });
}

TEST_CASE("dropout on CUDA drops what the CPU drops, in place too") {
  constexpr Index C = 200;
  const auto owned = OwnedBatch::of_lengths({1, 3, 40, 21}, 100);
  const Index rows = owned.tokens();
  on_both_devices([&](OpRun& run) {
    const GpuBatch batch(run, owned);
    const auto x = run.values(std::vector<float>(static_cast<std::size_t>(rows * C), 1.0f));
    run([&](auto& device, auto at) { ops::apply_dropout(device, batch(at), residual_plan.at(ops::DropoutSite::embedding), Rows<float, C>{at(x), rows}, Rows<float, C>{at(x), rows}); });
    run.equals("x", x);
    const auto values = x.from_gpu();
    const auto dropped = static_cast<double>(std::count(values.begin(), values.end(), 0.0f)) / static_cast<double>(values.size());
    CHECK(std::abs(dropped - 0.1) < 0.02);
  });
}

TEST_CASE("rows are added on CUDA") {
  for_each_dtype([]<Real X>(X) {
    on_both_devices([](OpRun& run) {
      constexpr Index C = 24, rows = 65;
      const auto x = run.input<X>(rows * C);
      const auto y = run.input<float>(rows * C);
      run([&](auto& device, auto at) { ops::add(device, Rows<X, C>{at(x), rows}, Rows<float, C>{at(y), rows}); });
      run.equals("y", y);
    });
  });
}
