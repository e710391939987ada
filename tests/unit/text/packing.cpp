#include "terse/text/packing.hpp"
#include "terse/text/windows.hpp"

#include <map>
#include <set>
#include <vector>

#include "support/catch.hpp"
#include "support/messages.hpp"

using namespace terse;
using text::Normalisation;

namespace {

/// Sample i: i % 5 + 2 ids of prompt, i % 3 + 1 of summary; each id tells its sample and place.
std::vector<text::Sample> make_samples(std::size_t count) {
  std::vector<text::Sample> samples;
  for (std::size_t i = 0; i < count; ++i) {
    text::Sample sample{static_cast<std::int64_t>(1000 + i), i % 5 + 2, {}};
    for (std::size_t t = 0; t < sample.prompt + i % 3 + 1; ++t) sample.ids.push_back(static_cast<TokenId>(100 * i + t));
    samples.push_back(sample);
  }
  return samples;
}

std::vector<std::uint32_t> all_of(std::size_t count) {
  std::vector<std::uint32_t> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<std::uint32_t>(i);
  return numbers;
}

void check_shapes(const PackedBatch& batch) {
  REQUIRE(batch.positions.size() == batch.ids.size());
  REQUIRE(batch.cu_seqlens.size() == batch.samples.size() + 1);
  REQUIRE(batch.draws.size() == batch.samples.size());
  REQUIRE(batch.targets.size() == batch.target_rows.size());
  REQUIRE(batch.weights.size() == batch.target_rows.size());
  CHECK(batch.cu_seqlens.front() == 0);
  CHECK(batch.cu_seqlens.back() == batch.tokens());
}

}  // namespace

TEST_CASE("documents lie back to back; only rows that predict the summary are targets") {
  const std::vector<text::Sample> samples = {{7, 3, {10, 11, 12, 13, 14}}, {9, 2, {20, 21, 22}}};
  text::BatchStorage storage({6, 3, 2});
  const auto batch = text::pack(samples, all_of(2), storage);
  check_shapes(batch);
  CHECK(std::vector<TokenId>(batch.ids.begin(), batch.ids.end()) == std::vector<TokenId>{10, 11, 12, 13, 20, 21});
  CHECK(std::vector<std::int32_t>(batch.positions.begin(), batch.positions.end()) == std::vector<std::int32_t>{0, 1, 2, 3, 0, 1});
  CHECK(std::vector<std::int32_t>(batch.cu_seqlens.begin(), batch.cu_seqlens.end()) == std::vector<std::int32_t>{0, 4, 6});
  CHECK(std::vector<std::int32_t>(batch.target_rows.begin(), batch.target_rows.end()) == std::vector<std::int32_t>{2, 3, 5});
  CHECK(std::vector<TokenId>(batch.targets.begin(), batch.targets.end()) == std::vector<TokenId>{13, 14, 22});
  CHECK(std::vector<std::int64_t>(batch.samples.begin(), batch.samples.end()) == std::vector<std::int64_t>{7, 9});
  CHECK(std::vector<float>(batch.weights.begin(), batch.weights.end()) == std::vector<float>{1, 1, 1});
}

TEST_CASE("twins are two documents of their own draws and half the weight, their target rows in pairs") {
  const std::vector<text::Sample> samples = {{7, 3, {10, 11, 12, 13, 14}}, {9, 2, {20, 21, 22}}};
  const auto numbers = all_of(2);
  text::Sampler sampler(samples, numbers, {.batch = 2, .accumulate = 1, .ranks = 1, .steps = 1, .shuffle = false, .twins = true});
  const auto capacity = sampler.capacity();
  CHECK((capacity.tokens == 12 && capacity.target_rows == 6 && capacity.sequences == 4));
  text::BatchStorage storage(capacity);
  const auto batch = sampler.fill(0, 0, 0, storage);
  check_shapes(batch);
  CHECK(std::vector<TokenId>(batch.ids.begin(), batch.ids.end()) == std::vector<TokenId>{10, 11, 12, 13, 10, 11, 12, 13, 20, 21, 20, 21});
  CHECK(std::vector<std::int32_t>(batch.cu_seqlens.begin(), batch.cu_seqlens.end()) == std::vector<std::int32_t>{0, 4, 8, 10, 12});
  CHECK(std::vector<std::int32_t>(batch.target_rows.begin(), batch.target_rows.end()) == std::vector<std::int32_t>{2, 6, 3, 7, 9, 11});
  CHECK(std::vector<TokenId>(batch.targets.begin(), batch.targets.end()) == std::vector<TokenId>{13, 13, 14, 14, 22, 22});
  CHECK(std::vector<std::int64_t>(batch.samples.begin(), batch.samples.end()) == std::vector<std::int64_t>{7, 7, 9, 9});
  CHECK(std::vector<std::uint32_t>(batch.draws.begin(), batch.draws.end()) == std::vector<std::uint32_t>{0, 0x80000000u, 1, 0x80000001u});
  for (const float weight : batch.weights) CHECK(weight == 1.0f / 6);
}

