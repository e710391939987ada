#include <terse/device/cpu.hpp>
#include <terse/tensor/tensor.hpp>

#include <type_traits>

#include "support/catch.hpp"

using namespace terse;

static_assert(std::is_trivially_copyable_v<Rows<float, 8>> && std::is_trivially_copyable_v<Matrix<half, 2, 3>> && std::is_trivially_copyable_v<Vector<float, 8>> &&
              std::is_trivially_copyable_v<Column<double>>);
static_assert(std::is_convertible_v<Rows<float, 8>, Rows<const float, 8>> && !std::is_convertible_v<Rows<const float, 8>, Rows<float, 8>>);
static_assert(!std::is_convertible_v<Rows<float, 8>, Rows<float, 4>> && !std::is_convertible_v<Matrix<float, 2, 3>, Matrix<float, 3, 2>>);

TEST_CASE("a tensor owns zeros of the view's shape") {
  Cpu cpu(1);
  const terse::Tensor<Rows<float, 3>, Cpu> rows(cpu, 4);
  const Tensor<Matrix<double, 2, 5>, Cpu> matrix(cpu);
  const Tensor<Column<float>, Cpu> column(cpu, 6);
  CHECK(rows.size() == 12);
  CHECK(rows.view().rows == 4);
  CHECK(matrix.size() == 10);
  CHECK(column.size() == 6);
  for (Index i = 0; i < rows.size(); ++i) CHECK(rows.data()[i] == 0);
}

namespace {

struct Group {
  Rows<float, 3> wide;
  Column<double> narrow;
  constexpr void each(auto&& visit, Extent extent) { visit(wide, extent.tokens), visit(narrow, extent.sequences); }
};

}  // namespace

TEST_CASE("a group of tensors owns one block of memory; fewer rows stay in their places") {
  Cpu cpu(1);
  TensorGroup<Group, Cpu> group(cpu, {.tokens = 5, .sequences = 2});
  CHECK(group->wide.rows == 5);
  CHECK(group->narrow.rows == 2);
  CHECK(reinterpret_cast<std::byte*>(group->narrow.data) - reinterpret_cast<std::byte*>(group->wide.data) == 256);
  const float* const place = group->wide.data;
  group.shrink({.tokens = 1, .sequences = 0});
  CHECK((*group).wide.rows == 1);
  CHECK(group->wide.data == place);
}

TEST_CASE("views: row-major places and slices") {
  float values[12];
  for (int i = 0; i < 12; ++i) values[i] = static_cast<float>(i);
  const Rows<float, 3> rows{values, 4};
  CHECK(rows[2][1] == 7);
  const auto middle = rows.slice(1, 2);
  CHECK(middle.rows == 2);
  CHECK(middle[1][0] == 6);
  const Matrix<float, 3, 4> matrix{values};
  CHECK(matrix[2][3] == 11);
  const Column<float> column = Column<float>{values, 12}.slice(5, 3);
  CHECK(column[2] == 7);
  CHECK(column.size() == 3);
  rows[0][2] = -1;
  CHECK(Rows<const float, 3>(rows)[0][2] == -1);
}
