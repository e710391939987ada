#pragma once
/// A model's sizes in a folder, as transformers' `from_pretrained` reads them: config.json and generation_config.json.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <terse/core/json.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/io/file.hpp>
#include <terse/models/config.hpp>

namespace terse::io {

/// What a config.json says of a model's size.
struct ModelSizes {
  enum class Family { gpt2, llama };

  Family family = Family::gpt2;
  int vocabulary = 0, context = 0, layers = 0, heads = 0, width = 0;
  bool exact_gelu = false;                                                      ///< GPT-2
  int key_value_heads = 0, hidden = 0, rope_theta = 0, inverse_epsilon = 0;  ///< Llama
  bool tied = true;                                                             ///< Llama

  bool operator==(const ModelSizes&) const = default;

  template <models::ModelConfig Config>
  static constexpr ModelSizes of() {
    ModelSizes sizes{.vocabulary = Config::vocabulary, .context = Config::context, .layers = Config::layers, .heads = Config::heads, .width = Config::width};
    if constexpr (models::SizesOf<Config, models::GptConfig>) {
      sizes.exact_gelu = Config::gelu != decltype(Config::gelu)::tanh;
    } else {
      sizes.family = Family::llama, sizes.key_value_heads = Config::key_value_heads, sizes.hidden = Config::hidden;
      sizes.rope_theta = Config::rope_theta, sizes.inverse_epsilon = Config::inverse_epsilon, sizes.tied = Config::tied;
    }
    return sizes;
  }

  /// Whether a model of these sizes computes what a file of `file`'s asks for. Where positions are rotary, a context shorter than the file's is the reader's choice.
  bool reads(ModelSizes file) const {
    if (family == Family::llama && context < file.context) file.context = context;
    return *this == file;
  }

  /// Values of a layer's matrices.
  double weights_of_a_layer() const {
    const double C = width;
    if (family == Family::gpt2) return 12 * C * C;
    return 2 * C * C * (1 + static_cast<double>(key_value_heads) / heads) + 3 * C * hidden;
  }
  /// Those that activation checkpointing multiplies with again: all but the MLP's second matrix.
  double recomputed_weights_of_a_layer() const {
    const double C = width;
    return weights_of_a_layer() - (family == Family::gpt2 ? 4 * C * C : C * hidden);
  }

  std::string words() const {
    const auto common = concat(layers, " layers, ", heads, " heads, width ", width, ", context ", context, ", vocabulary ", vocabulary);
    if (family == Family::gpt2) return concat(common, exact_gelu ? ", exact GELU" : "");
    return concat("Llama: ", common, ", ", key_value_heads, " heads of keys and values, MLP ", hidden, ", theta ", rope_theta, ", epsilon 1/", inverse_epsilon,
                  tied ? "" : ", a head of its own");
  }
  /// The line that makes a model of these sizes: what --init's error message tells to compile.
  std::string declaration() const {
    const auto common = [&](const char* type, const std::string& rest) {
      return concat("struct Mine : terse::models::Config<terse::models::", type, "{.vocabulary = ", vocabulary, ", .context = ", context, ", .layers = ", layers, ", .heads = ", heads, rest, "}> {};");
    };
    if (family == Family::gpt2) return common("GptConfig", concat(", .width = ", width, exact_gelu ? ", .gelu = terse::ops::Gelu::exact" : ""));
    return common("LlamaConfig", concat(", .key_value_heads = ", key_value_heads, ", .width = ", width, ", .hidden = ", hidden, ", .rope_theta = ", rope_theta, ", .inverse_epsilon = ",
                                        inverse_epsilon, tied ? "" : ", .tied = false"));
  }
};

namespace detail {

/// A config.json's members, and what is wrong with them.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& config, const std::string& name, std::string_view family) : config_(config), name_(name), family_(family) {}

