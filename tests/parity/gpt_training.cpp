// Loss, every gradient, and 20 optimizer steps, against PyTorch on a padded batch.
#include <terse/dist/ddp.hpp>
#include <terse/dist/threads.hpp>
#include <terse/train/trainer.hpp>

#include "support/gpt_judge.hpp"

using namespace judge;

namespace {

template <class M>
void reserve(Cpu& cpu) {
  cpu.reserve_thread_scratch(ops::attention_scratch<float, M::C / M::Config::heads>(M::Config::context));
}

template <class Config>
void check_gradients(const std::string& name) {
  using M = Model<Config>;
  Cpu cpu(2);
  reserve<M>(cpu);
  M model(cpu);
  fill_weights(model, name);
  const auto golden_samples = samples(goldens()["gradients"][name]["samples"]);
  std::size_t targets = 0;
  for (const auto& sample : golden_samples) targets += sample.targets();
  text::BatchStorage storage(text::BatchCapacity{});
  for (const auto& sample : golden_samples) storage.add(sample, 0, 1.0f / static_cast<float>(targets));
  const PackedBatch batch = storage.batch();
  dist::Solo solo;
  dist::DistributedDataParallel ddp(model, solo, {batch.tokens(), batch.sequences()});
  const double loss = ddp.backward(batch, {}, 1.0f);
  CHECK(loss == Approx(goldens()["gradients"][name]["loss"].get<double>()).epsilon(1e-5));

  double worst = 0;
  std::string worst_name;
  const auto file = io::SafetensorsFile::open(golden("gpt_gradients_" + name + ".safetensors"));
  const double all = compare<M>(ddp.gradient(), file, [&](const std::string& tensor, double error) {
    INFO(tensor);
    CHECK(error < 1e-5);
    if (error > worst) worst = error, worst_name = tensor;
  });
  WARN("model " << name << ": relative error of all gradients " << all << ", of the worst tensor " << worst << " (" << worst_name << ")");
}

struct Trace {
  std::vector<double> loss, norm;
};

// The run of goldens/README.md on real ranks, each layer's gradients summed over them while backward runs. What rank 0 saw; its parameters are held against the file.
template <class Config>
Trace trained(const std::string& name, text::Normalisation normalisation, const std::string& parameters) {
  const auto& settings = goldens()["training"];
  const auto golden_samples = samples(settings["samples"][name]);
  std::vector<std::uint32_t> numbers(golden_samples.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  const text::StepSchedule schedule{settings["batch"], settings["accumulate"], settings["ranks"], settings["steps"], 0, false, normalisation};
  const train::TrainOptions options{.schedule = schedule, .rates = {settings["lr"], settings["min_lr"], settings["warmup"], settings["steps"]},
                                    .beta1 = settings["beta1"], .beta2 = settings["beta2"], .weight_decay = settings["weight_decay"], .clip = settings["clip"],
                                    .dropout = 0, .bucket_bytes = 1};
  Trace trace;
  dist::launch(static_cast<int>(schedule.ranks), [&](dist::Communicator& communicator) {
    using M = Model<Config>;
    Cpu cpu(1);
    M model(cpu);
    if (communicator.is_first()) fill_weights(model, name);
    train::Trainer<M> trainer(model, communicator, {golden_samples, numbers, {}, {}}, options);
    trainer.share_parameters();
    trainer.run([&](const train::StepRecord& step) { trace.loss.push_back(step.loss), trace.norm.push_back(step.grad_norm); });
    if (!communicator.is_first() || parameters.empty()) return;
    const double all = compare<M>(trainer.parameters(), io::SafetensorsFile::open(golden(parameters)), [](const std::string& tensor, double error) {
      INFO(tensor);
      CHECK(error < 1e-4);
    });
    WARN(parameters << ": relative error of the flat parameters after 20 steps " << all);
    CHECK(all < 1e-5);
  });
  return trace;
}

void check_training(const nlohmann::json& run) {
  const std::string name = run["model"], mean = run["normalisation"];
  const auto normalisation = mean == "token" ? text::Normalisation::token : text::Normalisation::micro_batch;
  const std::string parameters = run["parameters"].is_null() ? "" : run["parameters"].get<std::string>();
  CAPTURE(name, mean);
  const Trace trace = name == "A" ? trained<A>(name, normalisation, parameters) : trained<B>(name, normalisation, parameters);
  const auto losses = run["loss"].get<std::vector<double>>(), norms = run["grad_norm"].get<std::vector<double>>();
  REQUIRE(trace.loss.size() == losses.size());
  double worst = 0;
  for (std::size_t step = 0; step < losses.size(); ++step) {
    worst = std::max(worst, std::abs(trace.loss[step] - losses[step]));
    CHECK(trace.norm[step] == Approx(norms[step]).epsilon(1e-4));
  }
  WARN(name << ", " << mean << ": largest difference of a loss " << worst);
  CHECK(worst < 1e-5);
}

}  // namespace

TEST_CASE("loss and every gradient equal PyTorch's within a relative 1e-5") {
  check_gradients<A>("A");
  check_gradients<B>("B");
}

TEST_CASE("20 optimizer steps on 2 ranks x 2 micro-batches equal PyTorch's") {
  for (const auto& run : goldens()["training"]["runs"]) check_training(run);
}

TEST_CASE("20 optimizer steps on 2 ranks equal those of PyTorch's DistributedDataParallel (gloo, 2 processes)") {
  const auto ddp = nlohmann::json::parse(io::read_file(golden("ddp.json")));
  REQUIRE(ddp["backend"] == "gloo");
  for (const auto& run : ddp["runs"]) check_training(run);
}
