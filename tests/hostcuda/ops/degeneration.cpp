// Contrastive search's penalties: on the GPU what the CPU does.
#include <terse/ops/degeneration/cpu.hpp>
#include <terse/ops/degeneration/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

namespace {

template <Real T, Index C>
void check_degeneration() {
  constexpr Index context = 24, slots = 3;
  on_both_devices([](OpRun& run) {
    std::vector<std::int32_t> of_row, at, where(slots * context);
    for (std::int32_t j = 0; j < 20; ++j) of_row.push_back(j % 7 == 3 ? 2 : 1), at.push_back(j);  // one text in two slots
    for (Index s = 0; s < slots; ++s)
      for (Index j = 0; j < context; ++j) where[static_cast<std::size_t>(s * context + j)] = j % 7 == 3 ? 2 : 1;
    of_row.push_back(0), at.push_back(0);  // a text's first token
    const auto rows = static_cast<Index>(at.size());
    const auto slot = run.values(of_row), position = run.values(at), sources = run.values(where), ask = run.values(std::vector<std::int32_t>{19, 10, 1, 0, 20});
    const auto hidden = run.input<T>(rows * C), directions = run.output<float>(slots * context * C), penalties = run.output<float>(5);
    run([&](auto& device, auto here) {
      ops::degeneration<context>(device, ops::CacheRows{.ids = {}, .slots = {here(slot), slot.size()}, .positions = {here(position), position.size()}, .sources = here(sources)},
                                 std::span<const std::int32_t>(here(ask), ask.size()), Rows<const T, C>{here(hidden), rows}, Rows<float, C>{here(directions), slots * context},
                                 Column<float>{here(penalties), 5});
    });
    run.agrees("penalties", penalties, 5);
  });
}

}  // namespace

TEST_CASE("degeneration penalties on CUDA are the CPU's") {
  for_each_dtype([]<Real T>(T) { check_degeneration<T, 8>(), check_degeneration<T, 96>(); });
}
