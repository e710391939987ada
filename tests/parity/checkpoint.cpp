// Checkpoints that transformers' save_pretrained wrote, and what hub files may hold besides; damaged ones are refused by name.
// (The other direction is tests/e2e/from_pretrained.cpp.)
#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>

#include <terse/io/checkpoint.hpp>
#include <terse/models/gpt.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/logits.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

struct Written : models::Config<models::GptConfig{.vocabulary = 97, .context = 32, .layers = 1, .heads = 2, .width = 16}> {};
using Gpt = models::Gpt<Written, Fp32, Cpu>;

std::filesystem::path folder() { return golden("transformers_checkpoint"); }

/// The largest difference of the file's logits from transformers'.
double worst_difference(const std::filesystem::path& weights) {
  Cpu cpu(2);
  Gpt model(cpu);
  io::read_weights<Gpt>(weights, model.flat());
  const auto file = io::SafetensorsFile::open(folder() / "logits.safetensors");
  std::vector<std::vector<TokenId>> documents;
  std::vector<float> expected;
  for (const std::string number : {"0", "1"}) {
    const io::TensorInfo& ids = *file.find("ids." + number);
    documents.emplace_back(static_cast<std::size_t>(ids.elements()));
    std::memcpy(documents.back().data(), ids.bytes.data(), ids.bytes.size());
    std::vector<float> logits(documents.back().size() * Written::vocabulary);
    file.read<float>("logits." + number, {ids.elements(), Written::vocabulary}, logits);
    expected.insert(expected.end(), logits.begin(), logits.end());
  }
  const auto ours = logits_of(model, documents);
  REQUIRE(ours.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(ours[i]) - static_cast<double>(expected[i])));
  return worst;
}

/// transformers' file with changes, as hub files and other people's programs have them.
class Variant {
 public:
  Variant() {
    for (const auto& [name, info] : original_.tensors()) tensors_.push_back({name, info.dtype, info.shape, info.bytes});
  }
  io::TensorToWrite& operator[](std::string_view name) {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& tensor) { return tensor.name == name; });
    REQUIRE(found != tensors_.end());
    return *found;
  }
  Variant& without_prefix() {
    for (auto& tensor : tensors_) tensor.name.erase(0, std::string_view("transformer.").size());
    return *this;
  }
  Variant& add(std::string name, io::Shape shape, std::vector<float> values) {
    added_.push_back(std::move(values));
    tensors_.push_back(io::tensor_to_write<float>(std::move(name), std::move(shape), added_.back()));
    return *this;
  }
  /// A mask as old files have it: lower triangle of ones, in bytes.
  Variant& add_mask(std::string name) {
    tensors_.push_back({std::move(name), io::StoredDtype::u8, {1, 1, 32, 32}, std::span(mask_)});
    return *this;
  }
  Variant& remove(std::string_view name) {
    std::erase_if(tensors_, [&](const auto& tensor) { return tensor.name == name; });
    return *this;
  }
  std::filesystem::path write() {
    const auto path = written_.path() / "model.safetensors";
    io::write_safetensors(path, tensors_);
    return path;
  }
  std::string message() {
    const auto path = write();
    std::vector<float> flat(static_cast<std::size_t>(Gpt::flat_size));
    return message_of([&] { io::read_weights<Gpt>(path, flat.data()); });
  }
  std::vector<float> values(const std::string& name) const {
    const auto& info = *original_.find(name);
    std::vector<float> values(static_cast<std::size_t>(info.elements()));
    original_.read<float>(name, info.shape, values);
    return values;
  }

 private:
  io::SafetensorsFile original_ = io::SafetensorsFile::open(folder() / "model.safetensors");
  std::vector<io::TensorToWrite> tensors_;
  std::vector<std::byte> mask_ = std::vector<std::byte>(32 * 32, std::byte{1});
  std::list<std::vector<float>> added_;
  TemporaryFolder written_;
};

}  // namespace

TEST_CASE("config.json of save_pretrained gives the sizes") {
  CHECK(io::read_config(folder() / "config.json") == io::ModelSizes::of<Written>());
}

TEST_CASE("weights of save_pretrained give transformers' logits within 2e-5") {
  const double worst = worst_difference(folder() / "model.safetensors");
  WARN("largest difference of a logit: " << worst);
  CHECK(worst < 2e-5);
}

