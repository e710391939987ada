#include <terse/ops/rms_norm/cpu.hpp>
#include <terse/ops/rms_norm/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

TEST_CASE("RMS norm on CUDA: forward, recomputed, backward") {
  for_each_dtype([]<Real T>(T) {  // the stream is float, what leaves the norm and its gain T
    for_each_width([](auto width) {
      constexpr Index C = decltype(width)::value;
      for (const Index rows : {1, 3, 65})
        for (const Write write : {Write::overwrite, Write::accumulate})
          on_both_devices([rows, write](OpRun& run) {
            const auto x = run.input<float>(rows * C), dy = run.input<float>(rows * C);
            const auto gain = run.input<T>(C), y = run.output<T>(rows * C), again = run.output<T>(rows * C);
            const auto r = run.output<float>(rows), dgain = run.input<float>(C);
            const auto dx = write == Write::overwrite ? run.output<float>(rows * C) : run.input<float>(rows * C);
            run([&](auto& device, auto at) {
              const ops::RmsNorm op{1e-6f};
              const ops::RmsNorm::Saved<float> saved{{at(r), rows}};
              const Rows<const float, C> in{at(x), rows}, slopes{at(dy), rows};
              const Vector<const T, C> g{at(gain)};
              ops::forward(device, op, in, g, Rows<T, C>{at(y), rows}, saved);
              ops::recompute(device, op, in, g, saved, Rows<T, C>{at(again), rows});
              ops::backward(device, op, in, g, saved, slopes, Rows<float, C>{at(dx), rows}, write);
              ops::gain_gradient(device, op, in, saved, slopes, Vector<float, C>{at(dgain)});
            });
            run.agrees("y", y, C), run.agrees("y again", again, C), run.agrees("r", r, 1);
            run.agrees("dx", dx, C), run.agrees("dgain", dgain, C);
          }, ops::column_sums_workspace(C, 1));
    });
  });
}

TEST_CASE("RMS norm on CUDA: a row of zeros is divided by epsilon's root") {
  on_both_devices([](OpRun& run) {
    constexpr Index C = 8;
    const auto x = run.values(std::vector<float>(C, 0.0f)), y = run.output<float>(C), r = run.output<float>(1), gain = run.input<float>(C);
    run([&](auto& device, auto at) {
      ops::forward(device, ops::RmsNorm{}, Rows<const float, C>{at(x), 1}, Vector<const float, C>{at(gain)}, Rows<float, C>{at(y), 1}, ops::RmsNorm::Saved<float>{{at(r), 1}});
    });
    run.equals("y", y), run.agrees("r", r, 1);
    CHECK(r.from_gpu()[0] == Approx(316.2278));
  });
}
