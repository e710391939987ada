#include <terse/io/checkpoint.hpp>

#include <string>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

/// What read_config says of a config.json of these sizes and `more` members.
io::ModelSizes read(const std::string& more) {
  const TemporaryFolder folder;
  io::write_file(folder.path() / "config.json", R"({"vocab_size":97,"n_positions":32,"n_layer":1,"n_head":2,"n_embd":16)" + more + "}");
  return io::read_config(folder.path() / "config.json");
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
  CHECK(contains(message_of([] { read(R"(,"n_head":"two")"); }), "\"n_head\" is missing"));
}
