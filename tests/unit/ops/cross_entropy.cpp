#include <terse/ops/cross_entropy/cpu.hpp>

#include "support/op_case.hpp"

using namespace terse;

namespace {

/// V classes in P columns: what stands in the padding mustn't count.
template <Index V, Index P>
struct CrossEntropyCase {
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"loss", "weights"}}}, gradients{{{"logits", "dlogits"}}};

  Index rows;
  float smoothing = 0;

  std::vector<std::int32_t> targets() const {
    std::vector<std::int32_t> result;
    for (Index n = 0; n < rows; ++n) result.push_back(static_cast<std::int32_t>(n * 5 % V));
    return result;
  }
  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const Rows<const S, P> logits{t.input<S>("logits", rows * P, 8), rows};
    const Column<S> loss{t.output<S>("loss", rows), rows};
    if (smoothing == 0) return ops::cross_entropy<V>(cpu, logits, targets(), loss);
    std::vector<T> unused(static_cast<std::size_t>(rows * P));
    ops::cross_entropy_with_gradient<V>(cpu, logits, targets(), std::vector<float>(static_cast<std::size_t>(rows), 1.0f), loss, Rows<T, P>{unused.data(), rows}, nullptr, smoothing);
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const S* const weights = t.input<S>("weights", rows);
    ops::cross_entropy_with_gradient<V>(cpu, Rows<const S, P>{t.get<S>("logits"), rows}, targets(), std::vector<float>(weights, weights + rows),
                                        Column<S>{t.output<S>("loss again", rows), rows}, Rows<T, P>{t.output<T>("dlogits", rows * P), rows}, nullptr, smoothing);
  }
  Values reference(const Tensors& t) const {
    const auto logits = t.values("logits");
    std::vector<double> loss;
    for (Index n = 0; n < rows; ++n) {
      const double* const row = logits.data() + n * P;
      const double target = row[targets()[static_cast<std::size_t>(n)]];
      const double e = static_cast<double>(smoothing);
      double sum = 0, all = 0;
      for (Index v = 0; v < V; ++v) sum += std::exp(row[v] - target);
      for (Index v = 0; v < V; ++v) all += std::log(sum) + target - row[v];
      loss.push_back((1 - e) * std::log(sum) + e * all / V);
    }
    return {{"loss", loss}, {"loss again", loss}};
  }
};

}  // namespace

TEST_CASE("cross-entropy") {
  check_op(CrossEntropyCase<7, 7>{3});
  check_op(CrossEntropyCase<37, 128>{33});
  check_op(CrossEntropyCase<301, 384>{5});
  check_op(CrossEntropyCase<1, 8>{2});
}

TEST_CASE("cross-entropy with smoothed labels") {
  for (const float smoothing : {0.1f, 0.999f}) {
    check_op(CrossEntropyCase<7, 7>{3, smoothing});
    check_op(CrossEntropyCase<37, 128>{33, smoothing});
    check_op(CrossEntropyCase<301, 384>{5, smoothing});
    check_op(CrossEntropyCase<1, 8>{2, smoothing});
  }
}

// torch.nn.functional.cross_entropy(logits, target, label_smoothing=e, reduction="none") and its gradient, in double.
TEST_CASE("smoothed labels: loss and gradient are PyTorch's, also in the logits' place") {
  constexpr Index V = 5, P = 8;
  const std::vector<std::int32_t> target{4};
  const std::vector<float> weight{1};
  const auto check = [&](float smoothing, double loss, std::array<double, V> slopes) {
    Cpu cpu(1);
    float logits[P] = {1, -2, 0.5f, 3, 0, 1e30f, std::nanf(""), 7}, got = 0;
    ops::cross_entropy_with_gradient<V>(cpu, Rows<const float, P>{logits, 1}, target, weight, Column<float>{&got, 1}, Rows<float, P>{logits, 1}, nullptr, smoothing);
    CHECK(static_cast<double>(got) == Approx(loss).epsilon(1e-6));
    double sum = 0;
    for (Index v = 0; v < V; ++v) {
      CHECK(std::abs(static_cast<double>(logits[v]) - slopes[static_cast<std::size_t>(v)]) < 1e-7);
      sum += static_cast<double>(logits[v]);
    }
    for (Index v = V; v < P; ++v) CHECK(logits[v] == 0);
    CHECK(std::abs(sum) < 1e-6);
  };
  check(0, 3.242118618, {0.106233198, 0.005289040, 0.064433692, 0.784963061, -0.960918990});
  check(0.1f, 3.192118618, {0.086233198, -0.014710960, 0.044433692, 0.764963061, -0.880918990});
  check(0.5f, 2.992118618, {0.006233198, -0.094710960, -0.035566308, 0.684963061, -0.560918990});
}

TEST_CASE("cross-entropy: the padding gets no gradient, the loss scale scales, in place is allowed") {
  constexpr Index V = 5, P = 8;
  Cpu cpu(1);
  float logits[P] = {1, -2, 0.5f, 3, 0, 1e30f, std::nanf(""), 7}, slopes[P], loss = 0;
  const std::vector<std::int32_t> target{2};
  const std::vector<float> weight{0.25f};
  const auto run = [&](float scale, float* out) {
    ops::cross_entropy_with_gradient<V>(cpu, Rows<const float, P>{logits, 1}, target, weight, Column<float>{&loss, 1}, Rows<float, P>{out, 1}, &scale);
  };
  run(1, slopes);
  for (Index v = V; v < P; ++v) CHECK(slopes[v] == 0);
  float scaled[P];
  run(1024, scaled);
  for (Index v = 0; v < V; ++v) CHECK(scaled[v] == 1024 * slopes[v]);
  run(1, logits);
  for (Index v = 0; v < P; ++v) CHECK(logits[v] == slopes[v]);
}

TEST_CASE("cross-entropy: far logits stay finite, NaN and infinity reach the loss") {
  Cpu cpu(1);
  const std::vector<std::int32_t> targets{0};
  const auto loss = [&](float a, float b) {
    const float logits[3] = {a, b, 0};
    float result = 0;
    ops::cross_entropy<3>(cpu, Rows<const float, 3>{logits, 1}, targets, Column<float>{&result, 1});
    return result;
  };
  CHECK(loss(30000, 1) == 0);
  CHECK(loss(0, 30000) == 30000);
  CHECK(loss(-60000, 60000) == 120000);
  CHECK_FALSE(std::isfinite(loss(1, INFINITY)));
  CHECK_FALSE(std::isfinite(loss(-INFINITY, 1)));
  CHECK(std::isnan(loss(1, NAN)));
  CHECK(std::isnan(loss(NAN, 1)));
}
