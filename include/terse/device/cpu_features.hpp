#pragma once
/// Which instructions beyond x86-64's first ones a translation unit may use, and which the CPU it runs on has.
///
/// A program compiled for more than its CPU has dies of SIGILL at some later point, without a word; of `lzcnt`, which old CPUs take for
/// `bsr`, it even goes on with wrong numbers. So a program asks first:
///
///   if (missing(compiled_features, running_features())) …      // before anything else, in a file compiled for any CPU
///
/// What depends on the compiler's flags has internal linkage, so that each translation unit says what holds for itself; nothing here needs
/// the standard library, whose inline functions the linker might take from a file compiled for more.
/// On other architectures all sets are empty.

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace terse {

/// A set: bit i is cpu_features[i].
using CpuFeatures = std::uint64_t;

/// Where CPUID tells of a feature (Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E), and which registers the system must
/// save for it (XCR0).
struct CpuFeature {
  const char* name;  ///< as compilers call it in -mNAME
  std::uint32_t leaf, subleaf;
  char cpuid_register;
  int bit;
  std::uint32_t saved = 0;
};

/// What compilers may use by -march and a CPU can lack. The order is the bits' of CpuFeatures.
constexpr CpuFeature cpu_features[] = {
    {"sse3", 1, 0, 'c', 0},
    {"ssse3", 1, 0, 'c', 9},
    {"sse4.1", 1, 0, 'c', 19},
    {"sse4.2", 1, 0, 'c', 20},
    {"popcnt", 1, 0, 'c', 23},
    {"movbe", 1, 0, 'c', 22},
    {"lzcnt", 0x80000001, 0, 'c', 5},
    {"bmi", 7, 0, 'b', 3},
    {"bmi2", 7, 0, 'b', 8},
    {"gfni", 7, 0, 'c', 8},
    {"avx", 1, 0, 'c', 28, 0x6},
    {"f16c", 1, 0, 'c', 29, 0x6},
    {"fma", 1, 0, 'c', 12, 0x6},
    {"avx2", 7, 0, 'b', 5, 0x6},
    {"avxvnni", 7, 1, 'a', 4, 0x6},
    {"xop", 0x80000001, 0, 'c', 11, 0x6},
    {"fma4", 0x80000001, 0, 'c', 16, 0x6},
    {"tbm", 0x80000001, 0, 'c', 21},
    {"avx512f", 7, 0, 'b', 16, 0xe6},
    {"avx512cd", 7, 0, 'b', 28, 0xe6},
    {"avx512bw", 7, 0, 'b', 30, 0xe6},
    {"avx512dq", 7, 0, 'b', 17, 0xe6},
    {"avx512vl", 7, 0, 'b', 31, 0xe6},
    {"avx512ifma", 7, 0, 'b', 21, 0xe6},
    {"avx512vbmi", 7, 0, 'c', 1, 0xe6},
    {"avx512vbmi2", 7, 0, 'c', 6, 0xe6},
    {"avx512vnni", 7, 0, 'c', 11, 0xe6},
    {"avx512bitalg", 7, 0, 'c', 12, 0xe6},
    {"avx512vpopcntdq", 7, 0, 'c', 14, 0xe6},
    {"avx512bf16", 7, 1, 'a', 5, 0xe6},
    {"avx512fp16", 7, 0, 'd', 23, 0xe6},
};
/// How many there are.
constexpr int cpu_feature_count = sizeof cpu_features / sizeof cpu_features[0];

namespace detail {

constexpr bool same_name(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

/// A name that isn't in the table is a mistake that doesn't compile.
consteval CpuFeatures feature(const char* name) {
  for (int i = 0; i < cpu_feature_count; ++i)
    if (same_name(cpu_features[i].name, name)) return CpuFeatures{1} << i;
  throw "no such feature";
}

}  // namespace detail

/// What this translation unit is compiled for.
constexpr CpuFeatures compiled_features = 0
#if defined(__SSE3__)
    | detail::feature("sse3")
#endif
#if defined(__SSSE3__)
    | detail::feature("ssse3")
#endif
#if defined(__SSE4_1__)
    | detail::feature("sse4.1")
#endif
#if defined(__SSE4_2__)
    | detail::feature("sse4.2")
#endif
#if defined(__POPCNT__)
    | detail::feature("popcnt")
#endif
#if defined(__MOVBE__)
    | detail::feature("movbe")
#endif
#if defined(__LZCNT__)
    | detail::feature("lzcnt")
#endif
#if defined(__BMI__)
    | detail::feature("bmi")
#endif
#if defined(__BMI2__)
    | detail::feature("bmi2")
#endif
#if defined(__GFNI__)
    | detail::feature("gfni")
#endif
#if defined(__AVX__)
    | detail::feature("avx")
#endif
#if defined(__F16C__)
    | detail::feature("f16c")
#endif
#if defined(__FMA__)
    | detail::feature("fma")
#endif
#if defined(__AVX2__)
    | detail::feature("avx2")
#endif
#if defined(__AVXVNNI__)
    | detail::feature("avxvnni")
#endif
#if defined(__XOP__)
    | detail::feature("xop")
#endif
#if defined(__FMA4__)
    | detail::feature("fma4")
#endif
#if defined(__TBM__)
    | detail::feature("tbm")
#endif
#if defined(__AVX512F__)
    | detail::feature("avx512f")
#endif
#if defined(__AVX512CD__)
    | detail::feature("avx512cd")
#endif
#if defined(__AVX512BW__)
    | detail::feature("avx512bw")
#endif
#if defined(__AVX512DQ__)
    | detail::feature("avx512dq")
#endif
#if defined(__AVX512VL__)
    | detail::feature("avx512vl")
#endif
#if defined(__AVX512IFMA__)
    | detail::feature("avx512ifma")
#endif
#if defined(__AVX512VBMI__)
    | detail::feature("avx512vbmi")
#endif
#if defined(__AVX512VBMI2__)
    | detail::feature("avx512vbmi2")
#endif
#if defined(__AVX512VNNI__)
    | detail::feature("avx512vnni")
#endif
#if defined(__AVX512BITALG__)
    | detail::feature("avx512bitalg")
#endif
#if defined(__AVX512VPOPCNTDQ__)
    | detail::feature("avx512vpopcntdq")
#endif
#if defined(__AVX512BF16__)
    | detail::feature("avx512bf16")
#endif
#if defined(__AVX512FP16__)
    | detail::feature("avx512fp16")
#endif
    ;

/// What this CPU, under this system, can execute.
static inline CpuFeatures running_features() {
  CpuFeatures found = 0;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  std::uint32_t saved = 0;
  constexpr unsigned osxsave = 1u << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) && (c & osxsave)) {
    std::uint32_t high;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  }
  for (int i = 0; i < cpu_feature_count; ++i) {
    const CpuFeature& feature = cpu_features[i];
    a = b = c = d = 0;
    if (!__get_cpuid_count(feature.leaf, feature.subleaf, &a, &b, &c, &d)) continue;
    const unsigned told = feature.cpuid_register == 'a' ? a : feature.cpuid_register == 'b' ? b : feature.cpuid_register == 'c' ? c : d;
    if ((told >> feature.bit & 1) != 0 && (saved & feature.saved) == feature.saved) found |= CpuFeatures{1} << i;
  }
#endif
  return found;
}

/// What is asked for and not there.
constexpr CpuFeatures missing(CpuFeatures asked, CpuFeatures there) { return asked & ~there; }

/// The CPU's own name, of at most 48 characters, into `name`; empty where it has none.
static inline void running_cpu_name(char (&name)[49]) {
  name[0] = 0;
#if defined(__x86_64__)
  unsigned words[12] = {};
  for (unsigned i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3])) return;
  for (int i = 0; i < 48; ++i) name[i] = static_cast<char>(words[i / 4] >> (8 * (i % 4)) & 0xff);
  name[48] = 0;
#endif
}

}  // namespace terse
