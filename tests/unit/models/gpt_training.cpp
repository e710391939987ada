// The whole model's forward and backward.
#include <terse/ops/reduce/cpu.hpp>
#include <terse/testing/gradient_check.hpp>

#include <cmath>

#include "support/catch.hpp"
#include "support/training_model.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 37, .context = 40, .layers = 2, .heads = 3, .width = 12}> {};
struct Odd : models::Config<models::GptConfig{.vocabulary = 11, .context = 9, .layers = 1, .heads = 1, .width = 7, .gelu = ops::Gelu::exact}> {};

constexpr ops::DropoutPlan dropout{.probability = 0.1f, .seed = 7};

template <class Config>
void check_gradients(const OwnedBatch& batch, const ops::DropoutPlan& plan) {
  TrainingModel<Config, Fp64> model(batch.extent(), 1);
  using Gpt = typename TrainingModel<Config, Fp64>::Gpt;
  model.backward(batch, plan);
  std::vector<testing::GradientDifference> differences;
  for (const auto& parameter : Gpt::table) {
    const auto size = static_cast<std::size_t>(parameter.saved_rows * parameter.columns);
    const std::span<double> values(model.gpt().flat() + parameter.offset, size);
    const std::span<const double> gradient(model.flat_gradient() + parameter.offset, size);
    differences.push_back(testing::check_gradient(parameter.name.view(), values, gradient, [&] { return model.loss(batch, plan); }, {.most_values = 25}));
  }
  INFO(testing::report(differences));
  CHECK(testing::all_agree(differences));
}

template <class P>
std::vector<double> gradient_of(const OwnedBatch& batch, double& loss) {
  TrainingModel<Small, P> model(batch.extent());
  loss = model.backward(batch, dropout, 8);
  return {model.flat_gradient(), model.flat_gradient() + decltype(model)::Gpt::flat_size};
}

bool near(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance * std::abs(b); }

double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double squares = 0, differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) squares += a[i] * a[i], differences += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(differences / squares);
}

}  // namespace

TEST_CASE("GPT: every gradient, without and with dropout") {
  for (const auto& plan : {ops::DropoutPlan{}, dropout}) {
    check_gradients<Small>(OwnedBatch::of_lengths({7, 33, 1}, 37), plan);
    check_gradients<Odd>(OwnedBatch::of_lengths({9, 2}, 11), plan);
    check_gradients<Odd>(OwnedBatch::of_lengths({1}, 11), plan);
  }
}

TEST_CASE("GPT: the vocabulary's padding and the gaps get no gradient") {
  const auto batch = OwnedBatch::of_lengths({7, 12}, 37);
  TrainingModel<Small, Fp32> model(batch.extent());
  model.backward(batch, dropout);
  std::vector<bool> real(static_cast<std::size_t>(decltype(model)::Gpt::flat_size));
  for (const auto& parameter : decltype(model)::Gpt::table)
    for (Index i = 0; i < parameter.saved_rows * parameter.columns; ++i) real[static_cast<std::size_t>(parameter.offset + i)] = true;
  int wrong = 0;
  for (std::size_t i = 0; i < real.size(); ++i) wrong += !real[i] && model.flat_gradient()[i] != 0;
  CHECK(wrong == 0);
}

TEST_CASE("GPT: the loss is that of a first guess when nothing is known") {
  const auto batch = OwnedBatch::of_lengths({7, 12}, 37);
  TrainingModel<Small, Fp32> model(batch.extent());
  std::fill_n(model.gpt().flat(), decltype(model)::Gpt::flat_size, 0.0f);
  double weights = 0;
  for (const float weight : batch.view().weights) weights += static_cast<double>(weight);
  CHECK(near(model.loss(batch), weights * std::log(37), 1e-6));
}

TEST_CASE("GPT: the loss is the same before and in backward") {
  const auto batch = OwnedBatch::of_lengths({7, 12}, 37);
  TrainingModel<Small, Fp32> model(batch.extent());
  const double loss = model.loss(batch, dropout);
  CHECK(model.backward(batch, dropout) == loss);
  CHECK(model.loss(batch) != loss);
}

