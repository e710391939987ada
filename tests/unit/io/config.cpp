#include <terse/io/checkpoint.hpp>

#include <string>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

/// What parse_config says of a config.json of these sizes and `more` members.
io::ModelSizes read(const std::string& more, const std::string& heads = "2") {
  return io::parse_config(R"({"vocab_size":97,"n_positions":32,"n_layer":1,"n_embd":16,"n_head":)" + heads + more + "}", "config.json");
}

std::string refusal(const std::string& text) {
  return message_of([&] { io::parse_config(text, "config.json"); });
}

}  // namespace

TEST_CASE("config.json: the sizes of a GPT-2") {
  const io::ModelSizes sizes{.vocabulary = 97, .context = 32, .layers = 1, .heads = 2, .width = 16};
  CHECK(read("") == sizes);
  CHECK(read(R"(,"model_type":"gpt2","activation_function":"gelu_new","n_inner":null,"layer_norm_epsilon":1e-05)") == sizes);
  CHECK(read(R"(,"activation_function":"gelu_pytorch_tanh","n_inner":64,"scale_attn_weights":true)") == sizes);
  CHECK(read(R"(,"activation_function":"gelu")").exact_gelu);
}

TEST_CASE("config.json: a model with other formulas is refused by the member that says so") {
  const std::string mistakes[][2] = {{"activation_function", R"("relu")"}, {"activation_function", "null"},  {"layer_norm_epsilon", "1e-06"},
                                     {"n_inner", "30"},                    {"model_type", R"("mamba")"},     {"model_type", "7"},
                                     {"scale_attn_weights", "false"},      {"scale_attn_by_inverse_layer_idx", "true"}};
  for (const auto& [member, value] : mistakes) {
    const auto message = message_of([&] { read(",\"" + member + "\":" + value); });
    INFO(message);
    CHECK(contains(message, "\"" + member + "\" is " + value + ", "));
  }
}

TEST_CASE("config.json: sizes are whole numbers that an int holds") {
  for (const std::string heads : {"\"two\"", "0", "-2", "2.5", "4294967298", "18446744073709551618", "1e30", "null"}) {
    const auto message = message_of([&] { read("", heads); });
    INFO(message);
    CHECK(message.starts_with("config.json: \"n_head\" is "));
    CHECK(message.ends_with(", a whole number from 1 to 2147483647 expected"));
  }
  CHECK(message_of([] { read("", "[2]"); }) == "config.json: \"n_head\" is a list, a whole number from 1 to 2147483647 expected");
  CHECK(message_of([] { read("", "1e999"); }) == "config.json: holds a number too large for JSON readers; copy or write it again");
  CHECK(message_of([] { read(R"(,"n_head":4)"); }) == "config.json: \"n_head\" stands twice; copy or write it again");
}

TEST_CASE("config.json: what isn't one is refused") {
  CHECK(refusal("{}") == "config.json: \"vocab_size\" is missing: not the configuration of a GPT-2");
  CHECK(refusal("[]") == "config.json: a list, not the configuration of a GPT-2");
  CHECK(refusal("") == "config.json: not JSON (byte 0); copy or write it again");
  CHECK(refusal("{\n\"n_head\": 2,\n}") == "config.json: not JSON (line 3, byte 1); copy or write it again");
  CHECK(refusal("{\"\xff\": 1}").starts_with("config.json: not JSON"));
  CHECK(refusal("{\"a\":" + std::string(1'000'000, '[')) == "config.json: nested more than 32 deep; copy or write it again");
}

TEST_CASE("a config.json that can't be read is named") {
  CHECK(message_of([] { io::read_config("no-such/config.json"); }) == "no-such/config.json: cannot be read: No such file or directory; is the name right?");
  CHECK(message_of([] { io::read_config(source_dir()); }) == source_dir().string() + ": cannot be read: Is a directory; is the name right?");
}

TEST_CASE("config.json: the sizes of a Llama, as transformers 4 and 5 write them") {
  const std::string start = R"({"model_type":"llama","vocab_size":49152,"max_position_embeddings":8192,"num_hidden_layers":30,"num_attention_heads":9,"hidden_size":576,"intermediate_size":1536)";
  const std::string rest = R"(,"num_key_value_heads":3,"rms_norm_eps":1e-05,"hidden_act":"silu","tie_word_embeddings":true)";
  const auto sizes_of = [&](const std::string& rope) { return io::parse_config(start + rest + rope + "}", "config.json"); };
  auto sizes = io::ModelSizes::of<models::SmolLm2>();
  CHECK(sizes.reads(sizes_of(R"(,"rope_theta":100000,"rope_scaling":null)")));
  CHECK(sizes.reads(sizes_of(R"(,"rope_parameters":{"rope_type":"default","rope_theta":100000.0})")));
  CHECK_FALSE(sizes.reads(sizes_of("")));  // theta is 10000 then
  sizes.context = 10000;
  CHECK_FALSE(sizes.reads(sizes_of(R"(,"rope_theta":100000)")));  // longer than the file's
  const auto refusal = [&](const std::string& more) { return message_of([&] { io::parse_config(start + more + "}", "config.json"); }); };
  CHECK(contains(refusal(R"(,"rope_scaling":{"factor":2})"), "\"rope_scaling\" is an object, null expected: not a Llama as it is computed here"));
  CHECK(contains(refusal(R"(,"rope_parameters":{"rope_type":"llama3","rope_theta":500000.0})"), "\"rope_type\" is \"llama3\", \"default\" expected"));
  CHECK(contains(refusal(R"(,"attention_bias":true)"), "\"attention_bias\" is true, false expected"));
  CHECK(contains(refusal(R"(,"rms_norm_eps":3)"), "\"rms_norm_eps\" is 3, one over a whole number expected"));
  CHECK(contains(refusal(R"(,"rope_theta":0.5)"), "\"rope_theta\" is 0.5, a whole number from 1"));
  CHECK(contains(refusal(R"(,"head_dim":128)"), "\"head_dim\" is 128, null expected"));
}
