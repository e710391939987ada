// Adapters that terse wrote, loaded by peft onto transformers' model of the same base: the logits of our merged model. Where TERSE_PYTHON has no peft, it says skipped.
#include <terse/io/adapter.hpp>
#include <terse/models/lora.hpp>

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include <terse/io/config.hpp>
#include <terse/nn/initialize.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/logits.hpp"

using namespace terse;

namespace {

struct SmallLlama : models::Config<models::LlamaConfig{.vocabulary = 97, .context = 64, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 20}> {};
struct SmallGpt : models::Config<models::GptConfig{.vocabulary = 97, .context = 33, .layers = 2, .heads = 5, .width = 35}> {};

/// A random model, `base`, and a random adapter of it, each in a folder of its own.
template <class Base, nn::LoraTargets targets>
void check_read_by_peft() {
  using Lora = models::Lora<Base, 2, 6, targets>;
  Cpu cpu(2);
  Base base(cpu);
  nn::initialize(base, 1);
  Lora lora(base);
  for (const auto& parameter : Lora::table) {  // b too, and large, so that the logits show it
    RandomStream random(2, RandomUse::initialize, static_cast<std::uint64_t>(parameter.offset));
    for (Index i = 0; i < parameter.size(); ++i) lora.flat()[parameter.offset + i] = 0.4f * (random.uniform() - 0.5f);
  }
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "base"), std::filesystem::create_directories(folder.path() / "adapter");
  io::write_weights<Base>(folder.path() / "base/model.safetensors", base.flat());
  io::write_config(folder.path() / "base", io::ModelSizes::of<typename Base::Config>(), 0, 0, {{"do_sample", false}});
  io::write_adapter<Lora>(folder.path() / "adapter", lora.flat());
  lora.merge(base);

  const std::vector<std::vector<TokenId>> documents{{5, 1, 96, 30, 2, 2, 41, 8}, {7}};
  nlohmann::json expected{{"documents", documents}, {"logits", nlohmann::json::array()}};
  const auto logits = logits_of(base, documents);
  auto next = logits.begin();
  for (const auto& document : documents) {
    auto& rows = expected["logits"].emplace_back(nlohmann::json::array());
    for (std::size_t t = 0; t < document.size(); ++t, next += Base::V) rows.push_back(std::vector<float>(next, next + Base::V));
  }
  std::ofstream(folder.path() / "reference.json") << expected;
  const auto path = [&](const char* name) { return " '" + (folder.path() / name).string() + "'"; };
  const int status = std::system(("'" + std::string(std::getenv("TERSE_PYTHON")) + "' '" + (source_dir() / "tests/goldens/lora.py").string() + "' --read" + path("base") + path("adapter") +
                                  path("reference.json") + " >" + path("out") + " 2>" + path("err"))
                                     .c_str());
  std::ifstream out(folder.path() / "out"), err(folder.path() / "err");
  const std::string said(std::istreambuf_iterator<char>(out), {}), complaints(std::istreambuf_iterator<char>(err), {});
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    std::cout << "skipped: " << said;
    std::filesystem::remove_all(folder.path());
    std::exit(77);  // no other case would go better
  }
  INFO(said << complaints);
  WARN(said);
  CHECK(status == 0);
}

}  // namespace

TEST_CASE("peft reads adapters of a Llama") {
  check_read_by_peft<models::Llama<SmallLlama, Fp32, Cpu>, nn::LoraTargets::all>();
  check_read_by_peft<models::Llama<SmallLlama, Fp32, Cpu>, nn::LoraTargets::attention>();
}

TEST_CASE("peft reads adapters of a GPT-2") {
  check_read_by_peft<models::Gpt<SmallGpt, Fp32, Cpu>, nn::LoraTargets::all>();
  check_read_by_peft<models::Gpt<SmallGpt, Fp32, Cpu>, nn::LoraTargets::attention>();
  check_read_by_peft<models::Gpt<SmallGpt, Fp32, Cpu>, nn::LoraTargets::mlp>();
}