  int size(const char* key) const {
    if (!config_.contains(key)) fail(Failure::bad_input, name_, ": \"", key, "\" is missing: not the configuration of a ", family_);
    return whole(key, config_[key]);
  }
  int size_or(const char* key, int otherwise) const { return config_.contains(key) && !config_[key].is_null() ? size(key) : otherwise; }
  void require(const char* key, std::initializer_list<nlohmann::json> known) const {
    if (config_.contains(key) && !is_among(config_[key], known))
      fail(Failure::bad_input, name_, ": \"", key, "\" is ", in_words(config_[key]), ", ", in_words(*known.begin()), " expected: not a ", family_, " as it is computed here");
  }
  /// A number whose value is a whole one, e.g. 10000.0.
  int whole_number(const char* key, const nlohmann::json& value) const {
    if (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()) && std::abs(value.get<double>()) < 2e9)
      return whole(key, static_cast<std::int64_t>(value.get<double>()));
    return whole(key, value);
  }
  /// 1 / a small number, e.g. 100000 of 1e-05.
  int inverse(const char* key, const nlohmann::json& value) const {
    const double inverse = value.is_number() ? 1 / value.get<double>() : 0;
    const double rounded = inverse > 0 && inverse < 2e9 ? std::round(inverse) : 0;
    if (rounded < 1 || std::abs(inverse / rounded - 1) > 1e-6)
      fail(Failure::bad_input, name_, ": \"", key, "\" is ", in_words(value), ", one over a whole number expected, e.g. 1e-05: not a ", family_, " as it is computed here");
    return static_cast<int>(rounded);
  }

 private:
  int whole(const char* key, const nlohmann::json& value) const {
    if (!is_whole_number(value, 1, std::numeric_limits<int>::max()))
      fail(Failure::bad_input, name_, ": \"", key, "\" is ", in_words(value), ", a whole number from 1 to ", std::numeric_limits<int>::max(), " expected");
    return value.get<int>();
  }

  const nlohmann::json& config_;
  const std::string& name_;
  std::string_view family_;
};

inline ModelSizes parse_gpt2(const nlohmann::json& config, const std::string& name) {
  const ConfigReader read(config, name, "GPT-2");
  ModelSizes sizes{.vocabulary = read.size("vocab_size"), .context = read.size("n_positions"), .layers = read.size("n_layer"), .heads = read.size("n_head"), .width = read.size("n_embd")};
  sizes.exact_gelu = config.contains("activation_function") && config["activation_function"] == "gelu";
  read.require("activation_function", {"gelu_new", "gelu_pytorch_tanh", "gelu"});
  read.require("layer_norm_epsilon", {1e-5});
  read.require("n_inner", {nullptr, 4 * std::int64_t{sizes.width}});
  read.require("scale_attn_weights", {true});
  read.require("scale_attn_by_inverse_layer_idx", {false});
  return sizes;
}

inline ModelSizes parse_llama(const nlohmann::json& config, const std::string& name) {
  const ConfigReader read(config, name, "Llama");
  ModelSizes sizes{.family = ModelSizes::Family::llama, .vocabulary = read.size("vocab_size"), .context = read.size("max_position_embeddings"),
                   .layers = read.size("num_hidden_layers"), .heads = read.size("num_attention_heads"), .width = read.size("hidden_size")};
  sizes.key_value_heads = read.size_or("num_key_value_heads", sizes.heads);
  sizes.hidden = read.size("intermediate_size");
  sizes.tied = config.contains("tie_word_embeddings") && config["tie_word_embeddings"] == true;
  // transformers 5 writes rope_parameters, earlier versions rope_theta and rope_scaling.
  const auto& rope = config.contains("rope_parameters") && config["rope_parameters"].is_object() ? config["rope_parameters"] : config;
  sizes.rope_theta = rope.contains("rope_theta") ? read.whole_number("rope_theta", rope["rope_theta"]) : 10000;
  sizes.inverse_epsilon = config.contains("rms_norm_eps") ? read.inverse("rms_norm_eps", config["rms_norm_eps"]) : 1000000;
  ConfigReader(rope, name, "Llama").require("rope_type", {"default"});
  read.require("rope_scaling", {nullptr});
  read.require("hidden_act", {"silu"});
  read.require("attention_bias", {false});
  read.require("mlp_bias", {false});
  read.require("head_dim", {nullptr, std::int64_t{sizes.width} / sizes.heads});
  return sizes;
}

