// What a GPU's streams did when: by events on the emulated GPU, whose clock is the host's.
#include <terse/dist/trace.cuh>
#include <terse/ops/reduce/cuda.cuh>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/gpu.hpp"

using namespace terse;
using dist::Lane, dist::Span, dist::steady_seconds;

namespace {

using Trace = dist::Trace<Cuda>;

}  // namespace

TEST_CASE("a GPU's spans come back in their order, with times of the host's clock") {
  gpu::for_each_order([](bool) {
    Cuda cuda(0);
    const double before = steady_seconds();
    Trace trace(cuda, 8);
    CHECK(trace.spans().empty());
    const auto memory = cuda.allocate(4096 * sizeof(float));
    const auto work = [&] { ops::fill(cuda, reinterpret_cast<float*>(memory.data()), 4096, 1.0f); };
    std::vector<std::string> names;
    for (int i = 0; i < 4; ++i) {
      const auto op = trace.now(Lane::ops);
      work();
      const auto sum = trace.now(Lane::sums);
      trace.add("op", Lane::ops, op), names.emplace_back("op");
      trace.add("sum", Lane::sums, sum, 1000 + static_cast<std::size_t>(i)), names.emplace_back("sum");
      if (i == 1) CHECK(trace.spans().size() == 4);  // in the middle too
    }
    const auto spans = trace.spans();
    const double after = steady_seconds();

    REQUIRE(spans.size() == names.size());
    double behind[dist::lane_count] = {before, before};
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const Span& span = spans[i];
      CAPTURE(i);
      CHECK(span.name == names[i]);
      CHECK(span.lane == (i % 2 == 0 ? Lane::ops : Lane::sums));
      CHECK(span.bytes == (i % 2 == 0 ? 0 : 1000 + i / 2));
      CHECK(span.begin <= span.end);
      double& last = behind[static_cast<std::size_t>(span.lane)];  // spans of a lane follow each other
      CHECK(span.begin >= last - 1e-6);                            // times of events are floats
      last = span.end;
    }
    CHECK(std::max(behind[0], behind[1]) <= after);
  });
}

TEST_CASE("spans of a GPU that find no room are left out") {
  Cuda cuda(0);
  Trace trace(cuda, 2);
  for (int i = 0; i < 9; ++i) {
    const Lane lane = i % 2 == 0 ? Lane::ops : Lane::sums;
    trace.add("kept", lane, trace.now(lane), static_cast<std::size_t>(i));
  }
  auto spans = trace.spans();
  REQUIRE(spans.size() == 4);
  for (std::size_t i = 0; i < spans.size(); ++i) CHECK(spans[i].bytes == i);

  // Marks that no span ends take room too.
  Trace marks(cuda, 1);
  for (int i = 0; i < 9; ++i) marks.now(Lane::ops);
  marks.add("too late", Lane::ops, marks.now(Lane::ops));
  CHECK(marks.spans().empty());
}
