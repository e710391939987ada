// A two-layer perceptron learns which of two spirals a point lies on: layers called by hand, forward and backward, and AdamW.
#include <terse/terse.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numbers>

using namespace terse;

constexpr Index points = 400, hidden = 64, classes = 2;
constexpr auto gelu = ops::Gelu::tanh;

// A network lists its parameters; memory, optimizer and files follow from the list.
template <Real T>
struct Mlp {
  nn::Linear<T, 2, hidden> up;
  nn::Linear<T, hidden, classes> down;

  constexpr void parameters(auto&& visit) { visit("up", up), visit("down", down); }
};

// What a step computes, T points at a time. A group of views: one block of memory holds them all.
struct Activations {
  Rows<float, 2> x, dx;                // (T, 2)
  Rows<float, hidden> up, bent, dbent; // (T, hidden) before GELU, after it, and the gradient
  Rows<float, classes> logits;         // (T, classes), then their gradient
  Column<float> losses;                // (T)

  constexpr void each(auto&& visit, Extent extent) {
    visit(x, extent.tokens), visit(dx, extent.tokens), visit(up, extent.tokens), visit(bent, extent.tokens);
    visit(dbent, extent.tokens), visit(logits, extent.tokens), visit(losses, extent.tokens);
  }
};

int main(int argc, char** argv) {
  const long steps = argc > 1 ? std::atol(argv[1]) : 600;
  Cpu cpu(1);  // one thread
  nn::Module<Mlp<float>> model(cpu), gradient(cpu);  // a gradient has the shape of its model
  nn::initialize(model, 42);
  optim::AdamW adamw(model);

  TensorGroup<Activations, Cpu> a(cpu, {.tokens = points});
  std::vector<TokenId> labels;
  for (Index t = 0; t < points; ++t) {
    const float way = static_cast<float>(t / 2 + 1) / (points / 2), angle = 2 * std::numbers::pi_v<float> * (way + 0.5f * static_cast<float>(t % 2));
    a->x[t][0] = 2 * way * std::cos(angle), a->x[t][1] = 2 * way * std::sin(angle);
    labels.push_back(static_cast<TokenId>(t % 2));
  }
  const std::vector<float> weights(points, 1.0f / points);  // the loss is a mean over points

  const auto& [up, down] = model.weights();
  auto& [dup, ddown] = gradient.weights();
  for (long step = 0; step <= steps; ++step) {
    up.forward(cpu, a->x, a->up);                 // (T, hidden)
    ops::gelu_forward<gelu>(cpu, a->up, a->bent); // (T, hidden)
    down.forward(cpu, a->bent, a->logits);        // (T, classes)

    Index right = 0;
    for (Index t = 0; t < points; ++t) right += (a->logits[t][1] > a->logits[t][0]) == (labels[static_cast<std::size_t>(t)] == 1);

    ops::fill(cpu, gradient.flat(), gradient.flat_size, 0.0f);  // backward adds to gradients
    ops::cross_entropy_with_gradient<classes>(cpu, a->logits, labels, weights, a->losses, a->logits);
    down.backward(cpu, a->bent, a->logits, a->dbent, ddown);
    ops::gelu_backward<gelu>(cpu, a->up, a->bent, a->dbent);  // dbent becomes the gradient before GELU
    up.backward(cpu, a->x, a->dbent, a->dx, dup);

    adamw.step(gradient.flat(), 1.0, {.lr = 1e-2, .weight_decay = 0});
    if (step % 100 == 0) std::printf("step %ld: loss %.4f, %ld of %ld points right\n", step, ops::weighted_sum(weights, a->losses), right, points);
  }
}
