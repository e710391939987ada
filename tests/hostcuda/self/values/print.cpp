// Prints values, sizes and conversions of the headers that come first on the include path: the toolkit's, or the shadow's. Two programs, not
// one: both have functions of the same names.
#include <cstdint>
#include <cstdio>

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <nccl.h>

namespace {

// FNV-1a of the results' bits.
struct Hash {
  std::uint64_t value = 0xCBF29CE484222325u;
  void add(std::uint32_t bits) {
    for (int i = 0; i < 4; ++i) value = (value ^ (bits >> 8 * i & 0xFFu)) * 0x100000001B3u;
  }
};

template <class To, class From>
To bits_as(From from) {
  static_assert(sizeof(To) == sizeof from);
  To to;
  __builtin_memcpy(static_cast<void*>(&to), &from, sizeof to);
  return to;
}

// Every 251st float, NaNs, infinities and denormals among them.
void print_conversions() {
  Hash halves, bfloats, from_halves, from_bfloats;
  for (std::uint64_t i = 0; i < std::uint64_t{1} << 32; i += 251) {
    const auto value = bits_as<float>(static_cast<std::uint32_t>(i));
    halves.add(bits_as<std::uint16_t>(__float2half_rn(value)));
    bfloats.add(bits_as<std::uint16_t>(__float2bfloat16_rn(value)));
  }
  for (std::uint32_t i = 0; i < 1u << 16; ++i) {
    from_halves.add(bits_as<std::uint32_t>(__half2float(bits_as<__half>(static_cast<std::uint16_t>(i)))));
    from_bfloats.add(bits_as<std::uint32_t>(__bfloat162float(bits_as<__nv_bfloat16>(static_cast<std::uint16_t>(i)))));
  }
  for (const Hash& hash : {halves, bfloats, from_halves, from_bfloats}) std::printf("conversions %016llx\n", static_cast<unsigned long long>(hash.value));
}

}  // namespace

#define VALUE(name) std::printf(#name " %lld\n", static_cast<long long>(name));
#define TYPE(name) std::printf(#name " %zu %zu\n", sizeof(name), alignof(name));

int main() {
#include "names.inc"
  print_conversions();
}
