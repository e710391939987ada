// A step on paper: what must hold whatever the numbers.
#include <terse/train/scaling.hpp>

#include "support/catch.hpp"

using namespace terse;

namespace {

constexpr train::StepWork gpt2{.operations = 16e12, .gradient_bytes = 498'000'000, .parameter_bytes = 249'000'000, .optimizer_bytes = 3'700'000'000, .micro_batches = 8, .final_late = 0.32};
constexpr train::Processor t4 = *train::named(train::processors, "t4");
constexpr train::Link host = *train::named(train::links, "host");

}  // namespace

TEST_CASE("one rank waits for nobody") {
  const auto alone = train::predict(gpt2, t4, host, 1);
  CHECK(alone.sums == 0);
  CHECK(alone.exposed == 0);
  CHECK(alone.step() == Approx(16e12 / 24e12 + 3.7e9 / 320e9));
  CHECK_FALSE(train::named(train::links, "string"));
}

TEST_CASE("a ring's all-reduce moves 2 (n - 1) / n of the bytes, and each of its messages takes a moment") {
  CHECK(train::ring_all_reduce({"", "", 0, 1e9}, 2, 1e9) == Approx(1));
  CHECK(train::ring_all_reduce({"", "", 0, 1e9}, 1000, 1e9) == Approx(1.998));
  CHECK(train::ring_all_reduce({"", "", 1e-6, 1e9}, 1000, 0) == Approx(1.998e-3));
  CHECK(train::ring_all_reduce({"", "", 1, 1}, 1, 1e9) == 0);
  CHECK(train::tree_all_reduce({"", "", 1e-6, 1e9}, 1024, 1e9) == Approx(2 + 20e-6));
  CHECK(train::tree_all_reduce({"", "", 1, 1}, 1, 1e9) == 0);
}

TEST_CASE("what isn't hidden is at least what is final late, and at most all") {
  for (const Index ranks : {2, 8, 1024})
    for (const auto& link : train::links) {
      CAPTURE(ranks, link.name);
      const auto time = train::predict(gpt2, t4, link, ranks);
      CHECK(time.exposed >= 0.3 * time.sums * 0.99);
      CHECK(time.exposed <= time.sums * 1.001);
    }
  // A link so slow that backward is nothing beside it hides backward, not the sums.
  const auto slow = train::predict(gpt2, t4, {"", "", 0, 1e6}, 2);
  CHECK(slow.exposed == Approx(slow.sums).epsilon(0.01));
}

TEST_CASE("shards: half of the sums, the optimizer divided, the parameters gathered") {
  auto work = gpt2;
  work.shards = true;
  const auto whole = train::predict(gpt2, t4, host, 8), shards = train::predict(work, t4, host, 8);
  CHECK(shards.sums == Approx(whole.sums / 2));
  CHECK(shards.optimizer == Approx(whole.optimizer / 8));
  CHECK(shards.gather == Approx(train::ring_all_reduce(host, 8, 249e6) / 2));
}
