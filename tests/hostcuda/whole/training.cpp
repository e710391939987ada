// A training step's whole: a GPT and a Llama in a Trainer, on the emulated GPUs and on the CPU.
#include <terse/cuda.hpp>
#include <terse/models/activation_checkpointing.hpp>
#include <terse/models/llama.hpp>

#include <cmath>
#include <vector>

#include "support/catch.hpp"
#include "support/gpu.hpp"
#include "support/sanitized.hpp"

using namespace terse;

namespace {

// Sanitizers watch the order of streams. For that the smallest model will do, on one GPU and on two, and two steps: four micro-batches use both of Staging's
// buffers twice.
struct Small : models::Config<models::GptConfig{.vocabulary = 61, .context = 40, .layers = is_sanitized ? 1 : 2, .heads = 2, .width = 32}> {};
struct SmallLlama : models::Config<models::LlamaConfig{.vocabulary = 61, .context = 40, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 64, .hidden = 96}> {};
constexpr int batch = is_sanitized ? 2 : 3;
constexpr long many = is_sanitized ? 2 : 20, few = 6, some = is_sanitized ? 2 : 3;

std::vector<text::Sample> samples() {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 600; ++i) ids.push_back((i * i + 7 * i) % 59);
  return text::windows(ids, 23);
}

template <class Device>
Device device_of(int rank) {
  if constexpr (std::is_same_v<Device, Cpu>) return Cpu(1);
  else return Device(rank);
}

std::size_t planned_products(const Cpu&) { return 0; }
std::size_t planned_products(const Cuda& cuda) { return cuda.planned_products(); }

struct Run {
  std::vector<train::StepRecord> steps;
  std::vector<float> parameters, result;
};

/// What a run may be told besides the usual.
struct Recipe {
  bool shards = false, all = false;
  Dtype reduce_dtype = Dtype::f32;
};

template <class Model>
Run train(int ranks, long steps, Recipe recipe = {}) {
  using Device = typename Model::Device;
  const auto data = samples();
  const auto halves = text::split(data.size(), 0.1, 42);
  Run run;
  dist::launch(ranks, [&](dist::Communicator& communicator) {
    Device device = device_of<Device>(communicator.rank());
    Model model(device);
    train::Trainer<Model> trainer(model, communicator, {data, halves.training, data, halves.validation},
                                  {.schedule = {.batch = batch, .accumulate = 2, .ranks = ranks, .steps = steps}, .rates = {.lr = 1e-3, .warmup = 5, .decay = steps},
                                   .layer_decay = recipe.all ? 0.7 : 1.0, .dropout = 0.1f, .label_smoothing = recipe.all ? 0.1f : 0.0f, .r_drop = recipe.all ? 0.5f : 0.0f, .ema = recipe.all ? 0.8 : 0.0,
                                   .evaluate_every = recipe.all ? 2 : 10, .shard_optimizer = recipe.shards, .reduce_dtype = recipe.reduce_dtype, .bucket_bytes = 8192});  // sums over ranks behind backward
    if (communicator.is_first()) trainer.write(train::StateTensor::parameters, [](float* parameters) { nn::initialize<Model>(parameters, 42); });
    trainer.share_parameters();
    trainer.rehearse();
    const std::size_t planned = planned_products(device);
    trainer.run([&](const train::StepRecord& step) { run.steps.push_back(step); });
    if (communicator.is_first()) CHECK(planned_products(device) == planned);
    trainer.on_first([&] {
      trainer.read(train::StateTensor::parameters, [&](const float* parameters) { run.parameters.assign(parameters, parameters + Model::flat_size); });
      trainer.read(trainer.result(), [&](const float* result) { run.result.assign(result, result + Model::flat_size); });
    });
  });
  return run;
}

template <class P, class Device, class Config = Small>
Run train_on(int ranks, long steps, Recipe recipe = {}) {
  return train<models::Model<Config, P, Device>>(ranks, steps, recipe);
}

/// Two where they can be had; else one, and the test says so.
int gpus() {
  int count = 0;
  REQUIRE(cudaGetDeviceCount(&count) == cudaSuccess);
#if defined(TERSE_WITH_NCCL)
  if (count >= 2) return 2;
#endif
  WARN("not tested: ranks on two GPUs, which need NCCL and as many GPUs; here there are " << count);
  return 1;
}

void check_alike(const Run& a, const Run& b, double tolerance) {
  REQUIRE(a.steps.size() == b.steps.size());
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    INFO("step " << i + 1);
    CHECK(a.steps[i].loss == Approx(b.steps[i].loss).epsilon(tolerance));
    CHECK(a.steps[i].grad_norm == Approx(b.steps[i].grad_norm).epsilon(10 * tolerance));
    CHECK(a.steps[i].validation_loss.has_value() == b.steps[i].validation_loss.has_value());
    if (a.steps[i].validation_loss) CHECK(*a.steps[i].validation_loss == Approx(*b.steps[i].validation_loss).epsilon(tolerance));
  }
}

[[maybe_unused]] void check_equal(const Run& a, const Run& b) {
  REQUIRE(a.steps.size() == b.steps.size());
  for (std::size_t i = 0; i < a.steps.size(); ++i) CHECK((a.steps[i].loss == b.steps[i].loss && a.steps[i].grad_norm == b.steps[i].grad_norm));
  CHECK(a.parameters == b.parameters);
}

template <class P, class Config>
void check_activation_checkpointing(int ranks) {
  check_equal(train<models::ActivationCheckpointing<models::Model<Config, P, Cuda>>>(ranks, some), train_on<P, Cuda, Config>(ranks, some));
}

}  // namespace

