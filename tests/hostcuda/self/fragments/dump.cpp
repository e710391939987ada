// Prints the fragment layouts of mma and ldmatrix as CuTe has them: cutlass, include/cute/atom/{mma,copy}_traits_sm{75,80}.hpp. Built by
// ./update; no test needs it. A program of its own: CuTe includes the toolkit's headers, which shadow/ can't stand beside.
#include <cstdio>

#include <cute/atom/copy_traits_sm75.hpp>
#include <cute/atom/mma_traits_sm75.hpp>
#include <cute/atom/mma_traits_sm80.hpp>

// A layout maps (lane, value) to an index into the matrix, column-major with `rows` rows.
template <class Layout>
void print_matrix(const char* name, char matrix, Layout layout, int rows) {
  for (int lane = 0; lane < 32; ++lane) {
    std::printf("%s %c %d", name, matrix, lane);
    for (int value = 0; value < cute::size<1>(layout); ++value) {
      const int index = layout(lane, value);
      std::printf(" %d,%d", index % rows, index / rows);
    }
    std::printf("\n");
  }
}

// A and C are (row, k) and (row, column); CuTe's B is (column, k).
template <class Operation>
void print_mma(const char* name) {
  using Traits = cute::MMA_Traits<Operation>;
  constexpr int m = cute::size<0>(typename Traits::Shape_MNK{}), n = cute::size<1>(typename Traits::Shape_MNK{});
  print_matrix(name, 'A', typename Traits::ALayout{}, m);
  print_matrix(name, 'B', typename Traits::BLayout{}, n);
  print_matrix(name, 'C', typename Traits::CLayout{}, m);
}

// Both layouts map (lane, bit) to a bit of what is loaded. Prints, for each 16-bit value a lane gets, the lane that gave its row and the
// value's place in the row.
template <class Operation>
void print_ldmatrix(const char* name, int matrices) {
  using Traits = cute::Copy_Traits<Operation>;
  const typename Traits::SrcLayout source;
  const typename Traits::DstLayout target;
  for (int lane = 0; lane < 32; ++lane) {
    std::printf("%s - %d", name, lane);
    for (int value = 0; value < 2 * matrices; ++value)
      for (int from = 0; from < 8 * matrices; ++from)
        for (int place = 0; place < 8; ++place)
          if (int(source(from, 16 * place)) == int(target(lane, 16 * value))) std::printf(" %d,%d", from, place);
    std::printf("\n");
  }
}

int main() {
  print_mma<cute::SM75_16x8x8_F32F16F16F32_TN>("mma.m16n8k8.f16");
  print_mma<cute::SM80_16x8x16_F32F16F16F32_TN>("mma.m16n8k16.f16");
  print_mma<cute::SM80_16x8x16_F32BF16BF16F32_TN>("mma.m16n8k16.bf16");
  print_ldmatrix<cute::SM75_U32x1_LDSM_N>("ldmatrix.x1", 1);
  print_ldmatrix<cute::SM75_U32x2_LDSM_N>("ldmatrix.x2", 2);
  print_ldmatrix<cute::SM75_U32x4_LDSM_N>("ldmatrix.x4", 4);
  print_ldmatrix<cute::SM75_U16x2_LDSM_T>("ldmatrix.x1.trans", 1);
  print_ldmatrix<cute::SM75_U16x4_LDSM_T>("ldmatrix.x2.trans", 2);
  print_ldmatrix<cute::SM75_U16x8_LDSM_T>("ldmatrix.x4.trans", 4);
}
