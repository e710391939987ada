#include <terse/ops/adamw/cpu.hpp>
#include <terse/ops/adamw/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

TEST_CASE("AdamW on CUDA") {
  for_each_dtype([]<Real P>(P) {
    for (const Index n : {1, 7, 1024, 3001})
      for (const auto& [decays, rate] : {std::pair{false, 1.0}, {true, 1.0}, {true, 0.25}})
        on_both_devices([n, group = ops::adamw_group<float>({.lr = 1e-2}, decays, rate)](OpRun& run) {
          const auto master = run.input<float>(n), m = run.input<float>(n, 0.1), gradient = run.input<float>(n), v = run.values(std::vector<float>(static_cast<std::size_t>(n), 0.01f));
          const auto parameter = run.output<P>(n);
          for (const long step : {1, 2}) {
            const auto factors = run.values(std::vector<ops::AdamWFactors<float>>{ops::adamw_factors<float>({.lr = 1e-2}, step, 0.25)});
            run([&](auto& device, auto at) {
              const ops::AdamWFactors<float>* const f = at(factors);
              const float* const slopes = at(gradient);
              if constexpr (std::is_same_v<P, float>) ops::adamw(device, f, group, n, at(master), slopes, at(m), at(v), at(master));
              else ops::adamw(device, f, group, n, at(master), slopes, at(m), at(v), at(parameter));
            });
          }
          run.agrees("master", master, n), run.agrees("m", m, n), run.agrees("v", v, n);
          if constexpr (!std::is_same_v<P, float>) run.agrees("parameter", parameter, n);
        });
  });
}

TEST_CASE("a step that is skipped changes nothing") {
  on_both_devices([](OpRun& run) {
    constexpr Index n = 101;
    const auto master = run.input<float>(n), m = run.input<float>(n), v = run.input<float>(n), gradient = run.input<float>(n);
    const auto parameter = run.input<half>(n);
    auto step = ops::adamw_factors<float>({}, 1, 1);
    step.skipped = true;
    const auto factors = run.values(std::vector<ops::AdamWFactors<float>>{step});
    ops::adamw(run.cuda, static_cast<const ops::AdamWFactors<float>*>(factors.gpu()), {}, n, master.gpu(), static_cast<const float*>(gradient.gpu()), m.gpu(), v.gpu(), parameter.gpu());
    run.equals("master", master), run.equals("m", m), run.equals("v", v), run.equals("parameter", parameter);
  });
}