TEST_CASE("fp32: losses and norms follow the CPU's for 20 steps") { check_alike(train_on<Fp32, Cuda>(1, many), train_on<Fp32, Cpu>(1, many), 1e-4); }

TEST_CASE("Llama, fp32: losses and norms follow the CPU's") {
  if constexpr (!is_sanitized) check_alike(train_on<Fp32, Cuda, SmallLlama>(1, few), train_on<Fp32, Cpu, SmallLlama>(1, few), 1e-4);
}

TEST_CASE("activation checkpointing: the bits of a run without") {
  if constexpr (!is_sanitized) {
    check_activation_checkpointing<Fp32, Small>(gpus());
    check_activation_checkpointing<Fp16Mixed, SmallLlama>(1);
  }
}

TEST_CASE("two GPUs: as two CPU ranks") {
  if constexpr (!is_sanitized)
    if (gpus() == 2) check_alike(train_on<Fp32, Cuda>(2, few), train_on<Fp32, Cpu>(2, few), 1e-4);
}

TEST_CASE("two GPUs, the optimizer in shards: the bits of whole ones") {
  if constexpr (!is_sanitized)
    if (gpus() == 2) {
      CHECK(train_on<Fp32, Cuda>(2, few, {.shards = true}).parameters == train_on<Fp32, Cuda>(2, few).parameters);
      CHECK(train_on<Fp16Mixed, Cuda>(2, few, {.shards = true}).parameters == train_on<Fp16Mixed, Cuda>(2, few).parameters);
    }
}

TEST_CASE("two GPUs whose gradients are summed in bf16: as two CPU ranks, whole and in shards") {
  if constexpr (!is_sanitized)
    if (gpus() == 2) {
      const Run whole = train_on<Fp32, Cuda>(2, few, {.reduce_dtype = Dtype::bf16});
      check_alike(whole, train_on<Fp32, Cpu>(2, few, {.reduce_dtype = Dtype::bf16}), 1e-3);
      CHECK(train_on<Fp32, Cuda>(2, few, {.shards = true, .reduce_dtype = Dtype::bf16}).parameters == whole.parameters);
    }
}

TEST_CASE("smoothed labels, R-Drop, learning rates by layer and averaged weights: as on the CPU, and the same bits in shards") {
  if constexpr (!is_sanitized) {
    const auto check = [](int ranks, const Run& run, const Run& on_cpu, double tolerance) {
      INFO(ranks << " ranks");
      check_alike(run, on_cpu, tolerance);
      REQUIRE(run.steps[1].validation_loss);
      CHECK(run.result != run.parameters);
      double difference = 0, all = 0;
      for (std::size_t i = 0; i < run.result.size(); ++i) {
        const auto want = static_cast<double>(on_cpu.result[i]);
        difference += (static_cast<double>(run.result[i]) - want) * (static_cast<double>(run.result[i]) - want), all += want * want;
      }
      CHECK(std::sqrt(difference / all) < 10 * tolerance);
    };
    check(1, train_on<Fp32, Cuda>(1, few, {.all = true}), train_on<Fp32, Cpu>(1, few, {.all = true}), 1e-4);
    check(1, train_on<Fp16Mixed, Cuda>(1, few, {.all = true}), train_on<Fp16Mixed, Cpu>(1, few, {.all = true}), 2e-2);
    if (gpus() == 2) {
      const Run whole = train_on<Fp32, Cuda>(2, few, {.all = true}), shards = train_on<Fp32, Cuda>(2, few, {.shards = true, .all = true});
      check(2, whole, train_on<Fp32, Cpu>(2, few, {.all = true}), 1e-4);
      CHECK(shards.result == whole.result);
      CHECK(shards.parameters == whole.parameters);
      for (std::size_t i = 0; i < whole.steps.size(); ++i) CHECK(shards.steps[i].validation_loss == whole.steps[i].validation_loss);
      CHECK(train_on<Fp16Mixed, Cuda>(2, few, {.shards = true, .all = true}).result == train_on<Fp16Mixed, Cuda>(2, few, {.all = true}).result);
    }
  }
}

TEST_CASE("four GPUs: as four CPU ranks, whole and in shards") {
  int count = 0;
  if constexpr (!is_sanitized)
    if (cudaGetDeviceCount(&count) == cudaSuccess && count >= 4) {
      const Run whole = train_on<Fp32, Cuda>(4, some);
      check_alike(whole, train_on<Fp32, Cpu>(4, some), 1e-4);
      check_alike(train_on<Fp32, Cuda>(4, some, {.shards = true}), whole, 1e-6);
    }
}

TEST_CASE("fp16: trains, and as the CPU does within what 16 bits allow") {
  if constexpr (!is_sanitized) check_alike(train_on<Fp16Mixed, Cuda>(1, few), train_on<Fp16Mixed, Cpu>(1, few), 2e-2);
}

TEST_CASE("Llama, fp16: trains, and as the CPU does within what 16 bits allow") {
  if constexpr (!is_sanitized) check_alike(train_on<Fp16Mixed, Cuda, SmallLlama>(1, few), train_on<Fp16Mixed, Cpu, SmallLlama>(1, few), 2e-2);
}

TEST_CASE("fp16 on two GPUs: the same bits in whatever order threads, blocks and streams run") {
  const int ranks = gpus();
  Run first;
  gpu::for_each_order([&](bool is_first) {
    const Run run = train_on<Fp16Mixed, Cuda>(ranks, some);
    if (is_first) first = run;
    CHECK(std::isfinite(run.steps.back().loss));
    CHECK(run.parameters == first.parameters);
    for (std::size_t i = 0; i < first.steps.size(); ++i) CHECK((run.steps[i].loss == first.steps[i].loss && run.steps[i].grad_norm == first.steps[i].grad_norm));
  });
}
