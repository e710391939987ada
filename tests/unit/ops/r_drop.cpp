#include <terse/ops/r_drop/cpu.hpp>

#include "support/op_case.hpp"

using namespace terse;

namespace {

/// V classes in P columns: what stands in the padding mustn't count.
template <Index V, Index P>
struct RDropCase {
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"loss", "weights"}}}, gradients{{{"logits", "dlogits"}}};

  Index rows;
  LossTerms terms;

  std::vector<std::int32_t> targets() const {
    std::vector<std::int32_t> result;
    for (Index n = 0; n < rows; ++n) result.push_back(static_cast<std::int32_t>(n * 5 % V));
    return result;
  }
  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    std::vector<T> unused(static_cast<std::size_t>(rows * P));
    ops::r_drop_with_gradient<V>(cpu, Rows<const S, P>{t.input<S>("logits", rows * P, 4), rows}, targets(), std::vector<float>(static_cast<std::size_t>(rows), 1.0f),
                                 Column<S>{t.output<S>("loss", rows), rows}, Rows<T, P>{unused.data(), rows}, nullptr, terms);
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const S* const weights = t.input<S>("weights", rows);
    ops::r_drop_with_gradient<V>(cpu, Rows<const S, P>{t.get<S>("logits"), rows}, targets(), std::vector<float>(weights, weights + rows),
                                 Column<S>{t.output<S>("loss again", rows), rows}, Rows<T, P>{t.output<T>("dlogits", rows * P), rows}, nullptr, terms);
  }
  Values reference(const Tensors& t) const {
    const auto logits = t.values("logits");
    const double e = static_cast<double>(terms.label_smoothing), a = static_cast<double>(terms.r_drop);
    const auto log_softmax = [&](Index n) {
      const std::vector<double> row(logits.begin() + n * P, logits.begin() + n * P + V);
      const double largest = *std::ranges::max_element(row);
      double sum = 0;
      for (const double x : row) sum += std::exp(x - largest);
      std::vector<double> result;
      for (const double x : row) result.push_back(x - largest - std::log(sum));
      return result;
    };
    std::vector<double> loss;
    for (Index n = 0; n < rows; ++n) {
      const auto p = log_softmax(n), q = log_softmax(n ^ 1);
      double all = 0, divergence = 0;
      for (std::size_t v = 0; v < V; ++v) all -= p[v], divergence += (std::exp(p[v]) - std::exp(q[v])) * (p[v] - q[v]);
      loss.push_back(-(1 - e) * p[static_cast<std::size_t>(targets()[static_cast<std::size_t>(n)])] + e * all / V + a * divergence / 2);
    }
    return {{"loss", loss}, {"loss again", loss}};
  }
};

}  // namespace

TEST_CASE("R-Drop's loss and gradient") {
  for (const LossTerms terms : {LossTerms{0, 1}, LossTerms{0.1f, 0.5f}, LossTerms{0.2f, 5}}) {
    check_op(RDropCase<7, 7>{2, terms});
    check_op(RDropCase<37, 128>{34, terms});
    check_op(RDropCase<301, 384>{6, terms});
    check_op(RDropCase<1, 8>{2, terms});
  }
}

TEST_CASE("R-Drop: the loss scale scales, slopes may take the logits' place, the padding gets none") {
  constexpr Index V = 5, P = 8;
  Cpu cpu(1);
  const float beyond = std::nanf("");
  float logits[2 * P] = {1, -2, 0.5f, 3, 0, 1e30f, beyond, 7, 0, -1, 2, 1, 0.25f, beyond, -1e30f, 7}, slopes[2 * P], scaled[2 * P], loss[2];
  const std::vector<std::int32_t> targets{3, 3};
  const std::vector<float> weights{0.5f, 0.5f};
  const auto run = [&](float scale, float* out) {
    ops::r_drop_with_gradient<V>(cpu, Rows<const float, P>{logits, 2}, targets, weights, Column<float>{loss, 2}, Rows<float, P>{out, 2}, &scale, {0.1f, 1});
  };
  run(1, slopes), run(1024, scaled), run(1, logits);
  for (Index i = 0; i < 2 * P; ++i) {
    CHECK(logits[i] == slopes[i]);
    CHECK(scaled[i] == 1024 * slopes[i]);
    if (i % P >= V) CHECK(slopes[i] == 0);
  }
}
