// LoRA against the peft library (tests/goldens/lora.py): merged weights, and 20 steps of training.
#include <terse/io/adapter.hpp>
#include <terse/models/lora.hpp>

#include <fstream>

#include <nlohmann/json.hpp>

#include <terse/nn/initialize.hpp>
#include <terse/optim/adamw.hpp>
#include <terse/optim/clip.hpp>
#include <terse/optim/schedule.hpp>

#include "support/family_judge.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::LlamaConfig{.vocabulary = 97, .context = 64, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 20, .rope_theta = 100}> {};
using Base = models::Llama<Small, Fp32, Cpu>;
using Lora = models::Lora<Base, 2, 4>;
static_assert(nn::TrainableModel<Lora>);
static_assert(Lora::table.size() == 2 * 2 * 7);
static_assert(train::plan<Lora>(64, 1).optimizer < train::plan<Base>(64, 1).optimizer / 4, "the frozen model has no moments");

/// Of all tensors `start` + name: the relative error of flat against the golden.
template <class Model>
double relative_error(const float* flat, const io::SafetensorsFile& file, const std::string& start) {
  double difference = 0, norm = 0;
  for (const auto& parameter : Model::table) {
    std::vector<float> theirs(static_cast<std::size_t>(parameter.saved_rows * parameter.columns));
    file.read<float>(start + std::string(parameter.name.view()), io::detail::shape_of(parameter), theirs);
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      const double ours = static_cast<double>(flat[parameter.offset + static_cast<Index>(i)]), its = static_cast<double>(theirs[i]);
      difference += (ours - its) * (ours - its), norm += its * its;
    }
  }
  return std::sqrt(difference / norm);
}

}  // namespace

TEST_CASE("adapters of peft are read, merged and written") {
  Cpu cpu(2);
  Base base(cpu);
  io::read_weights<Base>(golden("llama.safetensors"), base.flat());
  Lora lora(base);
  io::read_weights<Lora>(golden("lora_adapter.safetensors"), lora.flat());
  lora.merge(base);
  CHECK(relative_error<Base>(base.flat(), io::SafetensorsFile::open(golden("lora.safetensors")), "merged.") < 1e-7);

  const TemporaryFolder folder;
  io::write_adapter<Lora>(folder.path(), lora.flat());
  Lora again(base);
  io::read_adapter<Lora>(folder.path(), again.flat());
  CHECK(std::equal(lora.flat(), lora.flat() + Lora::flat_size, again.flat()));
  CHECK_THROWS_WITH((io::read_adapter<models::Lora<Base, 4, 4>>(folder.path(), std::vector<float>(models::Lora<Base, 4, 4>::flat_size).data())),
                    Catch::Contains("adapter_config.json: \"r\" is 2, 4 expected: another kind of adapter"));
}

TEST_CASE("an adapter that was never trained changes nothing") {
  Cpu cpu(1);
  Base base(cpu);
  io::read_weights<Base>(golden("llama.safetensors"), base.flat());
  const std::vector<float> before(base.flat(), base.flat() + Base::flat_size);
  Lora lora(base);
  nn::initialize(lora, 42);
  lora.merge(base);
  CHECK(std::equal(before.begin(), before.end(), base.flat()));
}

TEST_CASE("20 steps of training adapters are peft's, and the frozen model stays as it is") {
  const auto goldens = nlohmann::json::parse(std::ifstream(golden("lora.json")));
  Cpu cpu(2);
  Base base(cpu);
  io::read_weights<Base>(golden("llama.safetensors"), base.flat());
  const std::vector<float> before(base.flat(), base.flat() + Base::flat_size);
  Lora lora(base);
  io::read_weights<Lora>(golden("lora_adapter.safetensors"), lora.flat());
  train::reserve(lora, 256);
  dist::Solo solo;
  dist::DistributedDataParallel<Lora> ddp(lora, solo, {256, 8});
  optim::AdamW adamw(lora);
  const auto& samples = goldens["samples"];
  const auto batch_size = goldens["batch"].get<std::size_t>();
  const optim::CosineSchedule rates{.lr = goldens["lr"].get<double>(), .min_lr = goldens["min_lr"].get<double>(), .warmup = goldens["warmup"].get<long>(), .decay = goldens["steps"].get<long>()};
  for (std::size_t step = 0; step < goldens["loss"].size(); ++step) {
    text::BatchStorage storage(text::BatchCapacity{});
    std::size_t targets = 0;
    for (const bool counts : {true, false})
      for (std::size_t k = 0; k < batch_size; ++k) {
        const auto& sample = samples[(step * batch_size + k) % samples.size()];
        const auto ids = sample["ids"].get<std::vector<TokenId>>();
        const auto prompt = sample["prompt"].get<std::size_t>();
        if (counts) targets += ids.size() - prompt;
        else storage.add({0, prompt, ids}, 0, 1 / static_cast<float>(targets));
      }
    ddp.clear();
    INFO("step " << step);
    CHECK(std::abs(ddp.backward(storage.batch(), {}, 1.0f) - goldens["loss"][step].get<double>()) < 1e-4);
    adamw.step(ddp.gradient(), optim::clip_factor(ddp.gradient_norm(), 1.0), {.lr = rates.at(static_cast<long>(step)), .weight_decay = 0.1});
  }
  CHECK(relative_error<Lora>(lora.flat(), io::SafetensorsFile::open(golden("lora.safetensors")), "trained.base_model.model.") < 1e-4);
  CHECK(std::equal(before.begin(), before.end(), base.flat()));
}
