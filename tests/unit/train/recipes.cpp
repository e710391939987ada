// What a run may be told besides the usual: smoothed labels, R-Drop, learning rates by layer, averaged weights.
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <terse/dist/threads.hpp>
#include <terse/models/gpt.hpp>
#include <terse/nn/initialize.hpp>
#include <terse/text/windows.hpp>
#include <terse/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 61, .context = 48, .layers = 3, .heads = 2, .width = 32}> {};

template <class P>
using Gpt = models::Gpt<Small, P, Cpu>;

using Fp32Gpt = Gpt<Fp32>;
struct Plain : Fp32Gpt {
  using Fp32Gpt::Gpt;
  static constexpr bool takes_loss_terms = false;
};

std::vector<text::Sample> samples() {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 400; ++i) ids.push_back((i * i + 7 * i) % 59);
  return text::windows(ids, 23);
}

train::TrainOptions options_of(int ranks, long steps) {
  return {.schedule = {.batch = 3, .accumulate = 2, .ranks = ranks, .steps = steps}, .rates = {.lr = 1e-2, .min_lr = 1e-3, .warmup = 2, .decay = steps}, .dropout = 0, .evaluate_every = 2};
}

struct Run {
  std::vector<train::StepRecord> steps;
  std::vector<float> parameters;
};

/// Trains on all samples, from `begin` or from fresh weights, and validates with the first five.
template <class Model = Fp32Gpt>
Run train_all(const train::TrainOptions& options, const std::vector<float>& begin = {}) {
  const auto data = samples();
  std::vector<std::uint32_t> numbers(data.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  Run run;
  dist::launch(static_cast<int>(options.schedule.ranks), [&](dist::Communicator& communicator) {
    Cpu cpu(1);
    Model model(cpu);
    train::Trainer<Model> trainer(model, communicator, {data, numbers, data, std::span(numbers).first(5)}, options);
    if (communicator.is_first()) trainer.write(train::StateTensor::parameters, [&](float* values) {
        if (begin.empty()) nn::initialize<Model>(values, 3);
        else std::ranges::copy(begin, values);
      });
    trainer.share_parameters();
    trainer.run([&](const train::StepRecord& step) { run.steps.push_back(step); });
    trainer.on_first([&] { trainer.read(train::StateTensor::parameters, [&](const float* values) { run.parameters.assign(values, values + Model::flat_size); }); });
  });
  return run;
}

}  // namespace

TEST_CASE("smoothed labels are learnt from, and validation stays the targets' loss") {
  auto options = options_of(1, 4);
  options.rates = {.lr = 0, .min_lr = 0, .warmup = 0, .decay = 4};  // nothing moves, so that losses can be compared
  const Run plain = train_all(options);
  options.label_smoothing = 0.2f;
  const Run smooth = train_all(options);
  REQUIRE(plain.steps.size() == smooth.steps.size());
  for (std::size_t i = 0; i < plain.steps.size(); ++i) {
    CHECK(plain.steps[i].loss != smooth.steps[i].loss);
    CHECK(plain.steps[i].grad_norm > smooth.steps[i].grad_norm);  // of fresh weights every slope shrinks
    CHECK(plain.steps[i].validation_loss == smooth.steps[i].validation_loss);
  }
  options = options_of(2, 30);
  const Run learnt = train_all(options);
  options.label_smoothing = 0.2f;
  const Run smoothly = train_all(options);
  CHECK(smoothly.steps.back().loss < smoothly.steps.front().loss / 1.2);
  CHECK(smoothly.steps.back().loss > learnt.steps.back().loss);
  CHECK(smoothly.parameters != learnt.parameters);
}

