#pragma once
// A model family held against transformers: logits, gradients, greedy texts (tests/goldens/families.py).
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/decode/generator.hpp>
#include <terse/dist/ddp.hpp>
#include <terse/io/checkpoint.hpp>
#include <terse/text/packing.hpp>
#include <terse/train/plan.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/logits.hpp"

namespace judge {

using namespace terse;

/// Logits within 2e-5, every gradient within 1e-5 (relative L2), greedy texts the same: `name` is the golden's.
template <class Model>
void check_family(const std::string& name) {
  const auto goldens = nlohmann::json::parse(std::ifstream(golden("families.json")));
  const auto expected = io::SafetensorsFile::open(golden(name + "_judge.safetensors"));
  Cpu cpu(2);
  Model model(cpu);
  io::read_weights<Model>(golden(name + ".safetensors"), model.flat());

  const auto documents = goldens["documents"].get<std::vector<std::vector<TokenId>>>();
  const auto logits = logits_of(model, documents);
  std::size_t first = 0;
  for (std::size_t d = 0; d < documents.size(); ++d) {
    std::vector<float> theirs(documents[d].size() * static_cast<std::size_t>(Model::V));
    expected.read<float>("logits." + std::to_string(d), {static_cast<Index>(documents[d].size()), Model::V}, theirs);
    for (const float value : theirs) REQUIRE(std::abs(value - logits[first++]) < 2e-5f);
  }

  text::BatchStorage storage(text::BatchCapacity{});
  std::size_t targets = 0;
  for (const auto& sample : goldens["samples"]) targets += sample["ids"].size() - sample["prompt"].get<std::size_t>();
  for (const auto& sample : goldens["samples"])
    storage.add({0, sample["prompt"].get<std::size_t>(), sample["ids"].get<std::vector<TokenId>>()}, 0, 1 / static_cast<float>(targets));
  const PackedBatch batch = storage.batch();
  dist::Solo solo;
  train::reserve(model, batch.tokens());
  dist::DistributedDataParallel<Model> ddp(model, solo, {batch.tokens(), batch.sequences()});
  CHECK(std::abs(ddp.backward(batch, {}, 1.0f) - goldens[name]["loss"].get<double>()) < 1e-5);
  for (const auto& parameter : Model::table) {
    std::vector<float> theirs(static_cast<std::size_t>(parameter.saved_rows * parameter.columns));
    expected.read<float>("gradient." + std::string(parameter.name.view()), io::detail::shape_of(parameter), theirs);
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      const double ours = static_cast<double>(ddp.gradient()[parameter.offset + static_cast<Index>(i)]), its = static_cast<double>(theirs[i]);
      difference += (ours - its) * (ours - its), norm += its * its;
    }
    INFO(name << ": " << parameter.name.view() << ": relative error " << std::sqrt(difference / norm));
    CHECK(difference < 1e-10 * norm);
  }

  std::vector<std::vector<TokenId>> ids;
  for (const auto& text : goldens[name]["greedy"]) ids.push_back(text["prompt"].get<std::vector<TokenId>>());
  std::vector<decode::Prompt> prompts;
  for (const auto& prompt : ids) prompts.push_back({.ids = prompt});
  const auto texts = decode::Generator<Model>(model, -1, {.slots = 5}).generate(prompts, decode::Strategy{.greedy = true, .max_new = 24}, {});
  for (std::size_t i = 0; i < texts.size(); ++i) CHECK(texts[i].ids == goldens[name]["greedy"][i]["ids"].get<std::vector<TokenId>>());
}

}  // namespace judge
