#include <terse/ops/rotary/cpu.hpp>
#include <terse/ops/rotary/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

namespace {

/// `more` columns stand behind the heads that are turned, and stay as they are.
template <Real T, Index heads, Index D, Index rotated, Index more>
void check_rotation() {
  constexpr Index columns = heads * D + more;
  for (const Index rows : {1, 3, 65})
    on_both_devices([rows](OpRun& run) {
      std::vector<std::int32_t> places;
      for (Index t = 0; t < rows; ++t) places.push_back(static_cast<std::int32_t>(t % 3 == 2 ? 100000 - t : t * t));
      const auto positions = run.values(places);
      const auto angles = run.output<float>(rows * rotated);
      const auto forth = run.input<T>(rows * columns), back = run.input<T>(rows * columns);
      run([&](auto& device, auto at) {
        const Rows<float, rotated> a{at(angles), rows};
        ops::rotary_angles(device, ops::Rotary{500000}, std::span<const std::int32_t>(at(positions), positions.size()), a);
        ops::rotate<heads, D>(device, a, Rows<T, columns>{at(forth), rows}, ops::Rotation::forth);
        ops::rotate<heads, D>(device, a, Rows<T, columns>{at(back), rows}, ops::Rotation::back);
      });
      run.agrees("angles", angles, rotated), run.agrees("forth", forth, columns), run.agrees("back", back, columns);
    });
}

}  // namespace

TEST_CASE("rotary positions on CUDA: all of a head's columns or the first, in accesses of any width") {
  for_each_dtype([]<Real T>(T) {
    check_rotation<T, 4, 64, 64, 128>();
    check_rotation<T, 3, 16, 4, 8>();
    if constexpr (!is_sanitized) check_rotation<T, 2, 8, 8, 0>(), check_rotation<T, 1, 2, 2, 3>(), check_rotation<T, 2, 256, 256, 8>();
  });
}
