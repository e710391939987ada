// Lines of stdin as generate, score and rouge read them.
#include <sstream>

#include "fuzz.hpp"
#include "json_lines.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream in{std::string(fuzz::text_of(data, size))};
  fuzz::accepts([&] {
    summarize::for_each_json_line(in, [](const summarize::JsonLine& line) {
      fuzz::accepts([&] { line.id(); });
      for (const char* key : {"prompt", "dialogue"})
        if (fuzz::accepts([&] { line.text(key); })) fuzz::require(line.has(key), "a text that isn't there isn't read");
    });
  });
  return 0;
}
