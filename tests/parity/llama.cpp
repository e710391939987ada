// Llama against transformers' LlamaForCausalLM: grouped-query attention, rotary positions, SwiGLU, RMS norm; the head tied and untied.
#include <terse/models/llama.hpp>

#include "support/family_judge.hpp"

using namespace terse;

namespace {

constexpr models::LlamaConfig small{.vocabulary = 97, .context = 64, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 20, .rope_theta = 100};
constexpr models::LlamaConfig untied = [] {
  auto config = small;
  config.tied = false;
  return config;
}();
struct Small : models::Config<small> {};
struct Untied : models::Config<untied> {};

}  // namespace

TEST_CASE("Llama: logits, gradients and texts are transformers'") { judge::check_family<models::Llama<Small, Fp32, Cpu>>("llama"); }

TEST_CASE("Llama with a head of its own") { judge::check_family<models::Llama<Untied, Fp32, Cpu>>("untied"); }
