#include <terse/ops/swiglu/cpu.hpp>
#include <terse/ops/swiglu/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

TEST_CASE("SwiGLU on CUDA, forward and backward") {
  for_each_dtype([]<Real T>(T) {
    for_each_width([](auto width) {
      constexpr Index M = decltype(width)::value;
      for (const Index rows : {1, 3, 65})
        on_both_devices([rows](OpRun& run) {
          const auto x = run.input<T>(rows * 2 * M, 8), dy = run.input<T>(rows * M), y = run.output<T>(rows * M), again = run.output<T>(rows * M);
          const auto dx = run.output<T>(rows * 2 * M);
          run([&](auto& device, auto at) {
            const Rows<const T, 2 * M> in{at(x), rows};
            ops::swiglu_forward(device, in, Rows<T, M>{at(y), rows});
            ops::swiglu_backward(device, in, Rows<T, M>{at(again), rows}, Rows<const T, M>{at(dy), rows}, Rows<T, 2 * M>{at(dx), rows});
          });
          run.agrees("y", y, M), run.agrees("y again", again, M), run.agrees("dx", dx, M);
        });
    });
  });
}

TEST_CASE("SwiGLU on CUDA: a gate far from zero passes all or nothing") {
  on_both_devices([](OpRun& run) {
    constexpr Index M = 8;
    const auto x = run.values(std::vector<float>{100, -100, 1000, -1000, 0, 88, -89, 1, 3, 3, 3, 3, 3, 3, 3, 3});
    const auto dy = run.values(std::vector<float>(M, 1.0f)), y = run.output<float>(M), dx = run.output<float>(2 * M);
    run([&](auto& device, auto at) { ops::swiglu_backward(device, Rows<float, 2 * M>{at(x), 1}, Rows<float, M>{at(y), 1}, Rows<float, M>{at(dy), 1}, Rows<float, 2 * M>{at(dx), 1}); });
    run.agrees("y", y, M), run.agrees("dx", dx, M);
    const auto slopes = dx.from_gpu();
    CHECK(y.from_gpu()[2] == 3000);
    CHECK(y.from_gpu()[3] == 0);
    for (const float slope : slopes) CHECK(std::isfinite(slope));
  });
}
