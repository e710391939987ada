#pragma once
/// Adapters in a folder, as PEFT reads them: adapter_model.safetensors and adapter_config.json.

#include <filesystem>

#include <nlohmann/json.hpp>

#include <terse/io/checkpoint.hpp>
#include <terse/nn/lora.hpp>

namespace terse::io {

/// Writes the adapters of a models::Lora. `flat`: its parameters.
template <class Lora, Real T>
void write_adapter(const std::filesystem::path& folder, const T* flat) {
  using enum nn::LoraTargets;
  auto targets = nlohmann::ordered_json::array();
  if (Lora::adapter_targets != mlp) targets.insert(targets.end(), {"q_proj", "k_proj", "v_proj", "o_proj"});
  if (Lora::adapter_targets != attention) targets.insert(targets.end(), {"gate_proj", "up_proj", "down_proj"});
  write_weights<Lora>(folder / "adapter_model.safetensors", flat);
  write_file(folder / "adapter_config.json", nlohmann::ordered_json{{"peft_type", "LORA"},
                                                                    {"task_type", "CAUSAL_LM"},
                                                                    {"r", Lora::adapter_rank},
                                                                    {"lora_alpha", Lora::adapter_alpha},
                                                                    {"lora_dropout", 0.0},
                                                                    {"bias", "none"},
                                                                    {"fan_in_fan_out", false},
                                                                    {"base_model_name_or_path", nullptr},
                                                                    {"inference_mode", true},
                                                                    {"target_modules", targets}}
                                                 .dump(2) +
                                             "\n");
}

/// Reads adapters that PEFT or write_adapter wrote into the flat parameters of a models::Lora.
///
/// Errors     Failure::bad_input: the folder's configuration has another rank, alpha or kind, or a tensor is missing, surplus or of another shape
template <class Lora, Real T>
void read_adapter(const std::filesystem::path& folder, T* flat) {
  const auto path = folder / "adapter_config.json";
  const auto config = parse_json(read_file(path), {path.string(), "copy or write it again", 32});
  const auto require = [&](const char* key, const nlohmann::json& expected) {
    const auto found = config.is_object() && config.contains(key) ? config[key] : nlohmann::json();
    if (found != expected) fail(Failure::bad_input, path.string(), ": \"", key, "\" is ", in_words(found), ", ", in_words(expected), " expected: another kind of adapter than this program has");
  };
  require("peft_type", "LORA"), require("r", Lora::adapter_rank), require("lora_alpha", Lora::adapter_alpha);
  read_weights<Lora>(folder / "adapter_model.safetensors", flat);
}

}  // namespace terse::io
