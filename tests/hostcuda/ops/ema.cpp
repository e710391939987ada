#include <terse/ops/ema/cpu.hpp>
#include <terse/ops/ema/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

TEST_CASE("the average of weights on CUDA: copied, averaged, left alone") {
  for (const Index n : {1, 7, 1024, 3001})
    on_both_devices([n](OpRun& run) {
      const auto first = run.input<float>(n), second = run.input<float>(n), average = run.output<float>(n);
      long step = 0;
      for (const auto* weights : {&first, &second, &first}) {
        ops::AdamWFactors<float> of_step{.is_first = ++step == 1};
        of_step.skipped = step == 3;
        const auto factors = run.values(std::vector<ops::AdamWFactors<float>>{of_step});
        run([&](auto& device, auto at) {
          const ops::AdamWFactors<float>* const f = at(factors);
          const float* const w = at(*weights);
          ops::ema(device, ops::Ema{.decay = 0.9}, f, n, w, at(average));
        });
      }
      run.equals("average", average);
    });
}

TEST_CASE("weights and their average change places on CUDA") {
  for (const Index n : {1, 7, 1024, 3001})
    on_both_devices([n](OpRun& run) {
      const auto a = run.input<float>(n), b = run.input<float>(n);
      run([&](auto& device, auto at) { ops::exchange(device, at(a), at(b), n); });
      run.equals("a", a), run.equals("b", b);
    });
}