TEST_CASE("GPT: packing changes nothing, dropout included") {
  const std::vector<OwnedBatch::Document> documents{{7, 3}, {33, 9}, {1, 4}, {12, 2}};
  const OwnedBatch together(documents, 37), shuffled({documents[2], documents[1], documents[3], documents[0]}, 37);
  TrainingModel<Small, Fp64> model(together.extent());
  using Gpt = TrainingModel<Small, Fp64>::Gpt;
  const auto rows_of = [&](const OwnedBatch& batch, int document, Index length) {
    const Index first = batch.first_row(document) * Gpt::C;
    return std::vector<double>(model.saved().last.data + first, model.saved().last.data + first + length * Gpt::C);
  };
  const auto gradient = [&] { return std::vector<double>(model.flat_gradient(), model.flat_gradient() + Gpt::flat_size); };

  const double loss = model.backward(together, dropout);
  const auto want = gradient();
  const auto rows = rows_of(together, 1, 33);
  CHECK(near(model.backward(shuffled, dropout), loss, 1e-14));
  CHECK(rows_of(shuffled, 1, 33) == rows);  // bitwise: double's products are summed in order
  CHECK(relative_difference(want, gradient()) < 1e-13);

  double sum = 0;
  model.clear_gradient();
  for (const auto& document : documents) sum += model.add_gradient(OwnedBatch({document}, 37), dropout);
  CHECK(near(sum, loss, 1e-14));
  CHECK(relative_difference(want, gradient()) < 1e-13);
}

TEST_CASE("GPT: more target rows than logits exist at one time") {
  using Gpt = TrainingModel<Odd, Fp64>::Gpt;
  const std::vector<int> lengths(200, 9);
  const auto batch = OwnedBatch::of_lengths(lengths, 11);
  REQUIRE(static_cast<Index>(batch.view().targets.size()) > Gpt::head_rows);
  TrainingModel<Odd, Fp64> model(batch.extent());
  double sum = 0;
  model.clear_gradient();
  for (std::uint32_t document = 0; document < 200; ++document) sum += model.add_gradient(OwnedBatch({{9, document}}, 11));
  const std::vector<double> want(model.flat_gradient(), model.flat_gradient() + Gpt::flat_size);
  CHECK(near(model.backward(batch), sum, 1e-13));
  CHECK(relative_difference(want, {model.flat_gradient(), model.flat_gradient() + Gpt::flat_size}) < 1e-12);
}

TEST_CASE("GPT: every precision gives double's loss and gradient, as far as its digits reach") {
  const auto batch = OwnedBatch::of_lengths({7, 33, 1}, 37);
  double in_double = 0, loss = 0;
  const auto want = gradient_of<Fp64>(batch, in_double);
  const auto check = [&](const std::vector<double>& gradient, double loss_tolerance, double gradient_tolerance) {
    CHECK(std::abs(loss - in_double) <= loss_tolerance * in_double);
    CHECK(relative_difference(want, gradient) <= gradient_tolerance);
  };
  check(gradient_of<Fp32>(batch, loss), 1e-6, 1e-5);
  check(gradient_of<Fp16Mixed>(batch, loss), 1e-3, 3e-3);
  check(gradient_of<Bf16Mixed>(batch, loss), 5e-3, 3e-2);
}

TEST_CASE("GPT: one thread or three, the same numbers in double") {
  const auto batch = OwnedBatch::of_lengths({7, 33, 1}, 37);
  TrainingModel<Small, Fp64> one(batch.extent(), 1), three(batch.extent(), 3);
  CHECK(one.backward(batch, dropout) == three.backward(batch, dropout));
  CHECK(std::equal(one.flat_gradient(), one.flat_gradient() + decltype(one)::Gpt::flat_size, three.flat_gradient()));
}

TEST_CASE("GPT: NaN in a weight reaches the loss; fp16's overflow reaches loss and gradients") {
  const auto batch = OwnedBatch::of_lengths({7, 12}, 37);
  using Single = TrainingModel<Small, Fp32>;
  Single single(batch.extent(), 1);
  for (const auto& parameter : Single::Gpt::table) {
    INFO(parameter.name.view());
    // of the embeddings a token and a position that are used
    float& value = single.gpt().flat()[parameter.offset + (parameter.name.view() == "wte.weight" ? batch.ids()[3] * Single::Gpt::C : 0)];
    const float before = value;
    value = NAN;
    CHECK(std::isnan(single.loss(batch)));
    value = before;
    CHECK(std::isfinite(single.loss(batch)));
  }
  TrainingModel<Small, Fp16Mixed> model(batch.extent());
  const auto finite = [&] { return ops::all_finite(model.cpu(), model.flat_gradient(), decltype(model)::Gpt::flat_size); };
  model.backward(batch);
  CHECK(finite());
  CHECK(std::isfinite(model.backward(batch, {}, 1e8f)));  // the loss isn't scaled, its slopes are
  CHECK_FALSE(finite());
  model.gpt().weights().blocks[1].mlp.up.bias.data[5] = half(60000.0f);
  model.gpt().weights().blocks[1].mlp.down.weight.data[5 * 12 + 2] = half(60000.0f);
  model.gpt().weights().blocks[1].mlp.up.weight.data[5] = half(60000.0f);
  CHECK_FALSE((std::isfinite(model.backward(batch)) && finite()));
}
