// cast, fill, add, gelu: value by value.
#include <terse/ops/cast/cpu.hpp>
#include <terse/ops/cast/cuda.cuh>
#include <terse/ops/gelu/cpu.hpp>
#include <terse/ops/gelu/cuda.cuh>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/ops/reduce/cuda.cuh>
#include <terse/ops/residual/cpu.hpp>
#include <terse/ops/residual/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

TEST_CASE("cast on CUDA rounds as the CPU, to the bit") {
  for_each_dtype([]<Real To>(To) {
    on_both_devices([](OpRun& run) {
      // ties, denormals, overflow, infinities, NaN among them; a length that isn't a multiple of an access
      std::vector<float> values{0.0f, -0.0f, 1.00048828125f, 1.00146484375f, 65519.0f, 65520.0f, -70000.0f, 5.9604645e-8f, 2.9802322e-8f, 2.98023259e-8f, 1e-40f, 3.3895314e38f,
                                std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 6.1035156e-5f};
      for (int i = 0; i < 1027; ++i) values.push_back(std::sin(static_cast<float>(i)) * std::ldexp(1.0f, i % 40 - 20));
      const auto n = static_cast<Index>(values.size());
      const auto x = run.values(values);
      const auto y = run.output<To>(n);
      run([&](auto& device, auto at) { ops::cast(device, static_cast<const float*>(at(x)), at(y), n); });
      run.equals("y", y);
      const auto back = run.output<float>(n);
      run([&](auto& device, auto at) { ops::cast(device, static_cast<const To*>(at(y)), at(back), n); });
      run.equals("back", back);
    });
  });
}

TEST_CASE("fill on CUDA") {
  for_each_dtype([]<Real T>(T) {
    for (const Index n : {1, 7, 1024, 2051})
      on_both_devices([n](OpRun& run) {
        const auto x = run.output<T>(n);
        run([&](auto& device, auto at) { ops::fill(device, at(x), n, T(1.5f)); });
        run.equals("filled", x);
      });
  });
}

TEST_CASE("add on CUDA") {
  for (const Index n : {1, 7, 1024, 2051})
    on_both_devices([n](OpRun& run) {
      const auto y = run.input<float>(n), sum = run.input<float>(n);
      run([&](auto& device, auto at) { ops::add(device, static_cast<const float*>(at(y)), at(sum), n); });
      run.equals("sum", sum);
    });
}

TEST_CASE("gelu on CUDA, forward and backward") {
  const auto check = []<ops::Gelu gelu>(std::integral_constant<ops::Gelu, gelu>) {
    for_each_dtype([]<Real T>(T) {
      for_each_width([](auto width) {
        constexpr Index C = decltype(width)::value;
        for (const Index rows : {1, 3, 65})
          on_both_devices([rows](OpRun& run) {
            const auto x = run.input<T>(rows * C, 8), dy = run.input<T>(rows * C), y = run.output<T>(rows * C), again = run.output<T>(rows * C);
            run([&](auto& device, auto at) {
              ops::gelu_forward<gelu>(device, Rows<const T, C>{at(x), rows}, Rows<T, C>{at(y), rows});
              ops::gelu_backward<gelu>(device, Rows<const T, C>{at(x), rows}, Rows<T, C>{at(again), rows}, Rows<T, C>{at(dy), rows});
            });
            run.agrees("y", y, C), run.agrees("y again", again, C), run.agrees("dx", dy, C);
          });
      });
    });
  };
  check(std::integral_constant<ops::Gelu, ops::Gelu::tanh>{});
  check(std::integral_constant<ops::Gelu, ops::Gelu::exact>{});
}