inline nlohmann::ordered_json config_of(const ModelSizes& sizes, TokenId end_of_text, double dropout) {
  if (sizes.family == ModelSizes::Family::llama)
    return {{"architectures", {"LlamaForCausalLM"}},
            {"model_type", "llama"},
            {"vocab_size", sizes.vocabulary},
            {"max_position_embeddings", sizes.context},
            {"hidden_size", sizes.width},
            {"intermediate_size", sizes.hidden},
            {"num_hidden_layers", sizes.layers},
            {"num_attention_heads", sizes.heads},
            {"num_key_value_heads", sizes.key_value_heads},
            {"hidden_act", "silu"},
            {"rms_norm_eps", 1.0 / sizes.inverse_epsilon},
            {"rope_theta", sizes.rope_theta},
            {"initializer_range", 0.02},
            {"attention_bias", false},
            {"mlp_bias", false},
            {"attention_dropout", dropout},
            {"bos_token_id", end_of_text},
            {"eos_token_id", end_of_text},
            {"tie_word_embeddings", sizes.tied},
            {"torch_dtype", "float32"}};
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"vocab_size", sizes.vocabulary},
          {"n_positions", sizes.context},
          {"n_ctx", sizes.context},
          {"n_embd", sizes.width},
          {"n_layer", sizes.layers},
          {"n_head", sizes.heads},
          {"n_inner", nullptr},
          {"activation_function", sizes.exact_gelu ? "gelu" : "gelu_new"},
          {"layer_norm_epsilon", 1e-5},
          {"initializer_range", 0.02},
          {"resid_pdrop", dropout},
          {"embd_pdrop", dropout},
          {"attn_pdrop", dropout},
          {"bos_token_id", end_of_text},
          {"eos_token_id", end_of_text},
          {"tie_word_embeddings", true},
          {"torch_dtype", "float32"}};
}

}  // namespace detail

/// The sizes in a config.json's text. What isn't a GPT-2 or a Llama as models::Gpt and models::Llama compute them is refused, since its numbers would be silently
/// wrong. `name`: the file's, for messages.
///
/// Errors     Failure::bad_input: not JSON, another family, or one with other formulas
inline ModelSizes parse_config(std::string_view text, const std::string& name) {
  const auto config = parse_json(text, {name, "copy or write it again", 32});
  if (!config.is_object()) fail(Failure::bad_input, name, ": ", in_words(config), ", not the configuration of a GPT-2");
  if (config.contains("model_type") && config["model_type"] == "llama") return detail::parse_llama(config, name);
  detail::ConfigReader(config, name, "GPT-2 or Llama").require("model_type", {"gpt2"});
  return detail::parse_gpt2(config, name);
}

/// The sizes in a config.json.
/// Errors     those of parse_config, and Failure::bad_input where the file cannot be read
inline ModelSizes read_config(const std::filesystem::path& path) { return parse_config(read_file(path), path.string()); }

/// config.json and generation_config.json. Dropout is what transformers would train on with.
inline void write_config(const std::filesystem::path& folder, const ModelSizes& sizes, TokenId end_of_text, double dropout, const nlohmann::json& generation) {
  write_file(folder / "config.json", detail::config_of(sizes, end_of_text, dropout).dump(2) + "\n");
  nlohmann::ordered_json defaults{{"bos_token_id", end_of_text}, {"eos_token_id", end_of_text}};
  defaults.update(generation);
  write_file(folder / "generation_config.json", defaults.dump(2) + "\n");
}

}  // namespace terse::io
