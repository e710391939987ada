#include <terse/ops/layer_norm/cpu.hpp>
#include <terse/ops/layer_norm/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

TEST_CASE("layer norm on CUDA: forward, recomputed, backward") {
  for_each_dtype([]<Real T>(T) {  // the stream is float, what leaves the norm and its parameters T
    for_each_width([](auto width) {
      constexpr Index C = decltype(width)::value;
      for (const Index rows : {1, 3, 65})
        for (const Write write : {Write::overwrite, Write::accumulate})
          on_both_devices([rows, write](OpRun& run) {
            const auto x = run.input<float>(rows * C), dy = run.input<float>(rows * C);
            const auto gain = run.input<T>(C), bias = run.input<T>(C), y = run.output<T>(rows * C), again = run.output<T>(rows * C);
            const auto mean = run.output<float>(rows), rstd = run.output<float>(rows), dgain = run.input<float>(C), dbias = run.input<float>(C);
            const auto dx = write == Write::overwrite ? run.output<float>(rows * C) : run.input<float>(rows * C);
            run([&](auto& device, auto at) {
              const ops::LayerNorm::Saved<float> saved{{at(mean), rows}, {at(rstd), rows}};
              const Rows<const float, C> in{at(x), rows}, slopes{at(dy), rows};
              const Vector<const T, C> g{at(gain)}, b{at(bias)};
              ops::forward(device, ops::LayerNorm{}, in, g, b, Rows<T, C>{at(y), rows}, saved);
              ops::recompute(device, ops::LayerNorm{}, in, g, b, saved, Rows<T, C>{at(again), rows});
              ops::backward(device, ops::LayerNorm{}, in, g, saved, slopes, Rows<float, C>{at(dx), rows}, write);
              ops::gain_and_bias_gradients(device, ops::LayerNorm{}, in, saved, slopes, Vector<float, C>{at(dgain)}, Vector<float, C>{at(dbias)});
            });
            run.agrees("y", y, C), run.agrees("y again", again, C), run.agrees("mean", mean, rows), run.agrees("rstd", rstd, 1);
            run.agrees("dx", dx, C), run.agrees("dgain", dgain, C), run.agrees("dbias", dbias, C);
          });
    });
  });
}
