#include "support/catch.hpp"

#include <malloc.h>

#include <terse/decode/generator.hpp>
#include <terse/decode/strategies.hpp>

#include "../decode/small_model.hpp"
#include "counted_new.hpp"

using namespace terse;

TEST_CASE("the decoding loop allocates nothing") {
  REQUIRE([] { return allocations(); }() > 0);  // it does count
  SmallModel model(2);
  const auto ids = random_prompts(20);
  const auto prompts = decode::numbered(ids);
  decode::Generator generator(model.gpt, end_of_text, {.slots = 4, .rows = 9});
  using namespace decode;
  const Strategy strategies[] = {{.greedy = true}, {.temperature = 1.5f, .top_k = 10, .top_p = 0.9f}, {.top_k = 0}, {.min_p = 0.05f, .typical = 0.9f},
                                 Sample{RepetitionPenalty{1.2f}, NoRepeatNgram{2}, BadWords{{{4}, {5, 6}}}, MinNew{2}, Temperature{1.5f}, Draft{4}},
                                 Beam{Beams{.count = 4, .returned = 3}, NoRepeatNgram{3}}, Beam{Beams{.count = 4, .groups = 2, .diversity = 1}}, BestOf{Samples{.count = 2}},
                                 Contrastive{NoRepeatNgram{3}, TopK{3}, Penalty{0.6f}}};
  for (const Strategy& strategy : strategies) {
    std::size_t first = 0, last = 0;
    generator.generate(prompts, strategy,
                       {.token = {}, .text = [&](std::size_t, const decode::Generation&) {
                          last = allocations();
                          if (first == 0) first = last;
                          return true;
                        }});
    CHECK(first > 0);
    CHECK(last == first);
  }
}

TEST_CASE("10,000 prompts through 32 slots: nothing grows") {
  SmallModel model(2);
  std::vector<std::vector<TokenId>> ids(10'000);
  RandomStream random(5, RandomUse::synthesize);
  for (auto& prompt : ids) {
    prompt.resize(1 + random.below(6));
    for (auto& id : prompt) id = static_cast<TokenId>(random.below(end_of_text));
  }
  const auto prompts = decode::numbered(ids);
  decode::Generator generator(model.gpt, end_of_text, {.slots = 32});
  const auto bytes_taken = [] { const auto info = mallinfo2(); return info.uordblks + info.hblkhd; };
  for (const decode::Strategy& strategy : {decode::Strategy{.temperature = 1.5f, .max_new = 4}, decode::Strategy{.max_new = 4, .beams = 2}}) {
    std::size_t ended = 0, calls = 0, bytes = 0, most_bytes = 0;
    generator.generate(prompts, strategy,
                       {.token = {}, .text = [&](std::size_t, const decode::Generation&) {
                          if (++ended == 100) calls = allocations(), bytes = bytes_taken();
                          if (ended % 100 == 0) most_bytes = std::max<std::size_t>(most_bytes, bytes_taken());
                          return true;
                        }});
    CHECK(ended == 10'000);
    CHECK(allocations() == calls);
    CHECK(most_bytes == bytes);
  }
  const std::size_t before = bytes_taken();
  for (int again = 0; again < 3; ++again) generator.generate(prompts, {.greedy = true, .max_new = 2});
  CHECK(bytes_taken() <= before);
}