TEST_CASE("R-Drop: the divergence of two dropouts weighs in the training loss, and is learnt from") {
  auto options = options_of(1, 2);
  options.rates = {.lr = 0, .min_lr = 0, .warmup = 0, .decay = 2};  // nothing moves, so that losses can be compared
  options.dropout = 0.3f, options.label_smoothing = 0.1f;
  const auto run = [&](float weight) {
    options.r_drop = weight;
    return train_all(options).steps;
  };
  const auto plain = run(0), once = run(1), twice = run(2), thrice = run(3);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CHECK(once[i].loss < twice[i].loss);
    CHECK(twice[i].loss - once[i].loss == Approx(thrice[i].loss - twice[i].loss).epsilon(1e-3));
    CHECK(once[i].validation_loss == plain[i].validation_loss);
    CHECK((once[i].samples == plain[i].samples && once[i].tokens == plain[i].tokens && once[i].targets == plain[i].targets));
  }
  // Of nearly no weight it is the mean of two passes' losses and gradients: those of the batch that has each sample twice.
  const auto nearly = run(1e-9f);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(nearly[i].loss == Approx(plain[i].loss).epsilon(0.02));

  options = options_of(2, 40);
  options.dropout = 0.3f, options.evaluate_every = 0;
  const auto divergence = [&](float weight) {
    options.r_drop = weight;
    const Run learnt = train_all(options);
    auto judging = options_of(1, 2);
    judging.dropout = 0.3f, judging.rates = {.lr = 0, .min_lr = 0, .warmup = 0, .decay = 2}, judging.evaluate_every = 0;
    double losses[2];
    for (const int k : {0, 1}) {
      judging.r_drop = static_cast<float>(1 + k);
      losses[k] = train_all(judging, learnt.parameters).steps.front().loss;
    }
    return losses[1] - losses[0];
  };
  CHECK(divergence(5) < 0.5 * divergence(1e-9f));
}

TEST_CASE("what a run can't be told, in words") {
  const auto message = [](auto change) {
    auto options = options_of(1, 1);
    change(options);
    return message_of([&] { train_all(options); });
  };
  for (const float e : {-0.1f, 1.0f, std::nanf("")}) CHECK(contains(message([&](auto& options) { options.label_smoothing = e; }), "label_smoothing"));
  for (const float a : {-0.1f, INFINITY, std::nanf("")}) CHECK(contains(message([&](auto& options) { options.r_drop = a; }), "r_drop"));
  CHECK(contains(message([&](auto& options) { options.r_drop = 1; }), "r_drop 1: without dropout both passes are the same"));
  for (const double decay : {0.0, -1.0, 1.5, std::nan("")}) CHECK(contains(message([&](auto& options) { options.layer_decay = decay; }), "layer_decay"));
  for (const double ema : {-0.1, 1.0, std::nan("")}) CHECK(contains(message([&](auto& options) { options.ema = ema; }), "ema"));
  auto options = options_of(1, 1);
  options.label_smoothing = 0.1f;
  CHECK(contains(message_of([&] { train_all<Plain>(options); }), "label_smoothing 0.1: this model's loss is cross-entropy alone; leave it at 0"));
  options.label_smoothing = 0, options.r_drop = 2, options.dropout = 0.1f;
  CHECK(contains(message_of([&] { train_all<Plain>(options); }), "r_drop 2: this model's loss is cross-entropy alone"));
}

TEST_CASE("layer decay: blocks near the input move less, embeddings least") {
  auto options = options_of(1, 1);  // from the same weights, so that the gradient is the same
  options.weight_decay = 0;
  std::vector<float> begun(static_cast<std::size_t>(Fp32Gpt::flat_size));
  nn::initialize<Fp32Gpt>(begun.data(), 3);
  const auto moved = [&](double decay, std::string_view name) {
    options.layer_decay = decay;
    const Run run = train_all(options);
    double sum = 0;
    for (const auto& parameter : Fp32Gpt::table)
      if (parameter.name.view() == name)
        for (Index i = parameter.offset; i < parameter.offset + parameter.size(); ++i)
          sum += std::abs(static_cast<double>(run.parameters[static_cast<std::size_t>(i)] - begun[static_cast<std::size_t>(i)]));
    return sum;
  };
  for (const auto& [name, level] : {std::pair{"ln_f.weight", 0}, {"h.2.mlp.c_fc.weight", 1}, {"h.1.mlp.c_fc.weight", 2}, {"h.0.mlp.c_fc.weight", 3}, {"wte.weight", 4}, {"wpe.weight", 4}}) {
    INFO(name);
    CHECK(moved(0.5, name) / moved(1, name) == Approx(std::pow(0.5, level)).epsilon(1e-4));
  }
}

namespace {

/// One rank's trainer, and what is needed around it.
template <class P>
struct Alone {
  using Model = Gpt<P>;

  explicit Alone(const train::TrainOptions& options, float gain = 1) : model(cpu), trainer(model, solo, {data, numbers, data, std::span(numbers).first(5)}, options) {
    trainer.write(train::StateTensor::parameters, [&](float* values) {
      nn::initialize<Model>(values, 3);
      for (const auto& parameter : Model::table)
        if (parameter.name.view() == "ln_f.weight") std::fill_n(values + parameter.offset, parameter.size(), gain);
    });
    trainer.share_parameters();
  }
  std::vector<float> read(train::StateTensor tensor) const {
    std::vector<float> all(static_cast<std::size_t>(Model::flat_size));
    trainer.read(tensor, [&](const float* values) { std::copy_n(values, Model::flat_size, all.begin()); });
    return all;
  }

