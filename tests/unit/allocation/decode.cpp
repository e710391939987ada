#include "support/catch.hpp"

#include <terse/decode/generator.hpp>

#include "../decode/small_model.hpp"
#include "counted_new.hpp"

using namespace terse;

TEST_CASE("the decoding loop allocates nothing") {
  REQUIRE([] { return allocations(); }() > 0);  // it does count
  SmallModel model(2);
  const auto ids = random_prompts(20);
  const auto prompts = decode::numbered(ids);
  decode::Generator generator(model.gpt, end_of_text, {.slots = 4, .rows = 9});
  for (const decode::Strategy strategy : {decode::Strategy{.greedy = true}, {.temperature = 1.5f, .top_k = 10, .top_p = 0.9f}, {.top_k = 0}, {.min_p = 0.05f, .typical = 0.9f}}) {
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