TEST_CASE("a schedule has no more samples than dropout can count") {
  const auto samples = make_samples(2);
  const auto numbers = all_of(2);
  const auto message = [&](std::int64_t steps, bool twins) {
    return message_of([&] { text::Sampler(samples, numbers, {.batch = 1, .accumulate = 1, .ranks = 1, .steps = steps, .twins = twins}); });
  };
  constexpr std::int64_t most = std::int64_t{1} << 32;
  CHECK(message(most, false) == "");
  CHECK(contains(message(most + 1, false), "more than 4294967296 samples"));
  CHECK(message(most / 2, true) == "");
  CHECK(contains(message(most / 2 + 1, true), "more than 2147483648 samples"));
}

TEST_CASE("odd samples: no prompt, one id, none") {
  const std::vector<text::Sample> samples = {{0, 0, {1, 2, 3}}, {1, 1, {4}}, {2, 0, {}}, {3, 1, {5, 6}}};
  text::BatchStorage storage(text::capacity_of(samples, all_of(4), 4));
  const auto batch = text::pack(samples, all_of(4), storage, 10);
  check_shapes(batch);
  CHECK(std::vector<TokenId>(batch.ids.begin(), batch.ids.end()) == std::vector<TokenId>{1, 2, 5});
  CHECK(std::vector<TokenId>(batch.targets.begin(), batch.targets.end()) == std::vector<TokenId>{2, 3, 6});
  CHECK(std::vector<std::uint32_t>(batch.draws.begin(), batch.draws.end()) == std::vector<std::uint32_t>{10, 11, 12, 13});
}

TEST_CASE("each epoch shows each sample once, in a new order; steps run across epoch ends") {
  const auto samples = make_samples(50);
  const auto numbers = all_of(50);
  text::Sampler sampler(samples, numbers, {.batch = 3, .accumulate = 2, .ranks = 2, .steps = 13, .seed = 5});
  std::vector<std::int64_t> rows;
  text::BatchStorage storage(sampler.capacity());
  for (std::int64_t step = 0; step < 13; ++step)
    for (std::int64_t rank = 0; rank < 2; ++rank)
      for (std::int64_t micro = 0; micro < 2; ++micro) {
        const auto batch = sampler.fill(step, micro, rank, storage);
        check_shapes(batch);
        for (std::size_t b = 0; b < batch.samples.size(); ++b) {
          CHECK(batch.draws[b] == rows.size());
          rows.push_back(batch.samples[b]);
        }
      }
  REQUIRE(rows.size() == 156);
  const std::vector<std::int64_t> first(rows.begin(), rows.begin() + 50), second(rows.begin() + 50, rows.begin() + 100);
  CHECK(std::set(first.begin(), first.end()).size() == 50);
  CHECK(std::set(second.begin(), second.end()).size() == 50);
  CHECK(first != second);
}

TEST_CASE("a micro-batch doesn't depend on how ranks and accumulation divide the step") {
  const auto samples = make_samples(37);
  const auto numbers = all_of(37);
  std::map<std::int64_t, std::vector<std::vector<std::int64_t>>> dealt;
  for (const std::int64_t ranks : {1, 2, 4}) {
    text::Sampler sampler(samples, numbers, {.batch = 2, .accumulate = 4 / ranks, .ranks = ranks, .steps = 7});
    text::BatchStorage storage(sampler.capacity());
    for (std::int64_t step = 0; step < 7; ++step)
      for (std::int64_t rank = 0; rank < ranks; ++rank)
        for (std::int64_t micro = 0; micro < 4 / ranks; ++micro) {
          const auto batch = sampler.fill(step, micro, rank, storage);
          dealt[ranks].emplace_back(batch.samples.begin(), batch.samples.end());
        }
  }
  CHECK(dealt[1] == dealt[2]);
  CHECK(dealt[1] == dealt[4]);
}

TEST_CASE("steps can be asked for in any order") {
  const auto samples = make_samples(11);
  const auto numbers = all_of(11);
  const text::StepSchedule schedule{.batch = 4, .accumulate = 3, .ranks = 1, .steps = 9};  // a step spans epochs
  text::Sampler forwards(samples, numbers, schedule), jumping(samples, numbers, schedule);
  text::BatchStorage storage(forwards.capacity()), other(forwards.capacity());
  for (std::int64_t step = 0; step < 9; ++step) {
    for (const std::int64_t elsewhere : {8, 0, 4}) jumping.fill(elsewhere, 0, 0, other);
    const auto batch = forwards.fill(step, 2, 0, storage), again = jumping.fill(step, 2, 0, other);
    CHECK(std::vector<TokenId>(batch.ids.begin(), batch.ids.end()) == std::vector<TokenId>(again.ids.begin(), again.ids.end()));
  }
}

