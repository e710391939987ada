// A config.json that is accepted has sizes above 0.
#include <terse/io/checkpoint.hpp>

#include "fuzz.hpp"

using namespace terse;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::accepts([&] {
    const auto sizes = io::parse_config(fuzz::text_of(data, size), "config.json");
    for (const int extent : {sizes.vocabulary, sizes.context, sizes.layers, sizes.heads, sizes.width}) fuzz::require(extent > 0, "sizes are above 0");
  });
  return 0;
}
