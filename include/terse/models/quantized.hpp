#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <type_traits>

#include <terse/models/transformer.hpp>
#include <terse/nn/quantized_linear.hpp>

namespace terse::models {

/// A model for decoding, and for adapters to be trained beside it (models/lora.hpp), whose matrices are 8-bit integers (ops/matmul/int8.hpp): made from a Gpt or a Llama, which it doesn't need afterwards. Embeddings, norms and
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
  using Family = typename Original::Family;
  using Layers = nn::QuantizedLayers;
  using Whole = Original;  ///< whose parameters it is made from
  using typename Module::Parameter, typename Module::Stream;
  using Module::device, Module::weights;
  using Cache = typename Original::Cache;

 private:
  /// A block's matrices, in the order of the original's table.
  static constexpr void for_each_layer(auto& block, auto&& visit) { visit(block.attention.qkv), visit(block.attention.projection), visit(block.mlp.up), visit(block.mlp.down); }

  /// The largest `size_of` of a block's matrices.
  static constexpr Index largest(auto&& size_of) {
    Index result = 0;
    typename decltype(Parameters::blocks)::value_type block{};
    for_each_layer(block, [&]<class Layer>(Layer&) { result = std::max(result, size_of.template operator()<Layer>()); });
    return result;
  }
  static constexpr Index widest = std::max(Head::depth, largest([]<class Layer>() { return decltype(Layer::weight)::depth; }));

 public:
  using InputRows = ops::Int8Rows<widest>;  ///< (R, the most inputs of a matrix)

  /// As the original's, and rows in 8 bits.
  struct InferenceScratch : Original::InferenceScratch {
    InputRows quantized;

    constexpr void each(auto&& visit, Extent extent) { Original::InferenceScratch::each(visit, extent), quantized.each(visit, extent); }
  };

  /// What its parameters and matrices take.
  static constexpr std::size_t bytes() { return Module::bytes() + matrix_bytes(); }

  /// What it takes besides while it is made: the largest matrix, of all of its parts.
  static constexpr std::size_t largest_matrix_bytes() {
    return static_cast<std::size_t>(largest([]<class Layer>() { return decltype(Layer::weight)::values_in_all; })) * sizeof(Parameter);
  }

  explicit Quantized(const Original& model)
      : Quantized(model.device(), [&](auto& take) {
          for (const nn::ParameterInfo& parameter : Original::table) std::copy_n(model.flat() + parameter.offset, parameter.size(), take.room_for(parameter)), take(parameter);
        }) {}

  /// `read(take)` has the parameters of the original taken one at a time, in the order of its table: into take.room_for(parameter), then take(parameter).
  template <class Read>
  Quantized(Cpu& device, Read&& read) : Quantized(device) {
    Take take(*this);
    read(take);
    ops::quantize_transposed(device, Original::head(weights()), head_);
  }

  /// Zero: for who has all of its `memory` from another.
  explicit Quantized(Cpu& device) : Module(device), memory_(device.allocate(matrix_bytes())) {
    device.clear(memory_.data(), memory_.bytes());
    std::byte* free = memory_.data();
    const auto bind = [&](auto& matrix) { matrix.bind(free), free += round_up(matrix.bytes(), alignment_bytes); };
    for (auto& block : weights().blocks) for_each_layer(block, [&](auto& layer) { bind(layer.weight); });
    bind(head_);
  }

  /// All that it holds: parameters, and matrices.
  std::array<std::span<std::byte>, 2> memory() const {
    return {Module::memory()[0], std::span(memory_.data(), memory_.bytes())};
  }

  /// What it has of one of the original's parameters: where that stands, or, of a matrix, dequantized in `room`.
  const Parameter* values_of(const nn::ParameterInfo& parameter, Parameter* room) const {
    if (const auto* const own = mine(parameter)) return Module::flat() + own->offset;
    const Place place = place_of(parameter);
    visit(weights().blocks[place.block], place, [&](const auto& layer) { layer.dequantize(device(), place.first, parameter.size(), room); });
    return room;
  }

  /// As the original's.
  void infer(const ops::CacheRows& rows, std::span<const std::int32_t> ask, const Cache& cache, InferenceScratch scratch) const {
    const auto logits_of = [&](auto x, auto out) { logits(x, out, scratch.quantized); };
    Original::infer_with(device(), weights(), logits_of, rows, ask, cache, scratch, scratch.quantized);
  }
  /// The head's product, batch-invariant: x (B, C) -> out (B, P); `input` is overwritten.
  void logits(Rows<Stream, Original::C> x, Rows<Stream, Original::padded_V> out, const InputRows& input) const { ops::int8_matmul(device(), x, head_, out, input); }

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

  /// Which of a block's matrices a parameter of the original's is part of, and how many of its values come before.
  struct Place {
    std::size_t block = 0, layer = 0;
    Index first = 0;
  };
  static Place place_of(const nn::ParameterInfo& its) {
    Place place{.block = static_cast<std::size_t>(its.traits.block)};
    for (const nn::ParameterInfo& parameter : Original::table) {
      if (parameter.traits.block != its.traits.block || mine(parameter) != nullptr) continue;
      if (parameter.offset == its.offset) break;
      place.first += parameter.size();
      if (place.first == values_of_layer(place.layer)) ++place.layer, place.first = 0;
    }
    return place;
  }
  static Index values_of_layer(std::size_t number) {
    Index values = 0;
    typename decltype(Parameters::blocks)::value_type block{};
    visit(block, {.layer = number}, [&]<class Layer>(const Layer&) { values = decltype(Layer::weight)::values_in_all; });
    return values;
  }
  static void visit(auto& block, const Place& place, auto&& body) {
    std::size_t number = 0;
    for_each_layer(block, [&](auto& layer) {
      if (number++ == place.layer) body(layer);
    });
  }

  /// Takes the original's parameters in the order of its table, a matrix part by part.
  class Take {
   public:
    explicit Take(Quantized& model) : model_(&model), room_(model.device().allocate(largest_matrix_bytes())) {}

    Parameter* room_for(const nn::ParameterInfo& parameter) const {
      const auto* const own = mine(parameter);
      return own != nullptr ? model_->flat() + own->offset : room() + place_of(parameter).first;
    }
    void operator()(const nn::ParameterInfo& parameter) {
      if (parameter.offset != Original::table[taken_++].offset)
        fail(Failure::internal, "a quantized model takes parameters in the order of the original's table, not ", parameter.name.view());
      if (mine(parameter) != nullptr) return;
      const Place place = place_of(parameter);
      visit(model_->weights().blocks[place.block], place, [&]<class Layer>(Layer& layer) {
        if (place.first + parameter.size() == decltype(Layer::weight)::values_in_all) layer.quantize(model_->device(), room());
      });
    }

   private:
    Parameter* room() const { return reinterpret_cast<Parameter*>(room_.data()); }

    Quantized* model_;
    Cpu::Memory room_;
    std::size_t taken_ = 0;
  };

  Cpu::Memory memory_;
  Head head_;
};

template <class Original>
Quantized(const Original&) -> Quantized<Original>;

}  // namespace terse::models
