#include "support/catch.hpp"

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
