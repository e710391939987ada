// Layers and GPT-2's block: gradients against finite differences.
#include <terse/models/gpt.hpp>
#include <terse/models/llama.hpp>
#include <terse/testing/gradient_check.hpp>

#include <vector>

#include "support/catch.hpp"
#include "support/owned_batch.hpp"

using namespace terse;

namespace {

std::vector<double> random_values(Index count, std::uint64_t seed, double deviation = 0.5) {
  RandomStream random(seed, RandomUse::synthesize);
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) value = deviation * 3.4 * (static_cast<double>(random.uniform()) - 0.5);
  return values;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// A layer and its gradient, each in a flat buffer.
template <class Layer>
struct Bound {
  Bound() {
    nn::bind(layer, values.data());
    nn::bind(gradient, slopes.data());
  }
  std::vector<double> values = random_values(nn::flat_size<Layer>(), 1), slopes = std::vector<double>(values.size());
  Layer layer, gradient;
};

void check(const std::vector<testing::GradientDifference>& differences) {
  INFO(testing::report(differences));
  CHECK(testing::all_agree(differences));
}

template <class Block, class Config>
void check_block(const OwnedBatch& batch, float dropout_probability) {
  constexpr Index C = Config::width;
  Cpu cpu(1);
  cpu.reserve_thread_scratch(ops::attention_scratch<double, C / Config::heads>(Config::context));
  typename Block::Saved saved;
  typename Block::Scratch scratch;
  const auto memory = cpu.allocate(bytes_needed<typename Block::Saved>(batch.extent()) + bytes_needed<typename Block::Scratch>(batch.extent()));
  Arena arena(memory.data(), memory.bytes());
  carve(arena, saved, batch.extent()), carve(arena, scratch, batch.extent());

  Bound<Block> block;
  std::vector<double> out(static_cast<std::size_t>(batch.tokens() * C));
  const ops::DropoutPlan dropout{.probability = dropout_probability, .seed = 9};
  const Index T = batch.tokens();
  auto x = random_values(T * C, 2);
  const auto dout = random_values(T * C, 3);
  const Rows<double, C> input{x.data(), T};
  Block::Positions::prepare(cpu, batch.positions(), scratch.angles);
  const auto loss = [&] {
    block.layer.forward(cpu, batch, dropout, 4, input, saved, scratch, Rows<double, C>{out.data(), T});
    return dot(out, dout);
  };
  loss();
  auto dstream = dout;
  block.layer.backward(cpu, batch, dropout, 4, input, saved, scratch, Rows<double, C>{dstream.data(), T}, block.gradient);
  auto differences = testing::check_parameters(block.layer, block.gradient, loss, {.most_values = 40});
  differences.push_back(testing::check_gradient("x", x, dstream, loss, {.most_values = 60}));
  check(differences);
}

struct OneHead : models::Config<models::GptConfig{.vocabulary = 5, .context = 40, .layers = 1, .heads = 1, .width = 7, .gelu = ops::Gelu::exact}> {};
struct ThreeHeads : models::Config<models::GptConfig{.vocabulary = 5, .context = 40, .layers = 1, .heads = 3, .width = 12}> {};
struct Grouped : models::Config<models::LlamaConfig{.vocabulary = 5, .context = 40, .layers = 1, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 20, .rope_theta = 100}> {};
struct OneKey : models::Config<models::LlamaConfig{.vocabulary = 5, .context = 40, .layers = 1, .heads = 4, .key_value_heads = 1, .width = 64, .hidden = 6}> {};
struct Narrow : models::Config<models::GptConfig{.vocabulary = 5, .context = 40, .layers = 1, .heads = 1, .width = 1}> {};

}  // namespace

TEST_CASE("linear: gradients") {
  Cpu cpu(1);
  Bound<nn::Linear<double, 7, 5>> linear;
  auto x = random_values(3 * 7, 2);
  const auto dy = random_values(3 * 5, 3);
  std::vector<double> y(3 * 5), dx(3 * 7);
  const auto loss = [&] {
    linear.layer.forward(cpu, Rows<double, 7>{x.data(), 3}, Rows<double, 5>{y.data(), 3});
    return dot(y, dy);
  };
  linear.layer.backward(cpu, Rows<double, 7>{x.data(), 3}, Rows<const double, 5>{dy.data(), 3}, Rows<double, 7>{dx.data(), 3}, linear.gradient);
  auto differences = testing::check_parameters(linear.layer, linear.gradient, loss);
  differences.push_back(testing::check_gradient("x", x, dx, loss));
  check(differences);
}

TEST_CASE("norm: gradients") {
  Cpu cpu(1);
  Bound<nn::LayerNorm<double, 7>> norm;
  auto x = random_values(3 * 7, 2);
  const auto dy = random_values(3 * 7, 3);
  std::vector<double> y(3 * 7), dx(3 * 7), mean(3), rstd(3);
  const nn::LayerNorm<double, 7>::Saved<double> saved{{mean.data(), 3}, {rstd.data(), 3}};
  const auto loss = [&] {
    norm.layer.forward(cpu, Rows<double, 7>{x.data(), 3}, Rows<double, 7>{y.data(), 3}, saved);
    return dot(y, dy);
  };
  loss();
  norm.layer.backward(cpu, Rows<double, 7>{x.data(), 3}, saved, Rows<const double, 7>{dy.data(), 3}, Rows<double, 7>{dx.data(), 3}, Write::overwrite, norm.gradient);
  auto differences = testing::check_parameters(norm.layer, norm.gradient, loss);
  differences.push_back(testing::check_gradient("x", x, dx, loss));
  check(differences);
}

template <class Config>
void check_gpt_block(const OwnedBatch& batch, float dropout) {
  check_block<models::GptBlock<Config, Fp64, double>, Config>(batch, dropout);
}

TEST_CASE("GPT-2's block: gradients, without and with dropout") {
  for (const float dropout : {0.0f, 0.2f}) {
    check_gpt_block<ThreeHeads>(OwnedBatch::of_lengths({5, 1, 33}, 5), dropout);
    check_gpt_block<OneHead>(OwnedBatch::of_lengths({4, 3}, 5), dropout);
    check_gpt_block<OneHead>(OwnedBatch::of_lengths({1}, 5), dropout);
    check_gpt_block<Narrow>(OwnedBatch::of_lengths({3}, 5), dropout);
  }
}

TEST_CASE("Llama's block: gradients, without and with dropout") {
  for (const float dropout : {0.0f, 0.2f}) {
    check_block<models::LlamaBlock<Grouped, Fp64, double>, Grouped>(OwnedBatch::of_lengths({5, 1, 33}, 5), dropout);
    check_block<models::LlamaBlock<OneKey, Fp64, double>, OneKey>(OwnedBatch::of_lengths({4, 3}, 5), dropout);
  }
}
