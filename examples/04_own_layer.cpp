// A layer of one's own: written, checked against finite differences, and used in a model that trains.
#include <terse/terse.hpp>
#include <terse/testing/gradient_check.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace terse;

// Root mean square normalization (Zhang, Sennrich 2019, arXiv:1910.07467):  y = x * r * gain,  r = 1 / sqrt(mean(x²) + 1e-5).
template <Real T, Index C>
struct RmsNorm {
  Vector<T, C> gain;
  constexpr void parameters(auto&& visit) { visit("gain", gain, nn::ParameterTraits{.mean = 1}); }

  struct Saved {  // what backward needs besides x
    Column<T> r;  // (T)
    constexpr void each(auto&& visit, Extent extent) { visit(r, extent.tokens); }
  };

  void forward(const Cpu& cpu, Rows<T, C> x, Rows<T, C> y, const Saved& saved) const {
    cpu.parallel_for(x.rows, [&](Index t) {
      T squares = 0;
      for (Index c = 0; c < C; ++c) squares += x[t][c] * x[t][c];
      saved.r[t] = 1 / std::sqrt(squares / C + static_cast<T>(1e-5));
      for (Index c = 0; c < C; ++c) y[t][c] = x[t][c] * saved.r[t] * gain[c];
    });
  }
  void backward(const Cpu& cpu, Rows<T, C> x, const Saved& saved, Rows<T, C> dy, Rows<T, C> dx, RmsNorm& gradient) const {
    cpu.parallel_for(x.rows, [&](Index t) {  // dx is overwritten
      const T r = saved.r[t];
      T along = 0;
      for (Index c = 0; c < C; ++c) along += dy[t][c] * gain[c] * x[t][c];
      for (Index c = 0; c < C; ++c) dx[t][c] = r * (dy[t][c] * gain[c] - x[t][c] * r * r * along / C);
    });
    for (Index t = 0; t < x.rows; ++t)  // parameters' gradients are added to
      for (Index c = 0; c < C; ++c) gradient.gain[c] += dy[t][c] * x[t][c] * saved.r[t];
  }
};

struct Network {
  RmsNorm<float, 8> norm;
  nn::Linear<float, 8, 8> head;
  constexpr void parameters(auto&& visit) { visit("norm", norm), visit("head", head); }
};

int main() {
  Cpu cpu(1);
  const auto differences = testing::check_layer<RmsNorm<double, 5>, 5>(cpu, 3);  // in double, where they hold nine digits
  std::printf("%s\n", testing::report(differences).c_str());
  if (!testing::all_agree(differences)) return 1;

  // Which of eight numbers is the largest? Rows differ in size by up to a thousand, which the norm takes away.
  constexpr Index T = 64;
  nn::Module<Network> model(cpu), gradient(cpu);
  nn::initialize(model, 42);
  optim::AdamW adamw(model);
  Tensor<Rows<float, 8>, Cpu> x(cpu, T), y(cpu, T), logits(cpu, T), dy(cpu, T), dx(cpu, T);
  Tensor<Column<float>, Cpu> r(cpu, T), losses(cpu, T);
  const std::vector<float> weights(T, 1.0f / T);
  std::vector<TokenId> largest;
  RandomStream random(42, RandomUse::synthesize);
  for (Index t = 0; t < T; ++t) {
    const float size = std::pow(10.0f, 3 * random.uniform());
    for (Index c = 0; c < 8; ++c) x[t][c] = size * (random.uniform() - 0.5f);
    largest.push_back(static_cast<TokenId>(std::max_element(x[t].data, x[t].data + 8) - x[t].data));
  }
  for (long step = 0; step <= 300; ++step) {
    ops::fill(cpu, gradient.flat(), gradient.flat_size, 0.0f);
    model.weights().norm.forward(cpu, x, y, {r});
    model.weights().head.forward(cpu, y.view(), logits.view());
    ops::cross_entropy_with_gradient<8>(cpu, logits.view(), largest, weights, losses, logits.view());
    model.weights().head.backward(cpu, y.view(), logits.view(), dy.view(), gradient.weights().head);
    model.weights().norm.backward(cpu, x, {r}, dy, dx, gradient.weights().norm);
    adamw.step(gradient.flat(), 1.0, {.lr = 3e-2, .weight_decay = 0});
    if (step % 100 == 0) std::printf("step %ld: loss %.4f\n", step, ops::weighted_sum(weights, losses.view()));
  }
}
