#pragma once
/// Adapters in a folder, as PEFT reads them: adapter_model.safetensors and adapter_config.json.

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/io/checkpoint.hpp>

namespace terse::io {

namespace detail {

/// The layers that are adapted, as PEFT finds them: by the ends of their names, "c_fc", or "attn.c_proj" where the last word alone would find others too.
template <class Lora>
std::vector<std::string> target_modules() {
  const auto ends_with = [](std::string_view name, const std::string& module) { return name.ends_with("." + module + ".weight"); };
  std::vector<std::string> targets;
  for (const auto& parameter : Lora::table) {
    constexpr std::string_view suffix = ".lora_A.weight";
    const std::string_view name = parameter.name.view();
    if (!name.ends_with(suffix)) continue;
    const std::string layer(name.substr(0, name.size() - suffix.size()));
    const std::size_t dot = layer.rfind('.');
    std::string module = layer.substr(dot + 1);
    const auto found = std::ranges::count_if(Lora::Whole::table, [&](const auto& weight) { return ends_with(weight.name.view(), module); });
    const auto adapted = std::ranges::count_if(Lora::table, [&](const auto& a) { return a.name.view().ends_with("." + module + std::string(suffix)); });
    if (found != adapted) module = layer.substr(layer.rfind('.', dot - 1) + 1);
    if (std::ranges::find(targets, module) == targets.end()) targets.push_back(module);
  }
  return targets;
}

}  // namespace detail

/// Writes the adapters of a models::Lora. `flat`: its parameters.
template <class Lora, Real T>
void write_adapter(const std::filesystem::path& folder, const T* flat) {
  write_weights<Lora>(folder / "adapter_model.safetensors", flat);
  write_file(folder / "adapter_config.json", nlohmann::ordered_json{{"peft_type", "LORA"},
                                                                    {"task_type", "CAUSAL_LM"},
                                                                    {"r", Lora::adapter_rank},
                                                                    {"lora_alpha", Lora::adapter_alpha},
                                                                    {"lora_dropout", 0.0},
                                                                    {"bias", "none"},
                                                                    {"fan_in_fan_out", Lora::Base::Family::fan_in_fan_out},
                                                                    {"base_model_name_or_path", nullptr},
                                                                    {"inference_mode", true},
                                                                    {"target_modules", detail::target_modules<Lora>()}}
                                                 .dump(2) +
                                             "\n");
}

/// Reads adapters that PEFT or write_adapter wrote into the flat parameters of a models::Lora.
///
/// Errors     Failure::bad_input: the folder's configuration has another rank, alpha or kind (rsLoRA's scale, DoRA, ranks or alphas of single layers), or a tensor is missing, surplus or of another shape
template <class Lora, Real T>
void read_adapter(const std::filesystem::path& folder, T* flat) {
  const auto path = folder / "adapter_config.json";
  const auto config = parse_json(read_file(path), {path.string(), "copy or write it again", 32});
  const auto require = [&](const char* key, const nlohmann::json& expected) {
    const auto found = config.is_object() && config.contains(key) ? config[key] : nlohmann::json();
    if (found != expected) fail(Failure::bad_input, path.string(), ": \"", key, "\" is ", in_words(found), ", ", in_words(expected), " expected: another kind of adapter than this program has");
  };
  require("peft_type", "LORA"), require("r", Lora::adapter_rank), require("lora_alpha", Lora::adapter_alpha);
  for (const char* kind : {"use_rslora", "use_dora"})
    if (config.contains(kind)) require(kind, false);
  for (const char* pattern : {"rank_pattern", "alpha_pattern"})  // other numbers for some layers
    if (config.contains(pattern) && !config[pattern].is_null()) require(pattern, nlohmann::json::object());
  read_weights<Lora>(folder / "adapter_model.safetensors", flat);
}

}  // namespace terse::io
