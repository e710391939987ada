// LoRA against the peft library (tests/goldens/lora.py), of a Llama and of a GPT-2: merged weights, and 20 steps of training.
#include <terse/io/adapter.hpp>
#include <terse/models/lora.hpp>
#include <terse/models/quantized.hpp>

#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include <terse/nn/initialize.hpp>
#include <terse/optim/adamw.hpp>
#include <terse/optim/clip.hpp>
#include <terse/optim/schedule.hpp>

#include "support/family_judge.hpp"
#include "support/gpt_judge.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::LlamaConfig{.vocabulary = 97, .context = 64, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 20, .rope_theta = 100}> {};
using Llama = models::Llama<Small, Fp32, Cpu>;
using Gpt = models::Gpt<judge::B, Fp32, Cpu>;

/// Adapters as the goldens have them.
template <class Base>
using Lora = models::Lora<Base, 2, 4>;

static_assert(nn::TrainableModel<Lora<Llama>> && nn::TrainableModel<Lora<Gpt>>);
static_assert(Lora<Llama>::table.size() == 2 * 2 * 7 && Lora<Gpt>::table.size() == 3 * 2 * 4);
static_assert(train::plan<Lora<Llama>>(64, 1).optimizer < train::plan<Llama>(64, 1).optimizer / 4, "the frozen model has no moments");

void fill(Llama& base) { io::read_weights<Llama>(golden("llama.safetensors"), base.flat()); }
void fill(Gpt& base) { judge::fill_weights(base, "B"); }

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

nlohmann::json json_of(const std::string& name) { return nlohmann::json::parse(std::ifstream(golden(name + ".json"))); }

std::set<std::string> tensors_of(const std::filesystem::path& file) {
  std::set<std::string> names;
  const auto opened = io::SafetensorsFile::open(file);
  for (const auto& [name, info] : opened.tensors()) names.insert(name);
  return names;
}

/// Read, written and read again; the file has the tensors of peft's.
template <class Base>
void check_files(const Lora<Base>& lora, const Base& base, const std::string& name) {
  const TemporaryFolder folder;
  io::write_adapter<Lora<Base>>(folder.path(), lora.flat());
  Lora<Base> again(base);
  io::read_adapter<Lora<Base>>(folder.path(), again.flat());
  CHECK(std::equal(lora.flat(), lora.flat() + Lora<Base>::flat_size, again.flat()));
  CHECK(tensors_of(folder.path() / "adapter_model.safetensors") == tensors_of(golden(name + "_adapter.safetensors")));
  CHECK_THROWS_WITH((io::read_adapter<models::Lora<Base, 4, 4>>(folder.path(), std::vector<float>(models::Lora<Base, 4, 4>::flat_size).data())),
                    Catch::Contains("adapter_config.json: \"r\" is 2, 4 expected: another kind of adapter"));
  auto config = nlohmann::json::parse(std::ifstream(folder.path() / "adapter_config.json"));
  config["use_rslora"] = true;
  std::ofstream(folder.path() / "adapter_config.json") << config;
  CHECK_THROWS_WITH(io::read_adapter<Lora<Base>>(folder.path(), again.flat()), Catch::Contains("\"use_rslora\" is true, false expected"));
}

/// 20 steps are peft's, and the frozen model stays as it is.
template <class Base>
void check_training(const std::string& name) {
  using Lora = ::Lora<Base>;
  const auto goldens = json_of(name);
  Cpu cpu(2);
  Base base(cpu);
  fill(base);
  const std::vector<float> before(base.flat(), base.flat() + Base::flat_size);
  Lora lora(base);
  io::read_weights<Lora>(golden(name + "_adapter.safetensors"), lora.flat());
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
    INFO(name << ", step " << step);
    CHECK(std::abs(ddp.backward(storage.batch(), {}, 1.0f) - goldens["loss"][step].get<double>()) < 1e-4);
    adamw.step(ddp.gradient(), optim::clip_factor(ddp.gradient_norm(), 1.0), {.lr = rates.at(static_cast<long>(step)), .weight_decay = 0.1});
  }
  const double error = relative_error<Lora>(lora.flat(), io::SafetensorsFile::open(golden(name + ".safetensors")), "trained." + std::string(Lora::file_prefix));
  WARN(name << ": relative error of all adapters after 20 steps " << error);
  CHECK(error < 1e-4);
  CHECK(std::equal(before.begin(), before.end(), base.flat()));
}

