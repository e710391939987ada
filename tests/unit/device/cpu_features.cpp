// The instruction set check: what is compiled in, what the CPU has, what is missing.
#include <terse/device/cpu_features.hpp>

#include <set>
#include <string>

#include "support/catch.hpp"

using namespace terse;

TEST_CASE("what is asked for and not there is missing") {
  CHECK(missing(0b1011, 0b1111) == 0);
  CHECK(missing(0b1011, 0b0110) == 0b1001);
  CHECK(missing(0, 0) == 0);
  CHECK(missing(detail::feature("avx2") | detail::feature("sse3"), detail::feature("sse3")) == detail::feature("avx2"));
}

TEST_CASE("each feature has a bit of its own") {
  CHECK(cpu_feature_count <= 64);
  std::set<std::string> names;
  std::set<std::tuple<unsigned, unsigned, char, int>> places;
  for (const auto& feature : cpu_features) names.insert(feature.name), places.insert({feature.leaf, feature.subleaf, feature.cpuid_register, feature.bit});
  CHECK(names.size() == cpu_feature_count);
  CHECK(places.size() == cpu_feature_count);
}

TEST_CASE("this CPU has what this test is compiled for, or the test would have died") { CHECK(missing(compiled_features, running_features()) == 0); }

#if defined(__x86_64__)
TEST_CASE("the compiler's own look at the CPU agrees") {
  __builtin_cpu_init();
  const CpuFeatures here = running_features();
  CHECK((__builtin_cpu_supports("sse3") != 0) == ((here & detail::feature("sse3")) != 0));
  CHECK((__builtin_cpu_supports("sse4.2") != 0) == ((here & detail::feature("sse4.2")) != 0));
  CHECK((__builtin_cpu_supports("popcnt") != 0) == ((here & detail::feature("popcnt")) != 0));
  CHECK((__builtin_cpu_supports("bmi") != 0) == ((here & detail::feature("bmi")) != 0));
  CHECK((__builtin_cpu_supports("bmi2") != 0) == ((here & detail::feature("bmi2")) != 0));
  CHECK((__builtin_cpu_supports("avx") != 0) == ((here & detail::feature("avx")) != 0));
  CHECK((__builtin_cpu_supports("fma") != 0) == ((here & detail::feature("fma")) != 0));
  CHECK((__builtin_cpu_supports("avx2") != 0) == ((here & detail::feature("avx2")) != 0));
  CHECK((__builtin_cpu_supports("fma4") != 0) == ((here & detail::feature("fma4")) != 0));
  CHECK((__builtin_cpu_supports("avx512f") != 0) == ((here & detail::feature("avx512f")) != 0));
  CHECK((__builtin_cpu_supports("avx512vl") != 0) == ((here & detail::feature("avx512vl")) != 0));
  CHECK((__builtin_cpu_supports("avx512bw") != 0) == ((here & detail::feature("avx512bw")) != 0));
  CHECK((__builtin_cpu_supports("avx512vbmi2") != 0) == ((here & detail::feature("avx512vbmi2")) != 0));
  CHECK((__builtin_cpu_supports("avx512bf16") != 0) == ((here & detail::feature("avx512bf16")) != 0));
  char name[49];
  running_cpu_name(name);
  CHECK(std::string(name).size() <= 48);
}
#endif
