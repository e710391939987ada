// Fails where a text, or the log-probability of one of its tokens, depends on the instruction set.
#include <cstdio>

#include "texts.hpp"

int main() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512vnni"))
    return std::puts("skipped: this CPU has no AVX-512 with VNNI, so its texts can't be compared with AVX2's"), 77;
  const Texts expected = texts_avx2(), texts = texts_avx512();
  int different = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (texts.at(i) != expected[i]) std::printf("AVX-512's texts differ from AVX2's: %s\n", expected[i].first.c_str()), ++different;
  std::printf("%zu kinds of text compared, %d differ\n", expected.size(), different);
  return different == 0 ? 0 : 1;
}
