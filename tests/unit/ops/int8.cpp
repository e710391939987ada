#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <terse/core/philox.hpp>
#include <terse/ops/matmul/int8.hpp>
#include <terse/tensor/tensor.hpp>

#include "support/catch.hpp"

using namespace terse;

namespace {

std::vector<float> random_values(Index count, std::uint64_t seed) {
  RandomStream random(seed, RandomUse::synthesize);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (auto& value : values) value = (random.uniform() - 0.5f) * (random.uniform() < 0.02f ? 8 : 1);
  return values;
}

/// Of `values`, every `stride`-th: integers in [-127, 127], and what one of them is worth.
std::pair<std::vector<int>, float> naively_quantized(const float* values, Index count, Index stride) {
  float largest = 0;
  for (Index i = 0; i < count; ++i) largest = std::max(largest, std::abs(values[i * stride]));
  std::vector<int> result;
  for (Index i = 0; i < count; ++i) result.push_back(largest > 0 ? static_cast<int>(std::nearbyint(values[i * stride] * (127 / largest))) : 0);
  return {result, largest / 127};
}

/// 1 to 70 rows of 5 different ones, by 1 to 3 threads, against loops over integers: the same bits. Against float: near.
template <Index In, Index Out>
void check() {
  using Weight = ops::Int8Matrix<In, Out>;
  const auto w = random_values(In * Out, 1), x = random_values(5 * In, 2);
  Cpu one(1);
  const CpuMemory memory(Weight::bytes()), memory_transposed(Weight::bytes());
  Weight q, transposed;
  q.bind(memory.data()), transposed.bind(memory_transposed.data());
  ops::quantize(one, Matrix<const float, In, Out>{w.data()}, q);
  std::vector<float> v(w.size());
  for (Index k = 0; k < In; ++k)
    for (Index n = 0; n < Out; ++n) v[static_cast<std::size_t>(n * In + k)] = w[static_cast<std::size_t>(k * Out + n)];
  ops::quantize_transposed(one, Matrix<const float, Out, In>{v.data()}, transposed);
  CHECK(std::equal(memory.data(), memory.data() + Weight::bytes(), memory_transposed.data()));

  one.reserve_workspace(w.size() * sizeof(float));
  const auto worth = [](const float* values) { return std::vector<float>(values, values + In * Out); };
  const auto back = worth(ops::dequantized(one, q).data), back_transposed = worth(ops::dequantized_transposed(one, q).data);
  for (Index n = 0; n < Out; ++n) {
    const auto [integers, scale] = naively_quantized(w.data() + n, In, Out);
    for (Index k = 0; k < In; ++k) {
      REQUIRE(back[static_cast<std::size_t>(k * Out + n)] == static_cast<float>(integers[static_cast<std::size_t>(k)]) * scale);
      REQUIRE(back_transposed[static_cast<std::size_t>(n * In + k)] == back[static_cast<std::size_t>(k * Out + n)]);
    }
  }

  std::vector<float> expected;
  double error = 0, squares = 0;
  for (Index r = 0; r < 5; ++r) {
    const auto [left, left_scale] = naively_quantized(x.data() + r * In, In, 1);
    for (Index n = 0; n < Out; ++n) {
      const auto [right, right_scale] = naively_quantized(w.data() + n, In, Out);
      expected.push_back(static_cast<float>(std::inner_product(left.begin(), left.end(), right.begin(), 0)) * (left_scale * right_scale));
      double exact = 0;
      for (Index k = 0; k < In; ++k) exact += double{x[static_cast<std::size_t>(r * In + k)]} * w[static_cast<std::size_t>(k * Out + n)];
      error += (exact - expected.back()) * (exact - expected.back()), squares += exact * exact;
    }
  }
  CHECK(std::sqrt(error / squares) < 0.05);

  for (Index rows = 1; rows <= 70; ++rows) {
    Cpu cpu(static_cast<int>(1 + rows % 3));
    std::vector<float> many, y(static_cast<std::size_t>(rows * Out), std::numeric_limits<float>::quiet_NaN());
    for (Index r = 0; r < rows; ++r) many.insert(many.end(), x.begin() + r % 5 * In, x.begin() + (r % 5 + 1) * In);
    const TensorGroup<ops::Int8Rows<Weight::depth>, Cpu> p(cpu, {.tokens = rows});
    ops::int8_matmul(cpu, Rows<const float, In>{many.data(), rows}, q, Rows<float, Out>{y.data(), rows}, *p);
    for (Index r = 0; r < rows; ++r) {
      INFO("row " << r << " of " << rows << ", (" << In << ", " << Out << "), " << cpu.threads() << " threads");
      CHECK(std::equal(y.begin() + r * Out, y.begin() + (r + 1) * Out, expected.begin() + r % 5 * Out));
    }
  }
}

}  // namespace

TEST_CASE("int8 matmul: the same integers for any rows, threads and instruction set") {
  check<1, 1>();
  check<77, 35>();
  check<64, 96>();
  check<203, 403>();
}

TEST_CASE("int8 matmul: the largest sums that there are, and rows of zeros") {
  constexpr Index In = 3072, Out = 3;
  Cpu cpu(1);
  std::vector<float> w(In * Out, -3), x(2 * In, 5), y(2 * Out);
  std::fill(x.begin() + In, x.end(), 0.0f);
  const CpuMemory memory(ops::Int8Matrix<In, Out>::bytes());
  ops::Int8Matrix<In, Out> q;
  q.bind(memory.data());
  ops::quantize(cpu, Matrix<const float, In, Out>{w.data()}, q);
  const TensorGroup<ops::Int8Rows<In>, Cpu> p(cpu, {.tokens = 2});
  ops::int8_matmul(cpu, Rows<const float, In>{x.data(), 2}, q, Rows<float, Out>{y.data(), 2}, *p);
  CHECK(std::abs(y[0] / (-15.0f * In) - 1) < 1e-6f);
  CHECK(y[Out] == 0);

  x[7] = std::numeric_limits<float>::quiet_NaN(), x[In + 7] = std::numeric_limits<float>::infinity();
  ops::int8_matmul(cpu, Rows<const float, In>{x.data(), 2}, q, Rows<float, Out>{y.data(), 2}, *p);
  for (const float value : y) CHECK_FALSE(std::isfinite(value));
}
