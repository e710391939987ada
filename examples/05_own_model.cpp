// A model of one's own: each token's embedding predicts the next token. What the library asks of a model is the concept
// nn::TrainableModel; what satisfies it is trained on any number of ranks, saved and read.
#include <terse/terse.hpp>

#include <cstdio>

using namespace terse;

constexpr Index V = 97, C = 32;  // vocabulary, width

struct Layers {
  Matrix<float, V, C> tokens;
  nn::Linear<float, C, V> head;
  constexpr void parameters(auto&& visit) { visit("tokens", tokens, nn::ParameterTraits{.deviation = 1}), visit("head", head); }
};

class Bigram : public nn::Module<Layers> {
 public:
  using Module::Module;

  struct Saved {       // what backward needs of forward
    Rows<float, C> x;  // (T, C)
    constexpr void each(auto&& visit, Extent extent) { visit(x, extent.tokens); }
  };
  struct Scratch {                 // what each step overwrites
    Rows<float, C> dstream;        // (T, C) the gradient of x
    Rows<float, C> asked, dasked;  // (N, C) the rows that have a target, N <= T
    Rows<float, V> logits;         // (N, V), then their gradient
    Column<float> losses;          // (N)
    constexpr void each(auto&& visit, Extent extent) {
      visit(dstream, extent.tokens), visit(asked, extent.tokens), visit(dasked, extent.tokens), visit(logits, extent.tokens), visit(losses, extent.tokens);
    }
  };

  void forward(const PackedBatch& batch, const ops::DropoutPlan&, const Saved& saved, const Scratch&) const {
    ops::gather(device(), weights().tokens, batch.ids, saved.x);
  }
  void loss(const PackedBatch& batch, const Saved& saved, const Scratch& scratch) const {
    const Scratch s = predict(batch, saved, scratch);
    ops::cross_entropy<V>(device(), s.logits, batch.targets, s.losses);
  }
  void backward(const PackedBatch& batch, const ops::DropoutPlan&, const float* loss_scale, const Saved& saved, const Scratch& scratch, Gradients& gradient) const {
    const Scratch s = predict(batch, saved, scratch);
    ops::cross_entropy_with_gradient<V>(device(), s.logits, batch.targets, batch.weights, s.losses, s.logits, loss_scale);
    weights().head.backward(device(), s.asked, s.logits, s.dasked, gradient.head);
    ops::clear(device(), s.dstream);  // rows without a target have no gradient
    ops::scatter(device(), s.dasked, batch.target_rows, s.dstream);
    ops::scatter_add(device(), s.dstream, batch.ids, gradient.tokens);
  }

  Scratch predict(const PackedBatch& batch, const Saved& saved, Scratch scratch) const {
    scratch.asked.rows = scratch.dasked.rows = scratch.logits.rows = static_cast<Index>(batch.target_rows.size());
    ops::gather(device(), saved.x, batch.target_rows, scratch.asked);
    weights().head.forward(device(), scratch.asked, scratch.logits);
    return scratch;
  }
};
static_assert(nn::TrainableModel<Bigram>);

int main() {
  std::vector<TokenId> ids{1};
  while (ids.size() < 2000) ids.push_back((5 * ids.back() + 3) % V);  // each token follows from the one before
  const auto samples = text::windows(ids, 20);
  const auto halves = text::split(samples.size(), 0.1, 42);
  Cpu cpu(1);
  Bigram model(cpu), read(cpu);
  nn::initialize(model, 42);
  dist::Solo solo;
  train::Trainer trainer(model, solo, {samples, halves.training, samples, halves.validation},
                         {.schedule = {.batch = 8, .accumulate = 1, .ranks = 1, .steps = 60}, .rates = {.lr = 3e-2, .warmup = 10, .decay = 60}, .evaluate_every = 20});
  trainer.run([](const train::StepRecord& step) {
    if (step.validation_loss) std::printf("step %ld: loss %.4f, validation %.4f\n", step.step, step.loss, *step.validation_loss);
  });
  io::write_weights<Bigram>("bigram.safetensors", model.flat());
  io::read_weights<Bigram>("bigram.safetensors", read.flat());
  std::printf("read again: the first sample's loss is %.4f\n", train::sample_losses(read, samples, 8).front().loss);
}
