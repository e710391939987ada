#include <terse/core/arena.hpp>
#include <terse/core/error.hpp>
#include <terse/tensor/view.hpp>

#include <cstdint>

#include "support/catch.hpp"

using namespace terse;

namespace {

struct Group {
  Rows<float, 3> a;
  Column<double> b;
  Rows<half, 5> c;

  constexpr void each(auto&& visit, Extent extent) { visit(a, extent.tokens), visit(b, extent.sequences), visit(c, extent.tokens); }
};

constexpr std::size_t rounded(std::size_t bytes) { return round_up(bytes, alignment_bytes); }
static_assert(bytes_needed<Group>({.tokens = 100, .sequences = 2}) == rounded(100 * 3 * 4) + rounded(2 * 8) + rounded(100 * 5 * 2));

}  // namespace

TEST_CASE("a group is carved into aligned parts that don't overlap, and takes what was planned") {
  constexpr Extent extent{.tokens = 100, .sequences = 2};
  alignas(alignment_bytes) static std::byte memory[bytes_needed<Group>(extent)];
  Arena arena(memory, sizeof memory);
  Group group;
  carve(arena, group, extent);
  CHECK(arena.used() == sizeof memory);
  CHECK(group.a.rows == 100);
  CHECK(group.b.rows == 2);
  for (const void* start : {static_cast<void*>(group.a.data), static_cast<void*>(group.b.data), static_cast<void*>(group.c.data)})
    CHECK(reinterpret_cast<std::uintptr_t>(start) % alignment_bytes == 0);
  CHECK(static_cast<void*>(group.a.data + group.a.size()) <= static_cast<void*>(group.b.data));
  CHECK(static_cast<void*>(group.b.data + group.b.size()) <= static_cast<void*>(group.c.data));
  CHECK(static_cast<void*>(group.c.data + group.c.size()) <= static_cast<void*>(memory + sizeof memory));

  const Group before = group;
  shrink(group, {.tokens = 7, .sequences = 1});
  CHECK(group.a.rows == 7);
  CHECK(group.b.rows == 1);
  CHECK(group.c.data == before.c.data);
}

TEST_CASE("an arena too small says so") {
  alignas(alignment_bytes) std::byte memory[2 * alignment_bytes];
  Arena arena(memory, sizeof memory);
  arena.take<float>(1);
  arena.take<float>(64);
  CHECK_THROWS_WITH(arena.take<float>(1), "memory plan too small: 256 bytes asked, 0 left of 512");
  CHECK(arena.take<float>(0) != nullptr);
}

TEST_CASE("an error carries its exit code") {
  try {
    fail(Failure::bad_input, "train.csv:", 118, ": \"summary\" is missing");
  } catch (const Error& error) {
    CHECK(error.exit_code() == 3);
    CHECK(std::string(error.what()) == "train.csv:118: \"summary\" is missing");
  }
}
