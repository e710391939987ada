// A safetensors file that is accepted covers its data, each byte once; its tensors can be read; a model takes it or says why not.
#include <terse/io/checkpoint.hpp>
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
    const io::Safetensors file(bytes, "fuzz.safetensors");
    std::size_t covered = 0;
    for (const auto& tensor : file.tensors()) {
      const auto& info = tensor.second;
      fuzz::require(info.bytes.data() >= bytes.data() && info.bytes.data() + info.bytes.size() <= bytes.data() + bytes.size(), "tensors lie in the file");
      covered += info.bytes.size();
      std::vector<float> values(static_cast<std::size_t>(info.elements()));
      fuzz::accepts([&] { file.read<float>(tensor.first, info.shape, std::span(values)); });
    }
    fuzz::require(covered < size, "no byte belongs to two tensors");
    std::vector<float> flat(static_cast<std::size_t>(Model::flat_size));
    fuzz::accepts([&] { io::read_weights<Model>(file, flat.data()); });
  });
  return 0;
}
