// Smoothed labels, learning rates that decay by layer and averaged weights, all at once, against PyTorch on padded batches.
#include <numeric>

#include <terse/dist/threads.hpp>
#include <terse/train/trainer.hpp>

#include "support/gpt_judge.hpp"

using namespace judge;

namespace {

struct R : models::Config<models::GptConfig{.vocabulary = 61, .context = 33, .layers = 3, .heads = 2, .width = 16}> {};

void check(int ranks, bool shards) {
  using M = Model<R>;
  CAPTURE(ranks, shards);
  const auto run = nlohmann::json::parse(std::ifstream(golden("recipes.json")));
  const auto data = samples(run["samples"]);
  std::vector<std::uint32_t> numbers(data.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  const auto micro_batches = run["ranks"].get<long>() * run["accumulate"].get<long>();
  const train::TrainOptions options{.schedule = {.batch = run["batch"], .accumulate = micro_batches / ranks, .ranks = ranks, .steps = run["steps"], .shuffle = false},
                                    .rates = {run["lr"], run["min_lr"], run["warmup"], run["steps"]}, .beta1 = run["beta1"], .beta2 = run["beta2"],
                                    .weight_decay = run["weight_decay"], .layer_decay = run["layer_decay"], .clip = run["clip"], .dropout = 0,
                                    .label_smoothing = run["label_smoothing"], .ema = run["ema"], .evaluate_every = run["evaluate_every"], .shard_optimizer = shards, .bucket_bytes = 1};
  std::vector<train::StepRecord> steps;
  dist::launch(ranks, [&](dist::Communicator& communicator) {
    Cpu cpu(1);
    M model(cpu);
    train::Trainer<M> trainer(model, communicator, {data, numbers, data, std::span(numbers).first(run["validation"].get<std::size_t>())}, options);
    if (communicator.is_first())
      trainer.write(train::StateTensor::parameters, [](float* flat) {
        for (const auto& parameter : M::table) {
          const auto values = RandomWeights{}(parameter.name.view(), static_cast<std::size_t>(parameter.saved_rows), static_cast<std::size_t>(parameter.columns));
          std::ranges::copy(values, flat + parameter.offset);
        }
      });
    trainer.share_parameters();
    trainer.run([&](const train::StepRecord& step) { steps.push_back(step); });
    trainer.on_first([&] {
      const auto file = io::SafetensorsFile::open(golden("recipes.safetensors"));
      for (const auto& [tensor, prefix] : {std::pair{train::StateTensor::parameters, "trained."}, {train::StateTensor::ema, "ema."}}) {
        const double all = trainer.read(tensor, [&](const float* flat) {
          return compare<M>(flat, file, [](const std::string& name, double error) {
            INFO(name);
            CHECK(error < 1e-4);
          }, prefix);
        });
        WARN(prefix << "*: relative error of the flat vector after " << steps.size() << " steps " << all);
        CHECK(all < 1e-5);
      }
    });
  });
  REQUIRE(steps.size() == run["loss"].size());
  double worst = 0, worst_validation = 0;
  std::size_t validations = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    worst = std::max(worst, std::abs(steps[i].loss - run["loss"][i].get<double>()));
    CHECK(steps[i].grad_norm == Approx(run["grad_norm"][i].get<double>()).epsilon(1e-4));
    if (steps[i].validation_loss) worst_validation = std::max(worst_validation, std::abs(*steps[i].validation_loss - run["validation_loss"][validations++].get<double>()));
  }
  CHECK(validations == run["validation_loss"].size());
  WARN("largest difference of a loss " << worst << ", of a validation loss " << worst_validation);
  CHECK(worst < 1e-5);
  CHECK(worst_validation < 1e-5);
}

}  // namespace

TEST_CASE("smoothed labels, learning rates by layer and averaged weights: 16 steps equal PyTorch's") {
  check(2, false);
  check(4, true);
}
