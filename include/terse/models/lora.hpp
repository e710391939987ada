#pragma once
#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <type_traits>

#include <terse/models/gpt.hpp>
#include <terse/models/llama.hpp>
#include <terse/nn/lora.hpp>

namespace terse::models {

/// A family with adapters: all values of its own are const, so frozen, and what is trained are the adapters' matrices.
template <class Family, class Layers>
struct LoraFamily {
  using Config = typename Family::Config;
  template <Precision P, Real T>
  using Parameters = typename Family::template Parameters<P, const T, Layers>;
};

namespace detail {

// What a model that is adapted is in full, and what its layers' infer takes besides.
template <class Base>
struct BaseTraits {
  using Whole = Base;
  using InputRows = NoViews;
};
template <class Base>
  requires requires { typename Base::Whole; }
struct BaseTraits<Base> {
  using Whole = typename Base::Whole;
  using InputRows = typename Base::InputRows;
};

}  // namespace detail

/// Low-rank adapters of a Gpt or a Llama (nn/lora.hpp): a model to train whose parameters, gradients and optimizer state are the adapters' alone. The model that is adapted
/// stays as and where it is and must outlive this one.
///
///   using Lora = models::Lora<Base, 8>;
///   Lora lora(base);                                       // rank 8, alpha 16, all linear layers
///   nn::initialize(lora, 42);                              // changes nothing yet: b is zero
///   train::Trainer trainer(lora, …);
///   decode::Generator generator(lora, end_of_text);        // writes as the two together
///   io::write_adapter<Lora>(folder, lora.flat());          // for PEFT
///   lora.merge(base);                                      // or they become one model, as large as base was
///
/// `Base` may be a models::Quantized, whose matrices take a quarter of the memory (Dettmers et al. 2023, QLoRA, arXiv:2305.14314, with 8 bits instead of 4): then what is
/// trained on are the values that its 8 bits stand for, in fp32; `merged` gives these and the adapters as one. The head is the embedding's in training, in 8 bits where texts are written.
template <class BaseModel, Index rank, int alpha = 2 * static_cast<int>(rank), nn::LoraTargets targets = nn::LoraTargets::all>
class Lora : public Transformer<LoraFamily<typename BaseModel::Family, nn::LoraLayers<rank, alpha, targets, typename BaseModel::Layers>>, typename BaseModel::PrecisionPolicy,
                                typename BaseModel::Device> {
  using Model = Transformer<LoraFamily<typename BaseModel::Family, nn::LoraLayers<rank, alpha, targets, typename BaseModel::Layers>>, typename BaseModel::PrecisionPolicy,
                            typename BaseModel::Device>;

 public:
  using Base = BaseModel;
  using Whole = typename detail::BaseTraits<Base>::Whole;  ///< what Base and the adapters are together
  using typename Model::Parameter;

 private:
  static constexpr bool is_quantized = !std::is_same_v<Base, Whole>;
  static_assert(!is_quantized || targets == nn::LoraTargets::all, "terse: Lora: of a Quantized model all linear layers are adapted, LoraTargets::all");
  static_assert(!is_quantized || std::is_same_v<typename Base::PrecisionPolicy, Fp32>, "terse: Lora: a Quantized model is adapted in Fp32");
  static constexpr nn::ParameterName prefix = [] {
    const auto name = nn::ParameterName{} + "base_model.model.";
    if constexpr (requires { Whole::file_prefix; }) return name + Whole::file_prefix;
    else return name;
  }();

 public:
  /// As the plain model's, and what a Quantized one's takes besides.
  struct InferenceScratch : Model::InferenceScratch {
    typename detail::BaseTraits<Base>::InputRows quantized;

    constexpr void each(auto&& visit, Extent extent) { Model::InferenceScratch::each(visit, extent), quantized.each(visit, extent); }
  };
  static constexpr std::string_view file_prefix = prefix.view();  ///< of names in PEFT's files
  static constexpr Index adapter_rank = rank;
  static constexpr int adapter_alpha = alpha;
  static constexpr nn::LoraTargets adapter_targets = targets;

  explicit Lora(const Base& base) : Model(base.device()), base_(&base) {
    nn::for_each_frozen(this->weights(), [&](const nn::ParameterName& name, auto& view) { view.data = base.flat() + find<Base>(name.view())->offset; });
    for (std::size_t l = 0; l < base.weights().blocks.size(); ++l) {
      auto& mine = this->weights().blocks[l];
      const auto& its = base.weights().blocks[l];
      refer(mine.attention.qkv, its.attention.qkv), refer(mine.attention.projection, its.attention.projection), refer(mine.mlp.up, its.mlp.up), refer(mine.mlp.down, its.mlp.down);
    }
  }

  /// Bytes of the device's workspace that the largest of a step's ops takes; a matrix of 8 bits takes it as float.
  static constexpr std::size_t workspace_bytes(Index tokens) {
    if constexpr (is_quantized) return std::max(Model::workspace_bytes(tokens), Base::largest_matrix_bytes());
    else return Model::workspace_bytes(tokens);
  }

  /// As Base's, with the adapters: batch-invariant.
  void infer(const ops::CacheRows& rows, std::span<const std::int32_t> ask, const typename Model::Cache& cache, InferenceScratch scratch) const {
    if constexpr (is_quantized) {
      const auto logits_of = [&](auto x, auto logits) { base_->logits(x, logits, scratch.quantized); };
      Model::infer_with(this->device(), this->weights(), logits_of, rows, ask, cache, scratch, scratch.quantized);
    } else {
      Model::infer(rows, ask, cache, scratch);
    }
  }

  /// w += s b a for each adapted matrix of `whole`, which has Base's values; its transpose where that is (in, out).
  void merge(Whole& whole) const { merge(whole, this->flat()); }
  /// The same of other adapters of this kind: their average, say.
  void merge(Whole& whole, const Parameter* adapters) const {
    for (const nn::ParameterInfo& weight : Whole::table)
      if (const auto* const a = adapter_of(weight)) add_product(weight, *a, adapters, whole.flat() + weight.offset);
  }
  /// What one of the whole model's parameters is when adapters are merged: Base's own values where it has none, else in `room`, of merged_values() values.
  const Parameter* merged(const nn::ParameterInfo& weight, const Parameter* adapters, Parameter* room) const {
    const Parameter* values = nullptr;
    if constexpr (is_quantized) values = base_->values_of(weight, room);
    else values = base_->flat() + weight.offset;
    const auto* const a = adapter_of(weight);
    if (a == nullptr) return values;
    if (values != room) std::copy_n(values, weight.size(), room);
    add_product(weight, *a, adapters, room);
    return room;
  }
  /// Values of the largest parameter that is adapted.
  static constexpr Index merged_values() {
    Index largest = 0;
    for (std::size_t i = 0; i + 1 < Model::table.size(); i += 2) largest = std::max(largest, Model::table[i].columns * Model::table[i + 1].rows);
    return largest;
  }

 private:
  /// A layer that is adapted refers to the base's.
  static void refer(auto& mine, const auto& its) {
    if constexpr (requires { mine.frozen; }) mine.frozen = its.as_frozen();
  }

  template <class Of>
  static const nn::ParameterInfo* find(std::string_view start, std::string_view end = {}) {
    const auto found = std::ranges::find_if(Of::table, [&](const nn::ParameterInfo& parameter) {
      const std::string_view name = parameter.name.view();
      return name.size() == start.size() + end.size() && name.starts_with(start) && name.ends_with(end);
    });
    return found == Of::table.end() ? nullptr : &*found;
  }
  /// The adapter's a, which b follows in the table; nullptr: it isn't adapted.
  static const nn::ParameterInfo* adapter_of(const nn::ParameterInfo& weight) {
    std::string_view name = weight.name.view();
    if (!name.ends_with("weight")) return nullptr;
    name.remove_suffix(std::string_view("weight").size());
    return find<Model>(name, "lora_A.weight");
  }
  void add_product(const nn::ParameterInfo& weight, const nn::ParameterInfo& a, const Parameter* adapters, Parameter* values) const {
    constexpr bool transposed = Base::Family::fan_in_fan_out;
    const nn::ParameterInfo& b = *(&a + 1);
    const auto *const a_values = adapters + a.offset, *const b_values = adapters + b.offset;
    this->device().parallel_for(weight.rows, [&](Index row) {
      std::array<float, rank> factors;  // of this row: b's (out, in), a's (in, out)
      for (Index r = 0; r < rank; ++r)
        factors[static_cast<std::size_t>(r)] = (transposed ? a_values[r * a.columns + row] : b_values[row * rank + r]) * static_cast<float>(alpha) / static_cast<float>(rank);
      auto* const out = values + row * weight.columns;
      for (Index r = 0; r < rank; ++r)
        for (Index c = 0; c < weight.columns; ++c) out[c] += factors[static_cast<std::size_t>(r)] * (transposed ? b_values[c * rank + r] : a_values[r * weight.columns + c]);
    });
  }

  const Base* base_;
};

}  // namespace terse::models
