#include <terse/device/cpu.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <vector>

#include "support/catch.hpp"

using namespace terse;

TEST_CASE("parallel_for: every index once, whatever the team") {
  for (const int threads : {1, 2, 3, 8})
    for (const Index count : {0, 1, 2, 7, 100}) {
      const Cpu cpu(threads);
      std::vector<std::atomic<int>> even(static_cast<std::size_t>(count)), uneven(static_cast<std::size_t>(count));
      cpu.parallel_for(count, [&](Index i) { ++even[static_cast<std::size_t>(i)]; });
      cpu.parallel_for_uneven(count, [&](Index i) { ++uneven[static_cast<std::size_t>(i)]; });
      for (Index i = 0; i < count; ++i) {
        CHECK(even[static_cast<std::size_t>(i)] == 1);
        CHECK(uneven[static_cast<std::size_t>(i)] == 1);
      }
    }
}

TEST_CASE("each thread has scratch of its own, as large as reserved") {
  constexpr std::size_t bytes = 1000;
  Cpu cpu(3);
  cpu.reserve_thread_scratch(bytes);
  CHECK(cpu.thread_scratch_bytes() >= bytes);
  std::mutex mutex;
  std::set<std::byte*> parts;
  cpu.parallel_for(cpu.threads(), [&](Index) {
    const std::lock_guard lock(mutex);
    parts.insert(cpu.thread_scratch());
  });
  REQUIRE(parts.size() == static_cast<std::size_t>(cpu.threads()));  // 1 without OpenMP
  for (auto part = parts.begin(), next = std::next(part); next != parts.end(); ++part, ++next) CHECK(*next - *part >= static_cast<std::ptrdiff_t>(bytes));
  cpu.reserve_thread_scratch(bytes / 2);
  CHECK(cpu.thread_scratch_bytes() >= bytes);
}

TEST_CASE("memory is aligned, and workspaces only grow") {
  Cpu cpu(1);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{3} << 20}) {
    const auto memory = cpu.allocate(bytes);
    CHECK(memory.bytes() == bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % alignment_bytes == 0);
    if (bytes > 0) memory.data()[bytes - 1] = std::byte{1};
  }
  cpu.reserve_workspace(1000);
  const auto* const data = cpu.workspace().data();
  cpu.reserve_workspace(10);
  CHECK(cpu.workspace().data() == data);
  CHECK(cpu.workspace().bytes() == 1000);
}

TEST_CASE("memory that can't be had is an error of the device") {
  Cpu cpu(1);
  try {
    cpu.allocate(std::size_t{1} << 60);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.failure() == Failure::device);
  }
}
