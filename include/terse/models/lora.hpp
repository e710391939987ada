#pragma once
#include <algorithm>
#include <string_view>

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

/// Low-rank adapters of a Llama (nn/lora.hpp): a model to train whose parameters, gradients and optimizer state are the adapters' alone. The model that is adapted
/// stays as it is and must outlive this one; `merge` adds what was learned to it, and then it decodes as ever.
///
///   models::Lora<Base, 8> lora(base);                      // rank 8, alpha 16, all linear layers
///   nn::initialize(lora, 42);                              // changes nothing yet: b is zero
///   train::Trainer trainer(lora, …);
///   io::write_adapter(folder, lora);                       // for PEFT
///   lora.merge(base);
template <class Base, Index rank, int alpha = 2 * static_cast<int>(rank), nn::LoraTargets targets = nn::LoraTargets::all>
class Lora : public Transformer<LoraFamily<typename Base::Family, nn::LoraLayers<rank, alpha, targets>>, typename Base::PrecisionPolicy, typename Base::Device> {
  using Model = Transformer<LoraFamily<typename Base::Family, nn::LoraLayers<rank, alpha, targets>>, typename Base::PrecisionPolicy, typename Base::Device>;

 public:
  static constexpr std::string_view file_prefix = "base_model.model.";  ///< of names in PEFT's files
  static constexpr Index adapter_rank = rank;
  static constexpr int adapter_alpha = alpha;
  static constexpr nn::LoraTargets adapter_targets = targets;

  explicit Lora(const Base& base) : Model(base.device()) {
    nn::for_each_frozen(this->weights(), [&](const nn::ParameterName& name, auto& view) { view.data = base.flat() + of_base(name.view()).offset; });
  }

  /// w += s b a for each adapted matrix of `base`.
  void merge(Base& base) const { merge(base, this->flat()); }
  /// The same of other adapters of this kind: their average, say.
  void merge(Base& base, const typename Model::Parameter* adapters) const {
    for (std::size_t i = 0; i + 1 < Model::table.size(); i += 2) {
      const nn::ParameterInfo &a = Model::table[i], &b = Model::table[i + 1];
      const std::string_view name = a.name.view();
      const auto& weight = of_base(name.substr(0, name.size() - std::string_view("lora_A.weight").size()), "weight");
      this->device().parallel_for(weight.rows, [&](Index row) {
        auto* const out = base.flat() + weight.offset + row * weight.columns;
        const auto* const factors = adapters + b.offset + row * rank;
        for (Index r = 0; r < rank; ++r) {
          const float factor = static_cast<float>(factors[r]) * static_cast<float>(alpha) / static_cast<float>(rank);
          const auto* const in = adapters + a.offset + r * weight.columns;
#pragma omp simd
          for (Index c = 0; c < weight.columns; ++c) out[c] += factor * in[c];
        }
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
