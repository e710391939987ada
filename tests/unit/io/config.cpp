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
  const io::ModelSizes sizes{97, 32, 1, 2, 16, false};
  CHECK(read("") == sizes);
  CHECK(read(R"(,"model_type":"gpt2","activation_function":"gelu_new","n_inner":null,"layer_norm_epsilon":1e-05)") == sizes);
  CHECK(read(R"(,"activation_function":"gelu_pytorch_tanh","n_inner":64,"scale_attn_weights":true)") == sizes);
  CHECK(read(R"(,"activation_function":"gelu")").exact_gelu);
}

TEST_CASE("config.json: a model with other formulas is refused by the member that says so") {
  const std::string mistakes[][2] = {{"activation_function", R"("relu")"}, {"activation_function", "null"},  {"layer_norm_epsilon", "1e-06"},
                                     {"n_inner", "30"},                    {"model_type", R"("llama")"},     {"model_type", "7"},
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
