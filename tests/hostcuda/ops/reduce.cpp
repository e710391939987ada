#include <terse/ops/reduce/cpu.hpp>
#include <terse/ops/reduce/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

TEST_CASE("bias and its gradient on CUDA") {
  for_each_dtype([]<Real T>(T) {
    for_each_width([](auto width) {
      constexpr Index C = decltype(width)::value;
      for (const Index rows : {1, 3, 65, 130})
        on_both_devices([rows](OpRun& run) {
          const auto bias = run.input<T>(C), y = run.input<T>(rows * C), dy = run.input<T>(rows * C);
          const auto dbias = run.input<float>(C);
          run([&](auto& device, auto at) {
            ops::add_bias(device, Vector<const T, C>{at(bias)}, Rows<T, C>{at(y), rows});
            ops::bias_gradient(device, Rows<const T, C>{at(dy), rows}, Vector<float, C>{at(dbias)});
          });
          run.agrees("y", y, C), run.agrees("dbias", dbias, C);
        });
    });
  });
}

TEST_CASE("a bias's gradient over more rows than there are chunks of 32") {
  on_both_devices([](OpRun& run) {
    constexpr Index rows = 64 * 32 + 7, C = 24;
    const auto dy = run.input<float>(rows * C), dbias = run.input<float>(C);
    run([&](auto& device, auto at) { ops::bias_gradient(device, Rows<const float, C>{at(dy), rows}, Vector<float, C>{at(dbias)}); });
    run.agrees("dbias", dbias, C);
  });
}

namespace {

// What the GPU leaves in its memory; the CPU returns it.
double sum_of_squares(OpRun& run, const Data<float>& x, Index n) {
  const auto total = run.output<double>(1);
  ops::sum_of_squares(run.cuda, static_cast<const float*>(x.gpu()), n, total.gpu());
  return total.from_gpu()[0];
}
bool all_finite(OpRun& run, const Data<float>& x, Index n) {
  const auto answer = run.values<std::uint8_t>(std::vector<std::uint8_t>{0xFF});
  ops::all_finite(run.cuda, static_cast<const float*>(x.gpu()), n, reinterpret_cast<bool*>(answer.gpu()));
  const auto got = answer.from_gpu()[0];
  REQUIRE(got <= 1);
  return got == 1;
}

}  // namespace

TEST_CASE("sum of squares and all_finite on CUDA") {
  for (const Index n : {Index{1}, Index{5}, Index{1023}, Index{is_sanitized ? 5003 : 1024 * 512 + 3}})
    on_both_devices([n](OpRun& run) {
      const auto x = run.input<float>(n);
      const double want = ops::sum_of_squares(run.cpu, static_cast<const float*>(x.cpu()), n);
      CHECK(std::abs(sum_of_squares(run, x, n) - want) <= 1e-6 * want);
      CHECK(all_finite(run, x, n));
      for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
        for (const Index at : {Index{0}, n / 2, n - 1}) {
          std::vector<float> values(x.cpu(), x.cpu() + n);
          values[static_cast<std::size_t>(at)] = bad;
          const auto damaged = run.values(values);
          CHECK_FALSE(all_finite(run, damaged, n));
          CHECK_FALSE(std::isfinite(sum_of_squares(run, damaged, n)));
          if (n > 100000) break;
        }
    }, ops::sum_workspace());
}

TEST_CASE("nothing to sum: zero, and finite") {
  on_both_devices([](OpRun& run) {
    const auto x = run.input<float>(4);
    CHECK(sum_of_squares(run, x, 0) == 0);
    CHECK(all_finite(run, x, 0));
  });
}
