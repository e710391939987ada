#pragma once
#include <algorithm>
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
/// or from a file, of which one matrix at a time is in memory:
///
///   models::QuantizedGpt<Config, Fp32> quantized(cpu, [&](auto& take) { io::read_weights_in_turn<models::Gpt<Config, Fp32, Cpu>>(file, take); });
///
/// Errors     Failure::device: out of memory
template <class ConfigType, Precision P>
class QuantizedGpt : public nn::Module<GptParameters<ConfigType, P, typename P::Parameter, nn::QuantizedLayers>,
                                       GptParameters<ConfigType, P, typename P::Parameter, nn::QuantizedLayers>, P, Cpu> {
  using Original = Gpt<ConfigType, P, Cpu>;
  using Parameters = GptParameters<ConfigType, P, typename P::Parameter, nn::QuantizedLayers>;
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

  /// What it takes besides while it is made: the largest matrix, (C, 4C).
  static constexpr std::size_t loading_bytes() { return static_cast<std::size_t>(4 * Original::C * Original::C) * sizeof(typename Module::Parameter); }

  explicit QuantizedGpt(const Original& model)
      : QuantizedGpt(model.device(), [&](auto& take) {
          for (const nn::ParameterInfo& parameter : Original::table) std::copy_n(model.flat() + parameter.offset, parameter.size(), take.room_for(parameter)), take(parameter);
        }) {}

  /// `read(take)` has the parameters of a Gpt taken one at a time, in the order of its table: into take.room_for(parameter), then take(parameter).
  template <class Read>
  QuantizedGpt(Cpu& device, Read&& read) : Module(device), memory_(device.allocate(matrix_bytes())) {
    std::byte* free = memory_.data();
    const auto bind = [&]<class Matrix>(Matrix& matrix) { matrix.bind(free), free += round_up(Matrix::bytes(), alignment_bytes); };
    for (auto& block : weights().blocks) bind(block.attention.qkv.weight), bind(block.attention.projection.weight), bind(block.mlp.up.weight), bind(block.mlp.down.weight);
    bind(head_);
    Take take(*this);
    read(take);
    ops::quantize_transposed(device, weights().tokens, head_);
  }

  /// As Gpt's.
  void infer(const ops::CacheRows& rows, std::span<const std::int32_t> ask, const Cache& cache, InferenceScratch scratch) const {
    const auto logits_of = [&](auto x, auto logits) { ops::int8_matmul(device(), x, head_, logits, scratch.quantized); };
    Original::infer_with(device(), weights(), logits_of, rows, ask, cache, scratch, scratch.quantized);
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

  /// What both have, by name; else nullptr: a matrix.
  static const nn::ParameterInfo* mine(const nn::ParameterInfo& its) {
    const auto found = std::ranges::find_if(Module::table, [&](const nn::ParameterInfo& own) { return own.name.view() == its.name.view(); });
    return found == Module::table.end() ? nullptr : &*found;
  }

  /// Takes a Gpt's parameters in the order of its table: a layer's matrices are qkv, projection, up and down.
  class Take {
   public:
    explicit Take(QuantizedGpt& model) : model_(&model), room_(model.device().allocate(loading_bytes())) {}

    typename Module::Parameter* room_for(const nn::ParameterInfo& parameter) const {
      const auto* const own = mine(parameter);
      return own != nullptr ? model_->flat() + own->offset : room();
    }
    void operator()(const nn::ParameterInfo& parameter) {
      if (mine(parameter) != nullptr) return;
      auto& block = model_->weights().blocks[taken_ / 4];
      switch (taken_++ % 4) {
        case 0: return quantize(parameter, block.attention.qkv);
        case 1: return quantize(parameter, block.attention.projection);
        case 2: return quantize(parameter, block.mlp.up);
        default: return quantize(parameter, block.mlp.down);
      }
    }

   private:
    typename Module::Parameter* room() const { return reinterpret_cast<typename Module::Parameter*>(room_.data()); }
    template <class T, Index In, Index Out>
    void quantize(const nn::ParameterInfo& parameter, nn::QuantizedLinear<T, In, Out>& to) const {
      if (parameter.rows != In || parameter.columns != Out) fail(Failure::internal, "a quantized GPT expects its matrices in the order of Gpt's table, not ", parameter.name.view());
      ops::quantize(model_->device(), Matrix<typename Module::Parameter, In, Out>{room()}, to.weight);
    }

    QuantizedGpt* model_;
    Cpu::Memory room_;
    std::size_t taken_ = 0;
  };

  Cpu::Memory memory_;
  Head head_;
};

template <class Config, class P>
QuantizedGpt(const Gpt<Config, P, Cpu>&) -> QuantizedGpt<Config, P>;

}  // namespace terse::models
