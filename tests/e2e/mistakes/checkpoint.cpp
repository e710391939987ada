#include <cstring>
#include <functional>

#include "mistake.hpp"

namespace {

/// A trained checkpoint, whose files are damaged one at a time.
struct Damage {
  SmallJob job;
  std::filesystem::path folder;

  Damage() {
    job.train("trained", {"--steps", "1", "--ranks", "1"});
    folder = job.folder() / "trained/checkpoint";
  }
  Arguments predict() const {
    return {"predict", "--data", job.data(), "--limit", "1", "--max-new", "1", "--ranks", "1", "--output", job.file("submission.csv"), "--checkpoint", folder.string()};
  }
  /// With `content` in that file the program must say `words` and the file's name.
  void operator()(const char* name, const std::string& content, std::vector<std::string> words) const {
    const std::string whole = content_of(folder / name);
    std::ofstream(folder / name, std::ios::binary) << content;
    words.push_back((folder / name).string());
    check({predict(), 3, std::move(words)});
    CHECK_FALSE(std::filesystem::exists(job.file("submission.csv")));
    std::ofstream(folder / name, std::ios::binary) << whole;
  }
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  REQUIRE(text.find(from) != std::string::npos);
  return text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST_CASE("weights that are damaged or another model's are exit 3, named by file and tensor") {
  const Damage damaged;
  const std::string whole = content_of(damaged.folder / "model.safetensors");
  std::uint64_t length = 0;
  std::memcpy(&length, whole.data(), 8);
  const json header = json::parse(whole.substr(8, length));
  const std::string data = whole.substr(8 + length), bias = "transformer.ln_f.bias";
  const auto with_length = [](std::uint64_t n, const std::string& rest) { return std::string(reinterpret_cast<const char*>(&n), 8) + rest; };
  const auto weights = [&](const std::string& content, std::vector<std::string> words) { damaged("model.safetensors", content, std::move(words)); };
  const auto file_of = [&](const std::string& text, const std::string& more = "") { return with_length(text.size(), text + data + more); };
  const auto changed = [&](const std::function<void(json&)>& change) {
    json copy = header;
    change(copy);
    return file_of(copy.dump());
  };

  weights(whole.substr(0, whole.size() / 2), {"cut short"});
  weights(whole.substr(0, 4), {"4 bytes are too few"});
  weights("", {"0 bytes are too few"});
  weights(with_length(length + data.size() + 8, whole.substr(8)), {"bytes, but only"});
  weights(with_length(length / 2, whole.substr(8)), {"its header: not JSON"});
  weights(with_length(std::uint64_t{1} << 63, whole.substr(8)), {"says its header has 9223372036854775808 bytes"});
  weights(changed([&](json& h) { h["transformer.ln_f.weight"]["data_offsets"] = h[bias]["data_offsets"]; }), {"overlaps tensor"});
  weights(changed([&](json& h) { h[bias]["data_offsets"] = {data.size(), data.size() + 512}; }), {bias, "of the data, which has"});
  weights(changed([&](json& h) { h[bias]["shape"] = {64, 2}; }), {bias, "shape is (64, 2), (128) expected"});
  weights(changed([&](json& h) { h[bias]["shape"] = {1ULL << 32, 1ULL << 32}; }), {bias, "too large for any memory"});
  weights(changed([&](json& h) { h[bias]["dtype"] = "F8_E4M3"; }), {bias, "dtype \"F8_E4M3\" is unknown"});
  weights(changed([&](json& h) { h["other"] = h[bias], h.erase(bias); }), {bias, "is missing"});
  json surplus = header;
  surplus["surplus"] = {{"dtype", "U8"}, {"shape", {4}}, {"data_offsets", {data.size(), data.size() + 4}}};
  weights(file_of(surplus.dump(), "abcd"), {"tensor \"surplus\": isn't part of this model"});
  weights(file_of(replaced(header.dump(), "\"transformer.wpe", "\"" + bias + "\":{},\"transformer.wpe")), {bias, "stands twice"});
  weights(file_of("{\"\xFF\":1}"), {"its header: not JSON"});
  weights(file_of("{\"a\":" + std::string(1'000'000, '[')), {"its header: nested more than 3 deep"});
  std::filesystem::remove(damaged.folder / "model.safetensors");
  check({damaged.predict(), 3, {"model.safetensors: cannot be read: No such file"}});
}

TEST_CASE("a config.json that is damaged or another model's is exit 3") {
  const Damage damaged;
  const json whole = json::parse(content_of(damaged.folder / "config.json"));
  const auto config = [&](const char* key, const json& value, std::vector<std::string> words) {
    json changed = whole;
    changed[key] = value;
    damaged("config.json", changed.dump(), std::move(words));
  };
  config("n_layer", 3, {"no model of 3 layers", "is compiled in"});
  config("n_layer", 4294967298, {"\"n_layer\" is 4294967298, a whole number from 1 to 2147483647 expected"});
  config("n_head", -2, {"\"n_head\" is -2"});
  config("n_embd", "many", {"\"n_embd\" is \"many\""});
  config("model_type", "mamba", {"\"model_type\" is \"mamba\", \"gpt2\" expected"});
  config("model_type", "llama", {"\"max_position_embeddings\" is missing: not the configuration of a Llama"});
  config("activation_function", "relu", {"relu"});
  damaged("config.json", "{\"n_layer\":1e999}", {"a number too large"});
  damaged("config.json", "{", {"not JSON"});
  damaged("config.json", "[]", {"a list, not the configuration"});
  damaged("config.json", "{\"a\":" + std::string(1'000'000, '['), {"nested more than 32 deep"});

  std::ofstream(damaged.folder / "config.json") << replaced(whole.dump(), "\"n_layer\":2", "\"n_layer\":3");
  check({{"train", "--data", damaged.job.data(), "--model", "demo", "--out", damaged.job.file("out"), "--init", damaged.folder.string()}, 3, {"config.json: 3 layers", "--model demo has 2 layers"}});
  CHECK_FALSE(std::filesystem::exists(damaged.job.file("out")));
}

TEST_CASE("a tokenizer whose files don't fit together is exit 3") {
  const Damage damaged;
  const std::string merges = content_of(damaged.folder / "merges.txt"), vocabulary = content_of(damaged.folder / "vocab.json");
  const auto line = terse::concat(":", lines_of(merges).size() + 1, ": ");
  damaged("merges.txt", merges + "Qq zZ\n", {line + "\"Qq\" isn't in vocab.json"});
  damaged("merges.txt", merges + "nonsense\n", {line + "two tokens", "\"nonsense\" found"});
  damaged("merges.txt", merges + lines_of(merges)[1] + "\n", {line, "stands on line 2 already"});
  damaged("vocab.json", replaced(vocabulary, ": 300", ": 7"), {"both have the id 7"});
  damaged("vocab.json", replaced(vocabulary, ": 300", ": 1000000"), {"has the id 1000000, but"});
  damaged("vocab.json", replaced(vocabulary, ": 300", ": 1e999"), {"a number too large for an id"});
  damaged("vocab.json", replaced(vocabulary, ": 300", ": \"x\""), {"has no id but \"x\""});
  damaged("vocab.json", replaced(vocabulary, "<|endoftext|>", "<|end|>"), {"\"<|endoftext|>\" is missing"});
  damaged("vocab.json", vocabulary.substr(0, vocabulary.size() / 2), {"not JSON"});
  damaged("vocab.json", "[]", {"one JSON object"});
  damaged("vocab.json", "{\"a\":" + std::string(1'000'000, '['), {"an array or an object"});
  json larger = json::parse(vocabulary);
  for (std::size_t id = larger.size(); id <= 1024; ++id) larger[std::string(id, 'Q')] = id;
  damaged("vocab.json", larger.dump(), {"has 1025 ids, --model demo only 1024"});
  check({{"tokenize", "--tokenizer", damaged.job.file("none")}, 3, {"none/vocab.json: cannot be read: No such file", "a tokenizer is a folder"}});
}

TEST_CASE("a state that is damaged is exit 3, says how to start over, and is left as it is") {
  const SmallJob job;
  job.train("out", {"--steps", "1", "--ranks", "1"});
  const Arguments resume = job.training("out", {"--steps", "2", "--ranks", "1"}) + Arguments{"--resume"};
  const auto state = job.folder() / "out/state/step-1/state.json", tensors = job.folder() / "out/state/step-1/tensors.safetensors", latest = job.folder() / "out/state/latest";
  const json whole = json::parse(content_of(state));
  const auto damaged = [&](const std::filesystem::path& file, const std::string& content, std::vector<std::string> words) {
    const std::string before = content_of(file);
    std::ofstream(file, std::ios::binary) << content;
    words.push_back(file.string());
    const auto result = terse_summarize(resume);
    REQUIRE_FALSE(result.err.empty());
    check_one_line({result.code, result.out, lines_of(result.err).back() + "\n"}, 3, words);
    CHECK(content_of(file) == content);
    std::ofstream(file, std::ios::binary) << before;
  };
  const auto changed = [&](const char* part, const char* key, const json& value) {
    json copy = whole;
    copy[part][key] = value;
    return copy.dump();
  };
  const std::string start_over = "start over with --overwrite";
  damaged(state, "{", {"not JSON", start_over});
  damaged(state, "[]", {"\"settings\" is missing or wrong", start_over});
  damaged(state, "{\"a\":" + std::string(1'000'000, '['), {"nested more than 16 deep", start_over});
  damaged(state, changed("run", "step", -1), {"\"step\" is missing or wrong", start_over});
  damaged(state, changed("run", "step", 18446744073709551615u), {"\"step\" is missing or wrong"});
  damaged(state, changed("run", "scale", "x"), {"\"scale\" is missing or wrong"});
  damaged(state, changed("settings", "batch", "2"), {"\"batch\" is missing or wrong"});
  damaged(state, changed("settings", "precision", 16), {"\"precision\" is missing or wrong"});
  damaged(latest, "step-9\n", {"names no state", start_over});
  damaged(latest, "../../elsewhere\n", {"names no state"});
  damaged(tensors, content_of(tensors).substr(0, 5000), {"cut short"});
  CHECK(succeed(resume).err.find("step 2/2") != std::string::npos);
}

TEST_CASE("a model that isn't there is exit 3, and says how to name it") {
  const SmallJob job;
  const Arguments train{"train", "--data", job.data(), "--model", "demo", "--out", job.file("out")};
  for (const Mistake& mistake : {Mistake{train + Arguments{"--tokenizer", job.file("none")}, 3, {"none"}},
                                 {train + Arguments{"--init", job.file("none")}, 3, {"none", "--init"}},
                                 {{"predict", "--data", job.data(), "--checkpoint", job.file("none")}, 3, {"none", "--checkpoint"}},
                                 {{"predict", "--data", job.data(), "--out", job.file("none")}, 3, {"none", "train first"}},
                                 {{"report", "--out", job.file("none")}, 3, {"none", "--out"}},
                                 {{"report", "--out", job.folder().string()}, 3, {"metrics.jsonl"}}})
    check(mistake);
  CHECK_FALSE(std::filesystem::exists(job.file("out")));
}