TEST_CASE("names without a prefix, masks and a tied head are read too") {
  const double worst = worst_difference(folder() / "model.safetensors");
  CHECK(worst_difference(Variant().without_prefix().write()) == worst);

  Variant hub;
  hub.without_prefix().add_mask("h.0.attn.bias").add("h.0.attn.masked_bias", {}, std::vector<float>{-1e4f});
  CHECK(worst_difference(hub.write()) == worst);

  Variant masked;
  masked.add_mask("transformer.h.0.attn.bias");
  CHECK(worst_difference(masked.write()) == worst);

  Variant tied;
  const auto embedding = tied.values("transformer.wte.weight");
  tied.add("lm_head.weight", {97, 16}, embedding);
  CHECK(worst_difference(tied.write()) == worst);

  Variant bare_and_tied;
  bare_and_tied.without_prefix().add("lm_head.weight", {97, 16}, embedding);
  CHECK(worst_difference(bare_and_tied.write()) == worst);
}

TEST_CASE("weights in 16 bits and in double are rounded to the model's dtype") {
  Variant doubles;
  const auto single = doubles.values("transformer.wte.weight");
  const std::vector<double> wide(single.begin(), single.end());
  doubles["transformer.wte.weight"] = io::tensor_to_write<double>("transformer.wte.weight", {97, 16}, wide);
  CHECK(worst_difference(doubles.write()) < 2e-5);

  Variant halves;
  std::vector<half> narrow;
  for (const float value : single) narrow.push_back(half(value));
  halves["transformer.wte.weight"] = io::tensor_to_write<half>("transformer.wte.weight", {97, 16}, narrow);
  const double worst = worst_difference(halves.write());
  CHECK(worst > 2e-5);  // it is another table now
  CHECK(worst < 2e-2);
}

TEST_CASE("weights that don't belong to the model are refused by file and tensor") {
  const auto refused = [](Variant& variant, std::initializer_list<const char*> words) {
    const std::string message = variant.message();
    CAPTURE(message);
    CHECK(contains(message, "model.safetensors: tensor "));
    CHECK(message.find('\n') == std::string::npos);
    for (const char* word : words) CHECK(contains(message, word));
  };
  SECTION("a head of its own") {
    Variant variant;
    auto head = variant.values("transformer.wte.weight");
    head.back() += 1e-3f;
    variant.add("lm_head.weight", {97, 16}, head);
    refused(variant, {"\"lm_head.weight\"", "differs from the embedding"});
  }
  SECTION("a head of another shape") {
    Variant variant;
    auto head = variant.values("transformer.wte.weight");
    head.resize(96 * 16);
    variant.add("lm_head.weight", {96, 16}, head);
    refused(variant, {"\"lm_head.weight\""});
  }
  SECTION("a missing tensor") {
    Variant variant;
    variant.remove("transformer.h.0.mlp.c_fc.bias");
    refused(variant, {"\"transformer.h.0.mlp.c_fc.bias\"", "missing"});
  }
  SECTION("a surplus layer") {
    Variant variant;
    variant.add("transformer.h.1.ln_1.bias", {16}, std::vector<float>(16));
    refused(variant, {"\"transformer.h.1.ln_1.bias\"", "1 layers"});
  }
  SECTION("a transposed matrix") {
    Variant variant;
    variant["transformer.h.0.attn.c_attn.weight"].shape = {48, 16};
    refused(variant, {"\"transformer.h.0.attn.c_attn.weight\"", "(48, 16)", "(16, 48)"});
  }
  SECTION("a padded vocabulary") {
    Variant variant;
    auto embedding = variant.values("transformer.wte.weight");
    embedding.resize(128 * 16);
    variant.remove("transformer.wte.weight").add("transformer.wte.weight", {128, 16}, embedding);
    refused(variant, {"\"transformer.wte.weight\"", "(128, 16)", "(97, 16)"});
  }
  SECTION("whole numbers") {
    Variant variant;
    variant["transformer.ln_f.bias"].dtype = io::StoredDtype::i32;
    refused(variant, {"\"transformer.ln_f.bias\"", "I32"});
  }
}

TEST_CASE("what we write we read, bit for bit, and the names are save_pretrained's") {
  std::vector<float> flat(static_cast<std::size_t>(Gpt::flat_size)), again(flat.size());
  io::read_weights<Gpt>(folder() / "model.safetensors", flat.data());
  const TemporaryFolder out;
  io::write_weights<Gpt>(out.path() / "model.safetensors", flat.data());
  io::read_weights<Gpt>(out.path() / "model.safetensors", again.data());
  CHECK(flat == again);
  CHECK(io::SafetensorsFile::open(out.path() / "model.safetensors").names() == io::SafetensorsFile::open(folder() / "model.safetensors").names());

  io::write_config(out.path(), io::ModelSizes::of<Written>(), 96, 0.1, {{"do_sample", false}});
  CHECK(io::read_config(out.path() / "config.json") == io::ModelSizes::of<Written>());
}
