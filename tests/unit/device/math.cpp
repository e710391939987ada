#include <terse/device/math.hpp>
#include <terse/device/simd.hpp>

#include <algorithm>
#include <limits>
#include <vector>

#include "support/catch.hpp"

using namespace terse;

TEST_CASE("fast_exp: within 2 ulp over its range") {
  double worst = 0;
  for (float x = -87.3f; x <= 88.3f; x += 0.00037f) {
    const double want = std::exp(static_cast<double>(x));
    const auto rounded = static_cast<float>(want);
    const double ulp = static_cast<double>(std::nextafter(rounded, INFINITY) - rounded);
    worst = std::max(worst, std::abs(static_cast<double>(fast_exp(x)) - want) / ulp);
  }
  INFO("worst error in ulp: " << worst);
  CHECK(worst <= 2);
}

TEST_CASE("fast_exp: the ends, zero, infinity, NaN") {
  CHECK(fast_exp(0.0f) == 1);
  CHECK(fast_exp(-0.0f) == 1);
  CHECK(fast_exp(-1e30f) == fast_exp(-87.3f));
  CHECK(fast_exp(-std::numeric_limits<float>::infinity()) == fast_exp(-87.3f));
  CHECK(fast_exp(-1e30f) < 1.3e-38f);
  CHECK(fast_exp(1e30f) == fast_exp(88.3f));
  CHECK(std::isfinite(fast_exp(std::numeric_limits<float>::infinity())));
  CHECK(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("fast_exp: the same in a vectorized loop") {
  std::vector<float> x(1003), y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 0.17f - 90;
  x[3] = NAN, x[501] = INFINITY, x[1001] = -INFINITY;
#pragma omp simd
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = fast_exp(x[i]);
  CHECK(std::isnan(y[3]));
  x[3] = 0, y[3] = 1;
  int wrong = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float alone = fast_exp(x[i]);
    wrong += std::abs(alone - y[i]) > 2e-7f * alone;
  }
  CHECK(wrong == 0);
}

namespace {

template <class Scalar, class Value>
void check_load() {
  using V = Simd<Scalar>;
  Value values[V::lanes + 1];
  for (int i = 0; i <= V::lanes; ++i) values[i] = static_cast<Value>(static_cast<float>(i) - 2.5f);
  typename V::Register loaded;
  V::load(loaded, values + 1);
  Scalar back[V::lanes], want = 0;
  V::store(back, loaded);
  for (int i = 0; i < V::lanes; ++i) {
    CHECK(back[i] == static_cast<Scalar>(i) - Scalar{1.5});
    want += back[i];
  }
  CHECK(V::sum(loaded) == want);
}

}  // namespace

TEST_CASE("vectors: load, convert, store, sum") {
  check_load<float, float>();
  check_load<float, half>();
  check_load<float, bfloat16>();
  check_load<double, double>();
  check_load<double, float>();
}
