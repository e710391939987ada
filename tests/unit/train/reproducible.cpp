// The same bits whatever the layout of a step, and after a run was stopped and went on.
#include <numeric>
#include <vector>

#include <terse/dist/threads.hpp>
#include <terse/models/gpt.hpp>
#include <terse/nn/initialize.hpp>
#include <terse/train/saved_state.hpp>
#include <terse/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 61, .context = 48, .layers = 1, .heads = 2, .width = 32}> {};

struct Layout {
  std::int64_t ranks, accumulate;
  bool shards = false;  ///< of the optimizer
  double ema = 0;
};

struct Outcome {
  std::vector<float> parameters, result;  ///< result: their average, where it is kept
  std::vector<double> losses, validation_losses;
  train::RunState state;
};

std::vector<text::Sample> random_samples() {
  RandomStream random(7, RandomUse::synthesize);
  std::vector<text::Sample> samples;
  for (std::int64_t row = 0; row < 21; ++row) {
    text::Sample sample{row, 2 + random.below(6), {}};
    for (std::size_t i = 0; i < sample.prompt + 1 + random.below(20); ++i) sample.ids.push_back(static_cast<TokenId>(random.below(60)));
    sample.ids.resize(std::max(sample.ids.size(), sample.prompt + 1), 3);
    samples.push_back(std::move(sample));
  }
  return samples;
}

struct Recorder : train::TrainObserver {
  Outcome outcome;
  long stop_after = 1 << 20;

  bool on_step(const train::StepRecord& record) override {
    outcome.losses.push_back(record.loss);
    if (record.validation_loss) outcome.validation_losses.push_back(*record.validation_loss);
    return record.step < stop_after;
  }
};

