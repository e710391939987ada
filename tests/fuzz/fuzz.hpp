#pragma once
// What every fuzz target asks of a parser: whatever the bytes, it takes them, or throws terse::Error with one line. Anything else that
// leaves it, a sanitizer's finding or a broken promise ends the program, and libFuzzer keeps the input.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <terse/core/error.hpp>

namespace fuzz {

/// A promise that must hold; `promise` says which.
inline void require(bool holds, std::string_view promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(promise.size()), promise.data());
  std::abort();
}

/// True if `parse` took its input; false if it refused it as it should.
template <class Parse>
bool accepts(Parse&& parse) {
  try {
    parse();
    return true;
  } catch (const terse::Error& error) {
    const std::string_view message = error.what();
    require(error.failure() == terse::Failure::bad_input, "the input is what is wrong (exit 3)");
    require(!message.empty() && message.find_first_of("\r\n") == message.npos && message.size() < 2000, "an error is one line");
    return false;
  }
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

}  // namespace fuzz
