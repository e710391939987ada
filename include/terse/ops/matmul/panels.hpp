#pragma once
/// How an invariant product goes through its weight: a panel at a time, by all rows of x, in tiles that the registers hold. One panel is
/// one thread's, and no output's sum is split.
///
/// With few rows reading the weight is the work: while a tile is multiplied, the part of the weight that comes next is fetched, a share by each tile.
/// With many rows arithmetic is: the first tile leaves the rows of the weight side by side, the way they are multiplied, for the tiles after it.

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include <terse/device/bfloat16.hpp>
#include <terse/device/gemm.hpp>
#include <terse/device/simd.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::inline TERSE_ISA {
namespace kernel {

/// Rows of x in a tile, and registers of sums for each: with what is multiplied they fill the registers.
inline constexpr int tile_rows = 4, tile_registers = vector_registers == 32 ? 6 : 2;  // 3 of 16 spill

/// Products in S, one value of k at a time, of weights that are widened to it.
template <class S>
struct Widened {
  using V = Simd<S>;
  using Register = typename V::Register;
  using Left = S;                         ///< what x is converted to
  static constexpr int lanes = V::lanes;  ///< sums of a register
  static constexpr int depth = 1;         ///< values of k in a step, where k goes down the weight's columns
  static constexpr int along = chains<S>; ///< values of k in a step, where it goes along the weight's rows
  static constexpr int parts = chain_registers<S>;  ///< registers that such a step takes
  static constexpr int registers = 1;     ///< of sums for the columns that are loaded together

  template <class X>
  static void convert(Left* to, const X* x, Index count) {
    for (Index i = 0; i < count; ++i) to[i] = static_cast<S>(x[i]);
  }
  [[gnu::always_inline]] static void fill_left(Register& left, const S* x) { V::fill(left, *x); }
  [[gnu::always_inline]] static void load_left(Register& left, const S* x) { V::load(left, x); }
  [[gnu::always_inline]] static void load_along(Register& right, const auto* w) { V::load(right, w); }
  [[gnu::always_inline]] static void load_along(Register& right, const auto* w, Index count) { V::load_part(right, w, count); }
  [[gnu::always_inline]] static void load_columns(Register* right, const auto* w, Index /*stride*/) { V::load(*right, w); }
  [[gnu::always_inline]] static void load_columns(Register* right, const auto* w, Index /*stride*/, Index /*rows*/, Index columns) { V::load_part(*right, w, columns); }
  [[gnu::always_inline]] static void add_products(Register& sum, const Register& a, const Register& b) { V::add_product(sum, a, b); }
  [[gnu::always_inline]] static void load_sums(Register* sums, const S* y, Index columns) {
    if (columns == lanes) V::load(*sums, y);
    else V::load_part(*sums, y, columns);
  }
  [[gnu::always_inline]] static void store_sums(S* y, const Register* sums, Index columns) {
    if (columns == lanes) V::store(y, *sums);
    else V::store_part(y, *sums, columns);
  }
  [[gnu::always_inline]] static S sum(Register (&chains_of_sum)[parts]) { return sum_of_chains<S>(chains_of_sum); }
};

/// How rows are multiplied with a weight of W into sums of S.
template <class S, class W>
using Products = std::conditional_t<has_bfloat16_pairs && std::is_same_v<S, float> && std::is_same_v<W, bfloat16>, Bfloat16Pairs, Widened<S>>;

/// What a tile fetches besides: from `next` on, at every `every`-th step (a power of two) what one step reads.
template <class W>
struct Ahead {
  const W* next;
  Index stride;  ///< of the weight's rows
  Index every;

  /// `rows` rows, `columns` values of each; then the step `advance` values further on comes.
  template <Index rows, Index columns>
  [[gnu::always_inline]] void fetch(Index step, Index advance) {
    if ((step & (every - 1)) != 0) return;
    constexpr Index line = 64 / sizeof(W);
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < columns; c += line) __builtin_prefetch(next + r * stride + c, 0, 2);
    next += advance;
  }
};

/// Of `steps` steps that are to be fetched, the share of tile `tile` of `tiles`.
struct Share {
  Index first, every;
};
inline Share share_of(Index steps, Index tile, Index tiles) {
  const Index every = static_cast<Index>(std::bit_floor(static_cast<std::size_t>(tiles)));
  return {std::min(tile, every - 1) * divide_up(steps, every), every};
}

/// Calls body.template operator()<rows>(i) for the tiles that m rows make; i is a tile's first row.
template <class Body>
void for_row_tiles(Index m, Body&& body) {
  Index i = 0;
  for (; i + tile_rows <= m; i += tile_rows) body.template operator()<tile_rows>(i);
  if (m - i == 3) body.template operator()<3>(i);
  if (m - i == 2) body.template operator()<2>(i);
  if (m - i == 1) body.template operator()<1>(i);
}

/// Where a tile reads the weight's columns: in their place; there, leaving them in `part`; from there; or in their place where they are few.
enum class From { weight, weight_to_part, part, end_of_weight };

