// A program compiled for instructions that the CPU lacks says so instead of dying of SIGILL.
#include "program.hpp"

#if defined(__x86_64__)
TEST_CASE("missing instructions are named before main, exit 4") {
  const auto result = Running(ASKS_FOR_EVERY_INSTRUCTION, {}).wait();
  INFO(result.err);
  CHECK(result.code == 4);
  CHECK(result.out.empty());
  REQUIRE(lines_of(result.err).size() == 1);
  for (const char* words : {"asks_for_every_instruction: error: ", "fma4", "lacks", "-DTERSE_NATIVE=OFF"}) CHECK(result.err.find(words) != std::string::npos);  // no CPU has both AVX-512 FP16 and FMA4
}
#endif