TEST_CASE("without shuffling the order is the given one, again and again") {
  const auto samples = make_samples(10);
  const std::vector<std::uint32_t> numbers = {9, 1, 4};
  text::Sampler sampler(samples, numbers, {.batch = 2, .accumulate = 1, .ranks = 1, .steps = 3, .shuffle = false});
  std::vector<std::int64_t> rows;
  text::BatchStorage storage(sampler.capacity());
  for (std::int64_t step = 0; step < 3; ++step) {
    const auto batch = sampler.fill(step, 0, 0, storage);
    rows.insert(rows.end(), batch.samples.begin(), batch.samples.end());
  }
  CHECK(rows == std::vector<std::int64_t>{1009, 1001, 1004, 1009, 1001, 1004});
}

TEST_CASE("weights: means of micro-batches, or of the step's targets") {
  const auto samples = make_samples(40);
  const auto numbers = all_of(40);
  for (const auto normalisation : {Normalisation::micro_batch, Normalisation::token}) {
    text::Sampler sampler(samples, numbers, {.batch = 3, .accumulate = 2, .ranks = 2, .steps = 2, .normalisation = normalisation});
    text::BatchStorage storage(sampler.capacity());
    double sum = 0;
    std::set<float> distinct;
    for (std::int64_t rank = 0; rank < 2; ++rank)
      for (std::int64_t micro = 0; micro < 2; ++micro) {
        const auto batch = sampler.fill(1, micro, rank, storage);
        double part = 0;
        for (const float weight : batch.weights) part += weight, distinct.insert(weight);
        if (normalisation == Normalisation::micro_batch) CHECK(part == Approx(0.25));
        sum += part;
      }
    CHECK(sum == Approx(1));
    if (normalisation == Normalisation::token) CHECK(distinct.size() == 1);
  }
}

TEST_CASE("the capacity is the largest micro-batch, and it is reached") {
  const auto samples = make_samples(23);
  const auto numbers = all_of(23);
  text::Sampler sampler(samples, numbers, {.batch = 5, .accumulate = 2, .ranks = 2, .steps = 20});
  const auto capacity = sampler.capacity();
  text::BatchCapacity seen;
  text::BatchStorage storage(capacity);
  const auto* const memory = storage.batch().cu_seqlens.data();
  for (std::int64_t step = 0; step < 20; ++step)
    for (std::int64_t rank = 0; rank < 2; ++rank)
      for (std::int64_t micro = 0; micro < 2; ++micro) {
        const auto batch = sampler.fill(step, micro, rank, storage);
        seen.hold({batch.tokens(), static_cast<std::int64_t>(batch.targets.size()), batch.sequences()});
        CHECK(batch.cu_seqlens.data() == memory);
      }
  CHECK(seen.tokens == capacity.tokens);
  CHECK(seen.target_rows == capacity.target_rows);
  CHECK(seen.sequences == 5);
}

TEST_CASE("what can't be dealt is refused") {
  const auto samples = make_samples(3);
  const auto numbers = all_of(3);
  CHECK_THROWS_AS(text::Sampler(samples, {}, {}), Error);
  CHECK_THROWS_WITH(text::Sampler(samples, numbers, {.batch = 0}), "batch must be at least 1: 0 given");
}

TEST_CASE("windows of a text: each row predicts the next token, a shorter rest is left out") {
  const std::vector<TokenId> ids{0, 1, 2, 3, 4, 5, 6, 7};
  const auto apart = text::windows(ids, 3);
  REQUIRE(apart.size() == 2);
  CHECK(apart[0].ids == std::vector<TokenId>{0, 1, 2, 3});
  CHECK(apart[1].ids == std::vector<TokenId>{3, 4, 5, 6});
  CHECK(apart[1].row == 1);
  CHECK(apart[1].tokens() == 3);
  CHECK(apart[1].targets() == 3);
  const auto overlapping = text::windows(ids, 3, 2);
  REQUIRE(overlapping.size() == 3);
  CHECK(overlapping[2].ids == std::vector<TokenId>{4, 5, 6, 7});
  CHECK(text::windows(ids, 7).size() == 1);
  CHECK(message_of([&] { text::windows(ids, 8); }) == "a text of 8 tokens is too short: windows of 8 need at least 9");
  CHECK_THROWS_AS(text::windows(ids, 0), Error);
}
