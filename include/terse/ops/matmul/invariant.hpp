#pragma once
/// Matrix products whose every output is summed in one fixed order over K, whatever the number of rows, their place in the batch
/// or the number of threads: what decoding stands on (the text of a prompt mustn't depend on its neighbours).
///
/// The work is divided over rows and columns only. One output is one chain of multiply-adds over k (invariant_matmul) or, where both
/// operands are contiguous over k, some chains, added up in a fixed tree (invariant_matmul_transposed), the same on all instruction sets that fuse products. Where the CPU multiplies
/// bfloat16, x is rounded to it for weights of that type, and a link of the chain has two products.

#include <algorithm>

#include <terse/device/cpu.hpp>
#include <terse/ops/matmul/op.hpp>
#include <terse/ops/matmul/panels.hpp>
#include <terse/ops/matmul/tiles.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// y = x w, batch-invariant; see ops/matmul/op.hpp.
template <Real A, Real B, Real Y, Index In, Index Out>
void invariant_matmul(const Cpu& cpu, Rows<A, In> x, Matrix<B, In, Out> w, Rows<Y, Out> y) {
  using Products = kernel::Products<Y, std::remove_const_t<B>>;
  if (x.rows <= kernel::few_rows) {
    const Index stripe = round_up(divide_up(Out, Index{cpu.threads()}), Index{Products::registers * Products::lanes});
    cpu.parallel_for(divide_up(Out, stripe), [=](Index s) {
      kernel::multiply_stripe<Products, In>(x.rows, x.data, w.data + s * stripe, Out, std::min(stripe, Out - s * stripe), y.data + s * stripe, Out);
    });
    return;
  }
  constexpr Index panel = kernel::tile_registers * Products::lanes, panels = divide_up(Out, panel);
  cpu.parallel_for(panels, [=](Index p) {
    const B *const columns = w.data + p * panel, *const next = p + 1 < panels ? columns + panel : columns;
    kernel::multiply_panel<Products, In>(x.rows, x.data, columns, Out, next, std::min(panel, Out - p * panel), y.data + p * panel, Out);
  });
}

/// y = x wᵀ, batch-invariant; see ops/matmul/op.hpp.
template <Real A, Real B, Real Y, Index In, Index Out>
void invariant_matmul_transposed(const Cpu& cpu, Rows<A, In> x, Matrix<B, Out, In> w, Rows<Y, Out> y) {
  using Products = kernel::Products<Y, std::remove_const_t<B>>;
  constexpr Index panel = 8 * kernel::tile_registers, panels = divide_up(Out, panel);
  cpu.parallel_for(panels, [=](Index p) {
    const B *const rows = w.data + p * panel * In, *const next = p + 1 < panels ? rows + panel * In : rows;
    kernel::multiply_panel_transposed<Products, In>(x.rows, x.data, rows, next, std::min(panel, Out - p * panel), y.data + p * panel, Out);
  });
}

}  // namespace terse::ops
