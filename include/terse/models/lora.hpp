#pragma once
#include <algorithm>
#include <array>
#include <string_view>

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

/// Low-rank adapters of a Gpt or a Llama (nn/lora.hpp): a model to train whose parameters, gradients and optimizer state are the adapters' alone. The model that is adapted
/// stays as it is and must outlive this one; `merge` adds what was learned to it, and then it decodes as ever.
///
///   using Lora = models::Lora<Base, 8>;
///   Lora lora(base);                                       // rank 8, alpha 16, all linear layers
///   nn::initialize(lora, 42);                              // changes nothing yet: b is zero
///   train::Trainer trainer(lora, …);
///   io::write_adapter<Lora>(folder, lora.flat());          // for PEFT
///   lora.merge(base);
template <class BaseModel, Index rank, int alpha = 2 * static_cast<int>(rank), nn::LoraTargets targets = nn::LoraTargets::all>
class Lora
    : public Transformer<LoraFamily<typename BaseModel::Family, nn::LoraLayers<rank, alpha, targets>>, typename BaseModel::PrecisionPolicy, typename BaseModel::Device> {
  using Model = Transformer<LoraFamily<typename BaseModel::Family, nn::LoraLayers<rank, alpha, targets>>, typename BaseModel::PrecisionPolicy, typename BaseModel::Device>;
  static constexpr nn::ParameterName prefix = [] {
    const auto name = nn::ParameterName{} + "base_model.model.";
    if constexpr (requires { BaseModel::file_prefix; }) return name + BaseModel::file_prefix;
    else return name;
  }();

 public:
  using Base = BaseModel;
  static constexpr std::string_view file_prefix = prefix.view();  ///< of names in PEFT's files
  static constexpr Index adapter_rank = rank;
  static constexpr int adapter_alpha = alpha;
  static constexpr nn::LoraTargets adapter_targets = targets;

  explicit Lora(const Base& base) : Model(base.device()) {
    nn::for_each_frozen(this->weights(), [&](const nn::ParameterName& name, auto& view) { view.data = base.flat() + of_base(name.view()).offset; });
  }

  /// w += s b a for each adapted matrix of `base`; its transpose where that is (in, out).
  void merge(Base& base) const { merge(base, this->flat()); }
  /// The same of other adapters of this kind: their average, say.
  void merge(Base& base, const typename Model::Parameter* adapters) const {
    constexpr bool transposed = Base::Family::fan_in_fan_out;
    for (std::size_t i = 0; i + 1 < Model::table.size(); i += 2) {
      const nn::ParameterInfo &a = Model::table[i], &b = Model::table[i + 1];
      const std::string_view name = a.name.view();
      const auto& weight = of_base(name.substr(0, name.size() - std::string_view("lora_A.weight").size()), "weight");
      const auto *const a_values = adapters + a.offset, *const b_values = adapters + b.offset;
      this->device().parallel_for(weight.rows, [&](Index row) {
        std::array<float, rank> factors;  // of this row: b's (out, in), a's (in, out)
        for (Index r = 0; r < rank; ++r)
          factors[static_cast<std::size_t>(r)] = (transposed ? a_values[r * a.columns + row] : b_values[row * rank + r]) * static_cast<float>(alpha) / static_cast<float>(rank);
        auto* const out = base.flat() + weight.offset + row * weight.columns;
        for (Index r = 0; r < rank; ++r)
          for (Index c = 0; c < weight.columns; ++c) out[c] += factors[static_cast<std::size_t>(r)] * (transposed ? b_values[c * rank + r] : a_values[r * weight.columns + c]);
      });
    }
  }

 private:
  /// The parameter of the adapted model that is called `start` and `end`.
  static const nn::ParameterInfo& of_base(std::string_view start, std::string_view end = {}) {
    return *std::ranges::find_if(Base::table, [&](const nn::ParameterInfo& parameter) {
      const std::string_view name = parameter.name.view();
      return name.size() == start.size() + end.size() && name.starts_with(start) && name.ends_with(end);
    });
  }
};

}  // namespace terse::models