/// Trains 6 steps of 8 micro-batches in the given layout, or until `stop_after`; goes on from `state` where it holds one, and leaves one there.
template <class P>
Outcome train_in(Layout layout, const std::filesystem::path& state, long stop_after = 1 << 20, train::RunState from = {}, text::Normalisation normalisation = text::Normalisation::micro_batch) {
  using Model = models::Gpt<Small, P, Cpu>;
  const auto samples = random_samples();
  std::vector<std::uint32_t> numbers(samples.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  Recorder recorder;
  recorder.stop_after = stop_after;
  dist::launch(static_cast<int>(layout.ranks), [&](dist::Communicator& communicator) {
    Cpu cpu(1);
    Model model(cpu);
    train::Trainer<Model> trainer(model, communicator, {samples, std::span(numbers).subspan(5), samples, std::span(numbers).first(5)},
                                  {.schedule = {.batch = 2, .accumulate = layout.accumulate, .ranks = layout.ranks, .steps = 6, .normalisation = normalisation},
                                   .rates = {1e-2, 1e-3, 2, 6}, .dropout = 0.1f, .ema = layout.ema, .evaluate_every = 2, .reproducible = true, .shard_optimizer = layout.shards, .bucket_bytes = 20'000});
    if (communicator.is_first() && from.step == 0) trainer.write(train::StateTensor::parameters, [](float* values) { nn::initialize<Model>(values, 3); });
    if (communicator.is_first() && from.step > 0) train::read_tensors(state, trainer);
    if (from.step == 0) trainer.share_parameters();
    else trainer.resume(from);
    trainer.run(recorder);
    trainer.on_first([&] {
      train::write_tensors(state, trainer);
      recorder.outcome.state = trainer.state();
      trainer.read(train::StateTensor::parameters, [&](const float* values) { recorder.outcome.parameters.assign(values, values + Model::flat_size); });
      trainer.read(trainer.result(), [&](const float* values) { recorder.outcome.result.assign(values, values + Model::flat_size); });
    });
  });
  return recorder.outcome;
}

void check_equal(const Outcome& a, const Outcome& b) {
  CHECK(a.parameters == b.parameters);
  CHECK(a.result == b.result);
  CHECK(a.validation_losses == b.validation_losses);
  CHECK(a.state == b.state);
}

template <class P>
void check_layouts(text::Normalisation normalisation) {
  const TemporaryFolder folder;
  const auto state = folder.path() / "state.safetensors";
  const auto expected = train_in<P>({1, 8}, state, 1 << 20, {}, normalisation);
  REQUIRE(expected.losses.size() == 6);
  CHECK(expected.losses.back() < expected.losses.front());
  for (const Layout layout : {Layout{2, 4}, Layout{4, 2}, Layout{8, 1}, Layout{4, 2, true}}) {
    CAPTURE(layout.ranks, layout.shards);
    const auto other = train_in<P>(layout, state, 1 << 20, {}, normalisation);
    check_equal(other, expected);
    CHECK(other.losses == expected.losses);
  }
}

}  // namespace

TEST_CASE("reproducible sums: the same bits for 1, 2, 4 and 8 ranks") {
  check_layouts<Fp32>(text::Normalisation::micro_batch);
  check_layouts<Fp32>(text::Normalisation::token);
  check_layouts<Fp16Mixed>(text::Normalisation::micro_batch);
}

TEST_CASE("a run that was stopped goes on with the same bits, on another number of ranks too, and with the optimizer in shards") {
  const TemporaryFolder folder;
  const auto state = folder.path() / "state.safetensors";
  const auto expected = train_in<Fp32>({1, 8}, state);
  const auto first = train_in<Fp32>({1, 8}, state, 1);
  CHECK(first.state.step == 1);
  const auto second = train_in<Fp32>({4, 2, true}, state, 3, first.state);
  CHECK(second.state.step == 3);
  CHECK(second.losses.size() == 2);
  const auto last = train_in<Fp32>({2, 4}, state, 1 << 20, second.state);
  CHECK(last.losses.size() == 3);
  CHECK(last.parameters == expected.parameters);
  CHECK(last.state == expected.state);
}

TEST_CASE("averaged weights: the same bits in any layout and after a stop, and the weights are those of a run without") {
  const TemporaryFolder folder;
  const auto state = folder.path() / "state.safetensors";
  const auto check = [&]<class P>(P) {
    const auto plain = train_in<P>({1, 8}, state), expected = train_in<P>({1, 8, false, 0.7}, state);
    CHECK(expected.parameters == plain.parameters);
    CHECK(expected.result != plain.result);
    CHECK(expected.losses == plain.losses);
    CHECK(expected.validation_losses != plain.validation_losses);
    for (const Layout layout : {Layout{2, 4, false, 0.7}, {2, 4, true, 0.7}, {8, 1, true, 0.7}}) {
      CAPTURE(layout.ranks, layout.shards);
      check_equal(train_in<P>(layout, state), expected);
    }
    const auto first = train_in<P>({1, 8, false, 0.7}, state, 1);
    const auto second = train_in<P>({4, 2, true, 0.7}, state, 3, first.state);
    const auto last = train_in<P>({2, 4, false, 0.7}, state, 1 << 20, second.state);
    CHECK(last.parameters == expected.parameters);
    CHECK(last.result == expected.result);
    CHECK(last.state == expected.state);
  };
  check(Fp32{}), check(Fp16Mixed{});
  train_in<Fp32>({1, 8}, state, 1);
  CHECK(contains(message_of([&] { train_in<Fp32>({1, 8, false, 0.7}, state, 2, {.step = 1}); }), "ema.wte.weight"));
}

TEST_CASE("reproducible sums want a power of two of micro-batches") {
  const TemporaryFolder folder;
  const auto message = message_of([&] { train_in<Fp32>({1, 6}, folder.path() / "state.safetensors"); });
  CHECK(contains(message, "power of two"));
  CHECK(contains(message, "1 x 6"));
}

TEST_CASE("a run's numbers survive JSON; damaged ones are refused") {
  const train::RunState state{.step = 7, .optimizer_steps = 5, .scale = 32768, .clean_steps = 3, .skipped_in_a_row = 1, .best_validation_loss = 3.0000000000000004};
  CHECK(train::run_state_of(nlohmann::json::parse(train::to_json(state).dump()), "state.json") == state);
  CHECK(train::run_state_of(nlohmann::json::parse(train::to_json(train::RunState{}).dump()), "state.json") == train::RunState{});
  for (const char* key : {"step", "optimizer_steps", "scale", "clean_steps", "skipped_in_a_row", "best_validation_loss"})
    for (const nlohmann::json& wrong : {nlohmann::json("x"), nlohmann::json(-1), nlohmann::json::array()}) {
      if (std::string(key) == "best_validation_loss" && wrong.is_number()) continue;
      auto json = nlohmann::json::parse(train::to_json(state).dump());
      json[key] = wrong;
      CAPTURE(json.dump());
      const auto message = message_of([&] { train::run_state_of(json, "state.json"); });
      CHECK(contains(message, "state.json: \"" + std::string(key)));
    }
  auto json = nlohmann::json::parse(train::to_json(state).dump());
  json["optimizer_steps"] = 8;  // more than steps
  CHECK(contains(message_of([&] { train::run_state_of(json, "state.json"); }), "optimizer_steps"));
}