/// What target_modules says of adapters of some layers.
template <class Base, nn::LoraTargets targets>
std::vector<std::string> targets_of() {
  return io::detail::target_modules<models::Lora<Base, 2, 4, targets>>();
}

}  // namespace

TEST_CASE("adapters of peft are read, merged and written: a Llama's") {
  Cpu cpu(2);
  Llama base(cpu);
  fill(base);
  Lora<Llama> lora(base);
  io::read_weights<Lora<Llama>>(golden("lora_adapter.safetensors"), lora.flat());
  check_files(lora, base, "lora");
  lora.merge(base);
  CHECK(relative_error<Llama>(base.flat(), io::SafetensorsFile::open(golden("lora.safetensors")), "merged.") < 1e-7);
}

TEST_CASE("adapters of peft are read, merged and written: GPT-2's, whose matrices are (in, out)") {
  Cpu cpu(2);
  Gpt base(cpu);
  fill(base);
  Lora<Gpt> lora(base);
  io::read_weights<Lora<Gpt>>(golden("lora_gpt2_adapter.safetensors"), lora.flat());
  check_files(lora, base, "lora_gpt2");
  lora.merge(base);
  const auto goldens = json_of("lora_gpt2");
  const auto ids = goldens["samples"][0]["ids"].get<std::vector<TokenId>>();
  std::vector<float> theirs(ids.size() * static_cast<std::size_t>(Gpt::V));
  io::SafetensorsFile::open(golden("lora_gpt2.safetensors")).read<float>("logits", {static_cast<Index>(ids.size()), Gpt::V}, theirs);
  const auto ours = logits_of(base, {ids});
  for (std::size_t i = 0; i < theirs.size(); ++i) REQUIRE(std::abs(ours[i] - theirs[i]) < 2e-5f);

  const TemporaryFolder folder;
  io::write_adapter<Lora<Gpt>>(folder.path(), lora.flat());
  auto config = nlohmann::json::parse(std::ifstream(folder.path() / "adapter_config.json"));
  std::sort(config["target_modules"].begin(), config["target_modules"].end());
  CHECK(config["target_modules"] == goldens["config"]["target_modules"]);
  CHECK(config["fan_in_fan_out"] == goldens["config"]["fan_in_fan_out"]);
}

TEST_CASE("target_modules names what is adapted, and nothing else") {
  using enum nn::LoraTargets;
  CHECK(targets_of<Llama, all>() == std::vector<std::string>{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"});
  CHECK(targets_of<Llama, attention>() == std::vector<std::string>{"q_proj", "k_proj", "v_proj", "o_proj"});
  CHECK(targets_of<models::Quantized<Llama>, all>() == targets_of<Llama, all>());
  CHECK(targets_of<Gpt, all>() == std::vector<std::string>{"c_attn", "c_proj", "c_fc"});
  CHECK(targets_of<Gpt, attention>() == std::vector<std::string>{"c_attn", "attn.c_proj"});
  CHECK(targets_of<Gpt, mlp>() == std::vector<std::string>{"c_fc", "mlp.c_proj"});
}

TEST_CASE("an adapter that was never trained changes nothing, and begins as wide in every layer") {
  Cpu cpu(1);
  Gpt base(cpu);
  fill(base);
  const std::vector<float> before(base.flat(), base.flat() + Gpt::flat_size);
  Lora<Gpt> lora(base);
  nn::initialize(lora, 42);
  lora.merge(base);
  CHECK(std::equal(before.begin(), before.end(), base.flat()));
  for (const auto& parameter : Lora<Gpt>::table) {  // c_proj's too, whose own matrix begins narrower
    INFO(parameter.name.view());
    const bool is_a = parameter.name.view().ends_with("lora_A.weight");
    CHECK(parameter.traits.deviation == Approx(is_a ? 1 / std::sqrt(3.0 * static_cast<double>(parameter.columns)) : 0));
    if (is_a) CHECK(parameter.traits.residual_branches == 1);
  }
  CHECK(Gpt::table[6].name.view() == "h.0.attn.c_proj.weight");
  CHECK(Gpt::table[6].traits.residual_branches == 6);
}

TEST_CASE("20 steps of training adapters are peft's, and the frozen model stays as it is") {
  check_training<Llama>("lora");
  check_training<Gpt>("lora_gpt2");
}
