#pragma once
#include <algorithm>
#include <span>
#include <type_traits>

#include <terse/models/transformer.hpp>
#include <terse/nn/quantized_linear.hpp>

namespace terse::models {

/// A model for decoding whose matrices are 8-bit integers (ops/matmul/int8.hpp): made from a Gpt or a Llama, which it doesn't need afterwards. Embeddings, norms and
/// biases are copied as they are; the head is quantized too.
///
///   models::Quantized quantized(gpt);
///   decode::Generator generator(quantized, end_of_text);
///
/// or from a file, of which one matrix at a time is in memory:
///
///   models::Quantized<Model> quantized(cpu, [&](auto& take) { io::read_weights_in_turn<Model>(file, take); });
///
/// Errors     Failure::device: out of memory
template <class Original, class Parameters = typename Original::Family::template Parameters<typename Original::PrecisionPolicy, typename Original::Parameter, nn::QuantizedLayers>>
class Quantized : public nn::Module<Parameters, Parameters, typename Original::PrecisionPolicy, Cpu> {
  using Module = nn::Module<Parameters, Parameters, typename Original::PrecisionPolicy, Cpu>;
  using Head = ops::Int8Matrix<Original::C, Original::padded_V>;
  static_assert(std::is_same_v<typename Original::Device, Cpu>, "terse: Quantized: 8-bit weights are for the CPU");

 public:
  using Config = typename Original::Config;
  using typename Module::Stream;
  using Module::device, Module::weights;
  using Cache = typename Original::Cache;

 private:
  /// A block's matrices, in the order of the original's table.
  static constexpr void for_each_layer(auto& block, auto&& visit) { visit(block.attention.qkv), visit(block.attention.projection), visit(block.mlp.up), visit(block.mlp.down); }
  static constexpr std::size_t layers_of_a_block = 4;

  /// The largest `size_of` of a block's matrices.
  static constexpr Index largest(auto&& size_of) {
    Index result = 0;
    typename decltype(Parameters::blocks)::value_type block{};
    for_each_layer(block, [&]<class Layer>(Layer&) { result = std::max(result, size_of.template operator()<Layer>()); });
    return result;
  }
  static constexpr Index widest = std::max(Head::depth, largest([]<class Layer>() { return decltype(Layer::weight)::depth; }));

 public:
  /// As the original's, and rows in 8 bits.
  struct InferenceScratch : Original::InferenceScratch {
    ops::Int8Rows<widest> quantized;  // (R, the most inputs of a matrix)

    constexpr void each(auto&& visit, Extent extent) { Original::InferenceScratch::each(visit, extent), quantized.each(visit, extent); }
  };

  /// What its parameters and matrices take.
  static constexpr std::size_t bytes() { return static_cast<std::size_t>(Module::flat_size) * sizeof(typename Module::Parameter) + matrix_bytes(); }

  /// What it takes besides while it is made: the largest matrix.
  static constexpr std::size_t loading_bytes() {
    return static_cast<std::size_t>(largest([]<class Layer>() { return decltype(Layer::weight)::values_in_all; })) * sizeof(typename Module::Parameter);
  }

  explicit Quantized(const Original& model)
      : Quantized(model.device(), [&](auto& take) {
          for (const nn::ParameterInfo& parameter : Original::table) std::copy_n(model.flat() + parameter.offset, parameter.size(), take.room_for(parameter)), take(parameter);
        }) {}

  /// `read(take)` has the parameters of the original taken one at a time, in the order of its table: into take.room_for(parameter), then take(parameter).
  template <class Read>
  Quantized(Cpu& device, Read&& read) : Module(device), memory_(device.allocate(matrix_bytes())) {
    std::byte* free = memory_.data();
    const auto bind = [&](auto& matrix) { matrix.bind(free), free += round_up(matrix.bytes(), alignment_bytes); };
    for (auto& block : weights().blocks) for_each_layer(block, [&](auto& layer) { bind(layer.weight); });
    bind(head_);
    Take take(*this);
    read(take);
    ops::quantize_transposed(device, Original::head(weights()), head_);
  }

  /// As the original's.
  void infer(const ops::CacheRows& rows, std::span<const std::int32_t> ask, const Cache& cache, InferenceScratch scratch) const {
    const auto logits_of = [&](auto x, auto logits) { ops::int8_matmul(device(), x, head_, logits, scratch.quantized); };
    Original::infer_with(device(), weights(), logits_of, rows, ask, cache, scratch, scratch.quantized);
  }

  /// As the original's.
  static auto hidden(const InferenceScratch& scratch) { return Original::hidden(scratch); }

 private:
  static constexpr std::size_t matrix_bytes() {
    std::size_t block_bytes = 0;
    typename decltype(Parameters::blocks)::value_type block{};
    for_each_layer(block, [&](auto& layer) { block_bytes += round_up(layer.weight.bytes(), alignment_bytes); });
    return Config::layers * block_bytes + round_up(Head::bytes(), alignment_bytes);
  }

  /// What both have, by name; else nullptr: a matrix, or a part of one.
  static const nn::ParameterInfo* mine(const nn::ParameterInfo& its) {
    const auto found = std::ranges::find_if(Module::table, [&](const nn::ParameterInfo& own) { return own.name.view() == its.name.view(); });
    return found == Module::table.end() ? nullptr : &*found;
  }

  /// Takes the original's parameters in the order of its table, a matrix part by part.
  class Take {
   public:
    explicit Take(Quantized& model) : model_(&model), room_(model.device().allocate(loading_bytes())) {}

    typename Module::Parameter* room_for(const nn::ParameterInfo& parameter) const {
      const auto* const own = mine(parameter);
      return own != nullptr ? model_->flat() + own->offset : room() + taken_;
    }
    void operator()(const nn::ParameterInfo& parameter) {
      if (mine(parameter) != nullptr) return;
      auto& block = model_->weights().blocks[layers_ / layers_of_a_block];
      std::size_t number = 0;
      const std::size_t wanted = layers_ % layers_of_a_block;
      for_each_layer(block, [&](auto& layer) {
        if (number++ == wanted) take_part(parameter, layer);
      });
    }

   private:
    typename Module::Parameter* room() const { return reinterpret_cast<typename Module::Parameter*>(room_.data()); }
    template <class Layer>
    void take_part(const nn::ParameterInfo& parameter, Layer& layer) {
      constexpr Index whole = decltype(Layer::weight)::values_in_all;
      taken_ += parameter.size();
      if (!Layer::is_part(parameter.rows, parameter.columns) || taken_ > whole)
        fail(Failure::internal, "a quantized model expects matrices in the order of the original's table, not ", parameter.name.view());
      if (taken_ < whole) return;
      layer.quantize(model_->device(), room());
      taken_ = 0, ++layers_;
    }

    Quantized* model_;
    Cpu::Memory room_;
    Index taken_ = 0;         // values of the matrix whose turn it is
    std::size_t layers_ = 0;  // that are complete
  };

  Cpu::Memory memory_;
  Head head_;
};

template <class Original>
Quantized(const Original&) -> Quantized<Original>;

}  // namespace terse::models
