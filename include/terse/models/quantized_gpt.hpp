#pragma once
#include <span>
#include <type_traits>

#include <terse/models/gpt.hpp>
#include <terse/nn/quantized_linear.hpp>

namespace terse::models {

/// A GPT for decoding whose matrices are 8-bit integers (ops/matmul/int8.hpp): made from a Gpt, which it doesn't need afterwards. Embeddings, norms and
/// biases are copied as they are; the head is the embedding of tokens, quantized.
///
///   models::QuantizedGpt quantized(gpt);
///   decode::Generator generator(quantized, end_of_text);
///
/// Errors     Failure::device: out of memory
template <ModelConfig ConfigType, Precision P>
class QuantizedGpt : public nn::Module<GptParameters<ConfigType, P, typename P::Parameter, nn::QuantizedLinear>,
                                       GptParameters<ConfigType, P, typename P::Parameter, nn::QuantizedLinear>, P, Cpu> {
  using Original = Gpt<ConfigType, P, Cpu>;
  using Parameters = GptParameters<ConfigType, P, typename P::Parameter, nn::QuantizedLinear>;
  using Module = nn::Module<Parameters, Parameters, P, Cpu>;
  using Head = ops::Int8Matrix<Original::C, Original::padded_V>;

 public:
  using Config = ConfigType;
  using typename Module::Stream;
  using Module::device, Module::weights;
  using Cache = typename Original::Cache;

  /// As Gpt's, and rows in 8 bits.
  struct InferenceScratch : Original::InferenceScratch {
    ops::Int8Rows<4 * Original::C> quantized;  // (R, 4C)

    constexpr void each(auto&& visit, Extent extent) { Original::InferenceScratch::each(visit, extent), quantized.each(visit, extent); }
  };

  /// What its parameters and matrices take.
  static constexpr std::size_t bytes() { return static_cast<std::size_t>(Module::flat_size) * sizeof(typename Module::Parameter) + matrix_bytes(); }

  explicit QuantizedGpt(const Original& model) : Module(model.device()), memory_(device().allocate(matrix_bytes())) {
    copy_parameters(model);
    std::byte* free = memory_.data();
    const auto bind = [&]<class Matrix>(Matrix& matrix) { matrix.bind(free), free += round_up(Matrix::bytes(), alignment_bytes); };
    const auto quantize = [&](auto& to, const auto& from) { bind(to.weight), ops::quantize(device(), from.weight, to.weight); };
    for (std::size_t l = 0; l < weights().blocks.size(); ++l) {
      auto& to = weights().blocks[l];
      const auto& from = model.weights().blocks[l];
      quantize(to.qkv, from.qkv), quantize(to.projection, from.projection), quantize(to.up, from.up), quantize(to.down, from.down);
    }
    bind(head_), ops::quantize_transposed(device(), model.weights().tokens, head_);
  }

  /// As Gpt's.
  void infer(const ops::CacheRows& rows, std::span<const std::int32_t> ask, const Cache& cache, InferenceScratch scratch) const {
    const auto head = [&](auto x, auto logits) { ops::int8_matmul(device(), x, head_, logits, scratch.quantized); };
    Original::infer_with(device(), weights(), head, rows, ask, cache, scratch, scratch.quantized);
  }

  /// As Gpt's.
  static auto hidden(const InferenceScratch& scratch) { return Original::hidden(scratch); }

 private:
  template <class... Matrices>
  static constexpr std::size_t bytes_of() { return (std::size_t{0} + ... + round_up(Matrices::bytes(), alignment_bytes)); }
  static constexpr std::size_t matrix_bytes() {
    constexpr Index C = Original::C;
    return Config::layers * bytes_of<ops::Int8Matrix<C, 3 * C>, ops::Int8Matrix<C, C>, ops::Int8Matrix<C, 4 * C>, ops::Int8Matrix<4 * C, C>>() + bytes_of<Head>();
  }

  /// What both have, by name.
  void copy_parameters(const Original& model) {
    for (const auto& mine : Module::table)
      for (const auto& its : Original::table)
        if (mine.name.view() == its.name.view()) std::copy_n(model.flat() + its.offset, its.size(), Module::flat() + mine.offset);
  }

  Cpu::Memory memory_;
  Head head_;
};

template <class Config, class P>
QuantizedGpt(const Gpt<Config, P, Cpu>&) -> QuantizedGpt<Config, P>;

}  // namespace terse::models
