// Sums beside the thread that computes, and what a trace makes of them.
#include <numeric>
#include <string>
#include <vector>

#include <terse/dist/background.hpp>
#include <terse/dist/buckets.hpp>
#include <terse/dist/threads.hpp>
#include <terse/train/trace_file.hpp>

#include "support/catch.hpp"

using namespace terse;

TEST_CASE("sums that run beside their owner are there after wait, in the order of the calls") {
  dist::launch(3, [](dist::Communicator& communicator) {
    dist::BackgroundSums sums(communicator);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::vector<float>> parts;
      for (std::size_t i = 0; i < 5; ++i) parts.emplace_back(1000 * i + 1, static_cast<float>(communicator.rank() + 1));
      std::vector<double> wide(7, 0.5);
      for (auto& part : parts) sums.begin(std::span(part), false, nullptr);
      sums.begin(std::span(wide), false, nullptr);
      sums.wait();
      for (const auto& part : parts)
        if (std::ranges::count(part, 6.0f) != static_cast<std::ptrdiff_t>(part.size())) fail(Failure::internal, "a sum of ", part.size(), " values is wrong");
      if (wide != std::vector<double>(7, 1.5)) fail(Failure::internal, "a sum in double is wrong");
    }
    sums.wait();  // for nothing
  });
}

TEST_CASE("what fails beside is thrown by wait, once; what was begun is let go of before the end") {
  try {
    dist::launch(2, [](dist::Communicator& communicator) {
      std::vector<float> values(10, 1.0f), more(10, 1.0f);
      dist::BackgroundSums sums(communicator);
      if (communicator.rank() == 1) fail(Failure::bad_input, "rank 1 read something odd");
      sums.begin(std::span(values), false, nullptr), sums.begin(std::span(more), false, nullptr);
      CHECK_THROWS_AS(sums.wait(), Error);
      sums.wait();
      sums.begin(std::span(values), false, nullptr);  // and nobody waits for it
    });
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.what() == std::string("rank 1 read something odd"));
  }
}

TEST_CASE("a gradient's buckets are summed from its end, as far as it is final") {
  dist::launch(2, [](dist::Communicator& communicator) {
    Cpu cpu(1);
    dist::Collective<Cpu> collective(cpu, communicator);
    dist::BucketedSum<Cpu, float> sum(cpu, collective, {.total = 1000, .each = 256}, false);
    std::vector<float> values(1000, 1.0f);
    const auto require = [&](bool holds, const char* what) {
      if (!holds) fail(Failure::internal, what);
    };
    const auto summed = [&] {
      collective.wait();
      return std::ranges::count(values, 2.0f);
    };
    sum.start(values.data());
    require(!sum.has_begun() && !sum.can_begin(900) && sum.can_begin(768), "the last bucket begins at 768");
    sum.begin(700, nullptr);
    require(summed() == 1000 - 768 && values[767] == 1 && sum.has_begun(), "one bucket is final from 700 on");
    require(!sum.can_begin(513) && sum.can_begin(512), "the next begins at 512");
    sum.begin(100, nullptr);
    require(summed() == 1000 - 256, "three are final from 100 on");
    sum.finish(nullptr);
    require(summed() == 1000 && !sum.can_begin(0), "all are summed, once");
  });
}

TEST_CASE("a trace takes as many spans as it has room for, and is Chrome's format") {
  Cpu cpu(1);
  dist::Trace<Cpu> trace(cpu, 2);
  for (const char* name : {"forward", "backward", "optimizer"}) trace.add(name, dist::Lane::ops, trace.now(dist::Lane::ops));
  trace.add("all-reduce", dist::Lane::sums, trace.now(dist::Lane::sums), 4096);
  const auto spans = trace.spans();
  REQUIRE(spans.size() == 3);

  const auto file = nlohmann::json::parse(train::trace_file({train::trace_events(0, spans), train::trace_events(1, spans)}));
  REQUIRE(file["traceEvents"].size() == 2 * (3 + 3));
  const auto& sum = file["traceEvents"].back();
  CHECK((sum["ph"] == "X" && sum["name"] == "all-reduce" && sum["pid"] == 1 && sum["args"]["bytes"] == 4096));
  CHECK(sum["ts"].get<double>() == Approx(spans.back().begin * 1e6));
  CHECK(sum["dur"].get<double>() >= 0);
}

TEST_CASE("the share of sums behind backward is a share of time") {
  using enum dist::Lane;
  CHECK(dist::share_of_sums_behind("backward", {}) == 1);
  CHECK(dist::share_of_sums_behind("backward", {{"all-reduce", sums, 1, 2, 8}}) == 0);
  CHECK(dist::share_of_sums_behind("backward", {{"forward", ops, 0, 1}, {"backward", ops, 1, 4}, {"all-reduce", sums, 2, 3}, {"all-reduce", sums, 3, 6}}) == Approx(0.5));
}
