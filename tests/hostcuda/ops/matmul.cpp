#include <terse/ops/matmul/cpu.hpp>
#include <terse/ops/matmul/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

namespace {

template <Real T, Real Y, Index In, Index Out>
void check(Index rows) {
  on_both_devices([rows](OpRun& run) {
    const auto x = run.input<T>(rows * In), w = run.input<T>(In * Out), dy = run.input<T>(rows * Out);
    const auto y = run.output<Y>(rows * Out), dx = run.output<Y>(rows * In);
    const auto dw = run.output<float>(In * Out), sum = run.input<float>(In * Out);
    run([&](auto& device, auto at) {
      const Rows<const T, In> in{at(x), rows};
      const Rows<const T, Out> slopes{at(dy), rows};
      ops::matmul(device, in, Matrix<const T, In, Out>{at(w)}, Rows<Y, Out>{at(y), rows});
      ops::matmul_transposed(device, slopes, Matrix<const T, In, Out>{at(w)}, Rows<Y, In>{at(dx), rows});
      ops::matmul_gradient(device, in, slopes, Matrix<float, In, Out>{at(dw)}, Write::overwrite);
      ops::matmul_gradient(device, in, slopes, Matrix<float, In, Out>{at(sum)}, Write::accumulate);
    });
    run.agrees("y", y, Out), run.agrees("dx", dx, In), run.agrees("dw", dw, Out), run.agrees("sum", sum, Out);
  });
}

}  // namespace

TEST_CASE("matrix products on CUDA: forward, the input's gradient, the weight's") {
  for_each_dtype([]<Real T>(T) {
    if (!multiplies<T>()) return;
    for (const Index rows : {1, 3, 65}) check<T, T, 8, 24>(rows), check<T, float, 24, 200>(rows), check<T, T, 96, 8>(rows);
  });
  check<half, half, 96, 288>(64);
}

// With the bias in cuBLASLt's epilogue, and without, as a card may have none for a product.
TEST_CASE("products with a bias on CUDA, fused or not") {
  for_each_dtype([]<Real T>(T) {
    constexpr Index In = 24, Out = 200;
    for (const bool fused : {true, false})
      for (const Index rows : {1, 65})
        on_both_devices([=](OpRun& run) {
          gpu::set_epilogues(fused);
          const auto x = run.input<T>(rows * In), w = run.input<T>(In * Out), bias = run.input<T>(Out), y = run.output<T>(rows * Out);
          run([&](auto& device, auto at) {
            ops::matmul_bias(device, Rows<const T, In>{at(x), rows}, Matrix<const T, In, Out>{at(w)}, Vector<const T, Out>{at(bias)}, Rows<T, Out>{at(y), rows});
          });
          run.agrees("y", y, Out, bias_tolerance(dtype_of<T>()));
          gpu::set_epilogues(true);
        });
  });
}

TEST_CASE("a bias that isn't aligned is refused") {
  OpRun run;
  const auto x = run.input<half>(8), w = run.input<half>(64), bias = run.input<half>(9), y = run.output<half>(8);
  CHECK_THROWS_AS(ops::matmul_bias(run.cuda, Rows<const half, 8>{x.gpu(), 1}, Matrix<const half, 8, 8>{w.gpu()}, Vector<const half, 8>{bias.gpu() + 1}, Rows<half, 8>{y.gpu(), 1}), Error);
  run.cuda.synchronize();
}

TEST_CASE("a product of no rows is nothing") {
  on_both_devices([](OpRun& run) {
    const auto x = run.input<float>(8), w = run.input<float>(64), y = run.input<float>(8);
    ops::matmul(run.cuda, Rows<const float, 8>{x.gpu(), 0}, Matrix<const float, 8, 8>{w.gpu()}, Rows<float, 8>{y.gpu(), 0});
    run.equals("y", y);
  });
}