/// Y (rows, columns of tile_registers, or of P::registers at the end) = X W, or += X W, over k values of k. X, converted, has rows of `left_stride`.
template <class P, int rows, From from, class S, class W>
inline void column_tile(Index k, const typename P::Left* left, Index left_stride, const W* w, Index stride, typename P::Register* part, Index end_columns,
                        Ahead<W> ahead, Write write, S* y, Index ldy) {
  using Register = typename P::Register;
  constexpr int registers = from == From::end_of_weight ? P::registers : tile_registers, loads = registers / P::registers;
  constexpr Index width = P::registers * P::lanes;
  const Index columns = from == From::end_of_weight ? end_columns : width;
  Register sum[rows][registers] = {};
  if (write == Write::accumulate)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < loads; ++j) P::load_sums(sum[i] + j * P::registers, y + i * ldy + j * width, columns);
  const Index steps = divide_up(k, Index{P::depth});
  for (Index p = 0; p < steps; ++p) {
    Register right[registers];
    for (int j = 0; j < loads; ++j) {
      const W* const at = w + p * P::depth * stride + j * width;
      Register* const to = right + j * P::registers;
      if constexpr (from == From::part)
        for (int r = 0; r < P::registers; ++r) to[r] = part[p * registers + j * P::registers + r];
      else if (from == From::end_of_weight || (P::depth > 1 && k - p * P::depth < P::depth)) P::load_columns(to, at, stride, k - p * P::depth, columns);
      else P::load_columns(to, at, stride);
    }
    if constexpr (from == From::weight_to_part)
      for (int j = 0; j < registers; ++j) part[p * registers + j] = right[j];
    if constexpr (from != From::end_of_weight) ahead.template fetch<P::depth, registers * P::lanes>(p, P::depth * stride);
    for (int i = 0; i < rows; ++i) {
      Register one;
      P::fill_left(one, left + i * left_stride + p * P::depth);
      for (int j = 0; j < registers; ++j) P::add_products(sum[i][j], one, right[j]);
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < loads; ++j) P::store_sums(y + i * ldy + j * width, sum[i] + j * P::registers, columns);
}

/// Y (m, columns of one panel) = X W. `w` is the panel's first column, `next` the next panel's.
template <class P, Index In, class X, class S, class W>
void multiply_panel(Index m, const X* x, const W* w, Index stride, const W* next, Index columns, S* y, Index ldy) {
  constexpr Index steps = 64, deep = steps * P::depth, tile_columns = tile_registers * P::lanes, end_width = P::registers * P::lanes;
  alignas(64) typename P::Register part[steps * tile_registers];
  const Index tiles = divide_up(m, Index{tile_rows});
  for (Index first = 0; first < In; first += deep) {
    const Index k = std::min(deep, In - first);
    const Write write = first == 0 ? Write::overwrite : Write::accumulate;
    const W* const rows_of_w = w + first * stride;
    const W* const coming = first + deep < In ? rows_of_w + deep * stride : next;
    for_row_tiles(m, [&]<int rows>(Index i) {
      alignas(64) typename P::Left left[rows * deep];
      for (int r = 0; r < rows; ++r) {
        P::convert(left + r * deep, x + (i + r) * In + first, k);
        if (k % P::depth != 0) left[r * deep + k] = {};
      }
      S* const to = y + i * ldy;
      if (columns == tile_columns) {
        const Share share = share_of(steps, i / tile_rows, tiles);
        const Ahead<W> ahead{coming + share.first * P::depth * stride, stride, share.every};
        if (i > 0) column_tile<P, rows, From::part>(k, left, deep, rows_of_w, stride, part, 0, ahead, write, to, ldy);
        else if (m > tile_rows) column_tile<P, rows, From::weight_to_part>(k, left, deep, rows_of_w, stride, part, 0, ahead, write, to, ldy);
        else column_tile<P, rows, From::weight>(k, left, deep, rows_of_w, stride, part, 0, ahead, write, to, ldy);
      } else {
        for (Index c = 0; c < columns; c += end_width)
          column_tile<P, rows, From::end_of_weight>(k, left, deep, rows_of_w + c, stride, part, std::min(end_width, columns - c), Ahead<W>{}, write, to + c, ldy);
      }
    });
  }
}

/// So few rows that reading the weight is all the work.
inline constexpr Index few_rows = tile_rows + 2;

