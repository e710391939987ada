#pragma once
/// The instruction set this translation unit is compiled for.
///
/// Code compiled with different -march must not be merged by the linker: which copy wins would depend on link order.
/// So `Cpu`, which every op and model has in its type, and every helper without it, live in an inline namespace of this name. What lives
/// outside (text, files, scores) has no product that the compiler may fuse with a sum, so it gives the same on every instruction set.

// A namespace's name can't be computed, so this one macro is needed.
// A name for whatever changes the code written here (register width, fused products, fp16 loads, products of bf16 and int8), and for the levels that
// compilers make something of: avx512 is a server's (BW, DQ and VL too), sse4 what x86-64-v2 adds.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)
#define TERSE_ISA avx512_bf16_vnni
#elif defined(__AVX512BF16__)
#define TERSE_ISA avx512_bf16
#elif defined(__AVX512VNNI__)
#define TERSE_ISA avx512_vnni
#else
#define TERSE_ISA avx512
#endif
#elif defined(__AVX512F__)
#define TERSE_ISA avx512f
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define TERSE_ISA avx2
#elif defined(__AVX2__) && defined(__FMA__)
#define TERSE_ISA avx2_fma
#elif defined(__AVX2__)
#define TERSE_ISA avx2_unfused
#elif defined(__AVX__) && defined(__FMA__) && defined(__F16C__)
#define TERSE_ISA avx_fma_f16c
#elif defined(__AVX__) && defined(__FMA__)
#define TERSE_ISA avx_fma
#elif defined(__AVX__)
#define TERSE_ISA avx
#elif defined(__SSE4_2__)
#define TERSE_ISA sse4
#else
#define TERSE_ISA baseline
#endif

namespace terse::inline TERSE_ISA {

/// Bytes of one vector register, and how many there are; what decides them decides the namespace's name too.
#if defined(__AVX512F__)
inline constexpr int vector_register_bytes = 64, vector_registers = 32;
#elif defined(__AVX__)
inline constexpr int vector_register_bytes = 32, vector_registers = 16;
#else
inline constexpr int vector_register_bytes = 16, vector_registers = 16;
#endif

}  // namespace terse::inline TERSE_ISA
