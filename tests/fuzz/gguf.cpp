// A GGUF file that is accepted has its tensors inside; they can be read; models and tokenizers are taken from it or it is said why not.
#include <terse/io/gguf.hpp>
#include <terse/models/gpt.hpp>

#include "fuzz.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 5, .context = 2, .layers = 1, .heads = 1, .width = 2}> {};
using Model = models::Gpt<Small, Fp32, Cpu>;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  fuzz::accepts([&] {
    const io::Gguf file(bytes, "fuzz.gguf");
    std::size_t covered = 0;
    for (const auto& entry : file.tensors()) {
      const auto& tensor = entry.second;
      fuzz::require(tensor.bytes.empty() || (tensor.bytes.data() >= bytes.data() && tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size()), "tensors lie in the file");
      covered += tensor.bytes.size();
      std::vector<float> values(static_cast<std::size_t>(tensor.rows() * tensor.columns()));
      file.read<float>(entry.first, tensor.shape, std::span(values));
    }
    fuzz::require(covered < size, "no byte belongs to two tensors");
    for (const auto& entry : file.metadata()) {
      const std::string_view key = entry.first;
      fuzz::accepts([&] { file.text(key); });
      fuzz::accepts([&] { file.number(key); });
      fuzz::accepts([&] { file.flag(key); });
      fuzz::accepts([&] { file.texts(key); });
      fuzz::accepts([&] { file.integers(key); });
    }
    fuzz::accepts([&] { io::read_sizes(file); });
    fuzz::accepts([&] { text::Bpe(io::read_tokenizer(file)).encode("some text", text::SpecialTokens::as_tokens); });
    fuzz::accepts([&] {
      const io::GgufWeights weights(file);
      for (const auto& entry : weights.tensors()) {
        std::vector<float> values(static_cast<std::size_t>(entry.second.stored->rows() * entry.second.stored->columns()));
        weights.read<float>(entry.first, entry.second.shape, std::span(values));
      }
    });
    std::vector<float> flat(static_cast<std::size_t>(Model::flat_size));
    fuzz::accepts([&] { io::read_weights<Model>(file, flat.data()); });
  });
  return 0;
}
