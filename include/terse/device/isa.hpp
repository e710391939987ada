#pragma once
/// The instruction set this translation unit is compiled for.
///
/// Code compiled with different -march must not be merged by the linker: which copy wins would depend on link order.
/// So `Cpu`, which every op and model has in its type, and every helper without it, live in an inline namespace of this name.

// A namespace's name can't be computed, so this one macro is needed.
#if defined(__AVX512BF16__)
#define TERSE_ISA avx512_bf16
#elif defined(__AVX512F__)
#define TERSE_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define TERSE_ISA avx2
#elif defined(__AVX__)
#define TERSE_ISA avx
#else
#define TERSE_ISA baseline
#endif

namespace terse::inline TERSE_ISA {

/// Bytes of one vector register; what decides them decides the namespace's name too.
#if defined(__AVX512F__)
inline constexpr int vector_register_bytes = 64, vector_registers = 32;
#elif defined(__AVX__)
inline constexpr int vector_register_bytes = 32, vector_registers = 16;
#else
inline constexpr int vector_register_bytes = 16, vector_registers = 16;
#endif

}  // namespace terse::inline TERSE_ISA
