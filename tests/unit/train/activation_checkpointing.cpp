// A run with activation checkpointing is the run without: step by step, with sums behind backward, overflows, and where one goes on from the other's state.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <terse/dist/threads.hpp>
#include <terse/models/activation_checkpointing.hpp>
#include <terse/models/gpt.hpp>
#include <terse/nn/initialize.hpp>
#include <terse/text/windows.hpp>
#include <terse/train/losses.hpp>
#include <terse/train/saved_state.hpp>
#include <terse/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 61, .context = 48, .layers = 3, .heads = 2, .width = 32}> {};

template <class P>
using Gpt = models::Gpt<Small, P, Cpu>;
template <class P>
using CheckpointedGpt = models::ActivationCheckpointing<Gpt<P>>;

struct Outcome : train::TrainObserver {
  std::vector<double> losses, norms, validation_losses;
  std::vector<std::string> overflows, spans;
  std::vector<float> parameters;
  train::RunState state;
  long stop_after = 1 << 20;

  bool on_step(const train::StepRecord& record) override {
    losses.push_back(record.loss), norms.push_back(record.grad_norm);
    if (record.validation_loss) validation_losses.push_back(*record.validation_loss);
    return record.step < stop_after;
  }
  void on_overflow(const std::string& message) override { overflows.push_back(message); }

  void check_equals(const Outcome& other) const {
    CHECK(losses == other.losses);
    CHECK(std::ranges::equal(norms, other.norms, [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }));
    CHECK(validation_losses == other.validation_losses);
    CHECK(overflows == other.overflows);
    CHECK(spans == other.spans);
    CHECK(parameters == other.parameters);
  }
};

std::vector<text::Sample> samples() {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 600; ++i) ids.push_back((i * i + 7 * i) % 59);
  return text::windows(ids, 23);
}

/// 6 steps of two ranks, each layer's sums begun as soon as it is final. `gain`: of block 1's first norm. Goes on from the state in the file where `from` has steps, and leaves one there.
template <class Model>
Outcome train_all(const std::filesystem::path& file, float gain = 1, long stop_after = 1 << 20, const train::RunState& from = {}) {
  const auto data = samples();
  std::vector<std::uint32_t> numbers(data.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  Outcome outcome;
  outcome.stop_after = stop_after;
  dist::launch(2, [&](dist::Communicator& communicator) {
    Cpu cpu(1);
    Model model(cpu);
    train::Trainer<Model> trainer(model, communicator, {data, std::span(numbers).subspan(5), data, std::span(numbers).first(5)},
                                  {.schedule = {.batch = 2, .accumulate = 2, .ranks = 2, .steps = 6}, .rates = {1e-2, 1e-3, 2, 6}, .dropout = 0.1f, .evaluate_every = 2,
                                   .bucket_bytes = 1, .trace_steps = 1});
    if (communicator.is_first() && from.step > 0) train::read_tensors(file, trainer);
    if (communicator.is_first() && from.step == 0)
      trainer.write(train::StateTensor::parameters, [&](float* values) {
        nn::initialize<Model>(values, 3);
        const auto& norm = *std::ranges::find(Model::table, std::string_view("h.1.ln_1.weight"), [](const auto& parameter) { return parameter.name.view(); });
        std::fill_n(values + norm.offset, norm.size(), gain);
      });
    if (from.step > 0) trainer.resume(from);
    else trainer.share_parameters();
    trainer.run(outcome);
    trainer.on_first([&] {
      train::write_tensors(file, trainer);
      outcome.state = trainer.state();
      trainer.read(train::StateTensor::parameters, [&](const float* values) { outcome.parameters.assign(values, values + Model::flat_size); });
      for (const auto& span : trainer.spans()) outcome.spans.push_back(span.name);
    });
  });
  return outcome;
}

}  // namespace

TEST_CASE("a run with activation checkpointing is the run without, whose state it goes on from") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "state.safetensors";
  const auto expected = train_all<Gpt<Fp32>>(file);
  REQUIRE(expected.losses.size() == 6);
  train_all<CheckpointedGpt<Fp32>>(file).check_equals(expected);

  const auto half = train_all<Gpt<Fp32>>(file, 1, 3);
  const auto rest = train_all<CheckpointedGpt<Fp32>>(file, 1, 1 << 20, half.state);
  CHECK(rest.losses.size() == 3);
  CHECK(rest.parameters == expected.parameters);
  const auto other_half = train_all<CheckpointedGpt<Fp32>>(file, 1, 3);
  CHECK(train_all<Gpt<Fp32>>(file, 1, 1 << 20, other_half.state).parameters == expected.parameters);
}

TEST_CASE("activation checkpointing: overflows are found where they are without") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "state.safetensors";
  const auto expected = train_all<Gpt<Fp16Mixed>>(file, 8000);
  REQUIRE_FALSE(expected.overflows.empty());
  CHECK(contains(expected.overflows[0], "of layer 0"));  // block 1's gain makes its gradient that large
  train_all<CheckpointedGpt<Fp16Mixed>>(file, 8000).check_equals(expected);
}

TEST_CASE("activation checkpointing: losses of samples, in less memory") {
  Cpu cpu(1);
  Gpt<Fp32> all(cpu);
  CheckpointedGpt<Fp32> one(cpu);
  nn::initialize(all, 42), nn::initialize(one, 42);
  const auto data = samples();
  const auto expected = train::sample_losses(all, data, 4), losses = train::sample_losses(one, data, 4);
  REQUIRE(losses.size() == expected.size());
  for (std::size_t i = 0; i < losses.size(); ++i) CHECK(losses[i].loss == expected[i].loss);
}