/// Y (m, columns) = X W for few rows: some of W's rows at a time from left to right, as memory is read fastest, while the sums rest in Y. The same
/// chains as a panel's.
template <class P, Index In, class X, class S, class W>
void multiply_stripe(Index m, const X* x, const W* w, Index stride, Index columns, S* y, Index ldy) {
  constexpr Index deep = 16, steps = deep / P::depth, width = P::registers * P::lanes;
  using Registers = typename P::Register[P::registers];
  for (Index first = 0; first < In; first += deep) {
    const Index k = std::min(deep, In - first);
    alignas(64) typename P::Left left[few_rows * deep] = {};
    for (Index i = 0; i < m; ++i) P::convert(left + i * deep, x + i * In + first, k);
    const W* const rows_of_w = w + first * stride;
    const Index coming = first + deep < In ? deep * stride : 0;
    for (Index c = 0; c < columns; c += width) {
      const Index count = std::min(width, columns - c);
      const bool whole = k == deep && count == width;
      for_row_tiles(m, [=, &left]<int rows>(Index i) {
        typename P::Register sum[rows][P::registers] = {};
        if (first > 0)
          for (int r = 0; r < rows; ++r) P::load_sums(sum[r], y + (i + r) * ldy + c, count);
        const auto add = [&](Index p, const Registers& right) {
          for (int r = 0; r < rows; ++r) {
            typename P::Register one;
            P::fill_left(one, left + (i + r) * deep + p * P::depth);
            for (int j = 0; j < P::registers; ++j) P::add_products(sum[r][j], one, right[j]);
          }
        };
        const auto at = [&](Index p) { return rows_of_w + p * P::depth * stride + c; };
        if (whole) {
          for (Index p = 0; p < steps; ++p) {
            Registers right;
            P::load_columns(right, at(p), stride);
            if (i == 0)
              for (int r = 0; r < P::depth; ++r) __builtin_prefetch(at(p) + r * stride + coming, 0, 2);
            add(p, right);
          }
        } else {
          for (Index p = 0; p * P::depth < k; ++p) {
            Registers right;
            P::load_columns(right, at(p), stride, k - p * P::depth, count);
            add(p, right);
          }
        }
        for (int r = 0; r < rows; ++r) P::store_sums(y + (i + r) * ldy + c, sum[r], count);
      });
    }
  }
}

/// Y (rows, columns) = X Wᵀ for `columns` rows of W; X, converted and zero beyond In, has rows of `left_stride`.
template <class P, int rows, int columns, Index In, class S, class W>
inline void row_tile(const typename P::Left* left, Index left_stride, const W* w, Ahead<W> ahead, S* y, Index ldy) {
  using Register = typename P::Register;
  constexpr Index whole = In - In % P::along, step = P::along / P::parts;
  constexpr int together = columns == 1 ? P::parts : 1;  // the parts of a step whose sums the registers hold
  Register chains_of[rows][columns][P::parts];
  for (int first = 0; first < P::parts; first += together) {
    Register sum[rows][columns][together] = {};
    const auto add = [&](Index p, int part, const Register (&right)[columns]) {
      for (int i = 0; i < rows; ++i) {
        Register values;
        P::load_left(values, left + i * left_stride + p);
        for (int j = 0; j < columns; ++j) P::add_products(sum[i][j][part], values, right[j]);
      }
    };
    for (Index begin = 0; begin < whole; begin += P::along) {
      if (first == 0) ahead.template fetch<columns, 1>(begin / P::along, P::along);
      for (int part = 0; part < together; ++part) {
        const Index p = begin + (first + part) * step;
        Register right[columns];
        for (int j = 0; j < columns; ++j) P::load_along(right[j], w + j * In + p);
        add(p, part, right);
      }
    }
    for (int part = 0; part < together; ++part)
      if (const Index p = whole + (first + part) * step; p < In) {
        Register right[columns];
        for (int j = 0; j < columns; ++j) P::load_along(right[j], w + j * In + p, std::min(step, In - p));
        add(p, part, right);
      }
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) std::copy_n(sum[i][j], together, chains_of[i][j] + first);
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) y[i * ldy + j] = P::sum(chains_of[i][j]);
}

/// Y (m, count) = X Wᵀ for a panel of `count` rows of W; `next` is the panel's that comes next.
template <class P, Index In, class X, class S, class W>
void multiply_panel_transposed(Index m, const X* x, const W* w, const W* next, Index count, S* y, Index ldy) {
  constexpr Index stride = round_up(In, Index{P::along});
  const Index tiles = divide_up(m, Index{tile_rows});
  for_row_tiles(m, [=]<int rows>(Index i) {
    alignas(64) typename P::Left left[rows * stride];
    for (int r = 0; r < rows; ++r) {
      P::convert(left + r * stride, x + (i + r) * In, In);
      std::fill(left + r * stride + In, left + (r + 1) * stride, typename P::Left{});
    }
    Index j = 0;
    if (tiles > 1) {
      const Share share = share_of(In / P::along, i / tile_rows, tiles);
      for (; j + tile_registers <= count; j += tile_registers)
        row_tile<P, rows, tile_registers, In>(left, stride, w + j * In, Ahead<W>{next + j * In + share.first * P::along, In, share.every}, y + i * ldy + j, ldy);
    }
    // Few rows: W as it lies in memory, which the CPU itself foresees best; only where arithmetic takes as long it is fetched by name.
    for (; j < count; ++j) row_tile<P, rows, 1, In>(left, stride, w + j * In, Ahead<W>{w + (j + 16) * In, In, m > 2 ? 1 : Index{1} << 62}, y + i * ldy + j, ldy);
  });
}

}  // namespace kernel
}  // namespace terse::ops::inline TERSE_ISA
