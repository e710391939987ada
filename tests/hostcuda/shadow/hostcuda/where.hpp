#pragma once
// Where in the source a call stands. std::source_location isn't in clang 14 with libstdc++ 12.

namespace hostcuda {

struct Where {
  const char* file = "";
  int line = 0;

  /// As a default argument: the place of the call.
  static constexpr Where here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
  constexpr bool operator==(const Where&) const = default;
};

}  // namespace hostcuda
