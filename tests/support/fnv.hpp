#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

/// FNV-1a, 64 bits, as in tests/goldens/*.py: for goldens too large to commit. `value` continues an earlier hash.
inline std::uint64_t fnv1a(std::string_view text, std::uint64_t value = 0xCBF29CE484222325u) {
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return value;
}

inline std::string hex16(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}