  std::vector<text::Sample> data = samples();
  std::vector<std::uint32_t> numbers = [this] {
    std::vector<std::uint32_t> all(data.size());
    std::iota(all.begin(), all.end(), 0u);
    return all;
  }();
  Cpu cpu{1};
  dist::Solo solo;
  Model model;
  train::Trainer<Model> trainer;
};

template <class P>
void check_average(long steps, float gain, bool skips) {
  constexpr double decay = 0.8;
  auto options = options_of(1, steps);
  options.ema = decay;
  Alone<P> run(options, gain);
  CHECK(run.read(train::StateTensor::ema) == run.read(train::StateTensor::parameters));
  std::vector<double> average;
  double worst = 0;
  long not_taken = 0;
  run.trainer.run([&](const train::StepRecord& step) {
    const auto weights = run.read(train::StateTensor::parameters), averaged = run.read(train::StateTensor::ema);
    not_taken += step.skipped;
    if (!step.skipped && average.empty()) average.assign(weights.begin(), weights.end());
    else if (!step.skipped) for (std::size_t i = 0; i < average.size(); ++i) average[i] = decay * average[i] + (1 - decay) * static_cast<double>(weights[i]);
    if (average.empty()) return;
    for (std::size_t i = 0; i < average.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(averaged[i]) - average[i]) / (1 + std::abs(average[i])));
  });
  CHECK((not_taken > 0) == skips);
  CHECK(not_taken < steps - 1);
  CHECK(worst < 1e-6);
  CHECK(run.read(train::StateTensor::ema) != run.read(train::StateTensor::parameters));
}

}  // namespace

TEST_CASE("ema: the first step's weights, then d of the average and 1 - d of the weights, but for steps that are skipped") {
  check_average<Fp32>(6, 1, false);
  check_average<Bf16Mixed>(6, 1, false);
  check_average<Fp16Mixed>(10, 500, true);
}

TEST_CASE("ema: the average is what is validated, and what the run gives") {
  auto options = options_of(1, 6);
  options.ema = 0.7;
  const auto check = [&]<class P>(P) {
    struct Judge : train::TrainObserver {
      Alone<P>* run = nullptr;
      std::vector<float> best, in_model;
      double loss = 0;
      void on_validation(double value, bool is_best) override {
        if (!is_best) return;
        best = run->read(run->trainer.result()), loss = value;
        in_model.assign(run->model.flat(), run->model.flat() + Gpt<P>::flat_size);
      }
    } judge;
    Alone<P> run(options);
    judge.run = &run;
    run.trainer.run(judge);
    REQUIRE_FALSE(judge.best.empty());
    for (std::size_t i = 0; i < judge.best.size(); ++i)
      if (static_cast<float>(static_cast<typename P::Parameter>(judge.best[i])) != judge.in_model[i]) FAIL("value " << i << " of the model isn't the average's");
    Alone<P> other(options_of(1, 1));
    other.trainer.write(train::StateTensor::parameters, [&](float* values) { std::copy(judge.best.begin(), judge.best.end(), values); });
    other.trainer.share_parameters();
    CHECK(other.trainer.validation_loss() == judge.loss);
    CHECK(run.trainer.result() == train::StateTensor::ema);
    CHECK(other.trainer.result() == train::StateTensor::parameters);
  };
  check(Fp32{}), check(Bf16Mixed{});
}

TEST_CASE("ema: a run whose validation failed goes on from its state") {
  auto options = options_of(1, 6);
  options.ema = 0.7;
  const Run expected = train_all(options);
  Alone<Fp32> run(options);
  struct Failing : train::TrainObserver {
    void on_validation(double, bool) override { fail(Failure::cannot_write, "disk full"); }
  } failing;
  CHECK(contains(message_of([&] { run.trainer.run(failing); }), "disk full"));
  CHECK(run.read(train::StateTensor::ema) != run.read(train::StateTensor::parameters));
  Alone<Fp32> again(options);
  again.trainer.run([&](const train::StepRecord& step) { return step.step < 2; });
  for (const auto tensor : train::all_state_tensors) {
    const auto saved = again.read(tensor);
    run.trainer.write(tensor, [&](float* values) { std::copy(saved.begin(), saved.end(), values); });
  }
  run.trainer.resume(again.trainer.state());
  run.trainer.run([](const train::StepRecord&) {});
  CHECK(run.read(train::StateTensor::parameters) == expected.parameters);
}
