#pragma once
/// A model's parameters: views into one flat buffer, in layer order, found by walking the layers.
///
/// A layer lists what it has:
///
///   constexpr void parameters(auto&& visit) { visit("weight", weight, {.deviation = 0.02f}); visit("mlp", inner_layer); }
///
/// The walk gives a constexpr table of names, offsets and shapes; the optimizer, DDP, safetensors and initialisation all read it.
/// Views of const values are frozen: they aren't parameters, have no gradient, and stand in somebody else's buffer (nn/lora.hpp).

#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include <terse/core/shape.hpp>

namespace terse::nn {

inline constexpr bool layers_are_defined = true;  ///< <terse/cuda.hpp> must come before

/// How a parameter begins (scratch): N(mean, deviation / sqrt(residual_branches)); and how many of its rows are real.
struct ParameterTraits {
  float mean = 0, deviation = 0;
  int residual_branches = 0;  ///< projections back into the residual stream: 2 * layers (GPT-2); 0: as its layer has it, else 1
  Index saved_rows = 0;       ///< rows that are written to files where the rest is padding; 0: all
  int block = -1;             ///< by the walk: which of an array of layers (the outermost one) it belongs to; -1: none
};

/// A name of up to 63 characters, usable at compile time.
class ParameterName {
 public:
  constexpr ParameterName() = default;
  constexpr ParameterName operator+(std::string_view text) const {
    ParameterName result = *this;
    for (char c : text) result.text_[result.size_++] = c;
    return result;
  }
  constexpr ParameterName operator+(std::size_t number) const {
    return number < 10 ? append_digit(number) : (*this + number / 10).append_digit(number % 10);
  }
  constexpr std::string_view view() const { return {text_, size_}; }

 private:
  constexpr ParameterName append_digit(std::size_t digit) const {
    const char character[] = {static_cast<char>('0' + digit)};
    return *this + std::string_view(character, 1);
  }

  char text_[63] = {};
  unsigned char size_ = 0;
};

/// One parameter of a model, where it stands in the flat buffer.
struct ParameterInfo {
  ParameterName name;
  Index offset = 0;            ///< in values
  Index rows = 1, columns = 0; ///< shape; rows is 1 for vectors
  Index saved_rows = 1;        ///< of them real, the rest padding
  int dimensions = 1;
  ParameterTraits traits;

  constexpr Index size() const { return rows * columns; }
  constexpr bool decays() const { return dimensions >= 2; }  ///< weight decay: matrices and embeddings, not biases and gains
};

/// Parameters start at multiples of this many values: 256 bytes in 16 bits too, so that offsets are the same for every dtype.
inline constexpr Index parameter_alignment = alignment_bytes / 2;

namespace detail {

template <class Member>
inline constexpr bool is_view = requires { Member::dimensions; };

template <class View>
inline constexpr bool is_frozen = std::is_const_v<typename View::Value>;

template <class Layer, class Visit>
constexpr void walk(Layer& layer, const ParameterName& prefix, const ParameterTraits& around, Visit& visit);

template <class Member, class Visit>
constexpr void walk_member(const ParameterName& name, Member& member, const ParameterTraits& traits, Visit& visit) {
  if constexpr (is_view<Member>) {
    visit(name, member, traits);
  } else if constexpr (requires { member.size(); }) {
    ParameterTraits inside = traits;
    for (std::size_t i = 0; i < member.size(); ++i) {
      if (traits.block < 0) inside.block = static_cast<int>(i);
      walk(member[i], name + "." + i + ".", inside, visit);
    }
  } else {
    walk(member, name + ".", traits, visit);
  }
}

// Not a lambda: nvcc's front end has none in a requirement.
struct TakesAnyParameter {
  constexpr void operator()(std::string_view, auto&, ParameterTraits = {}) const {}
};

template <class Layer>
struct ListsParameters {
  static constexpr bool value = requires(Layer& layer) { layer.parameters(TakesAnyParameter{}); };
  static_assert(value, "terse: a layer lists what it has in `constexpr void parameters(auto&& visit)`, see terse/nn/parameters.hpp");
};

// A layer's residual_branches and block hold for all of its parameters.
template <class Layer, class Visit>
constexpr void walk(Layer& layer, const ParameterName& prefix, const ParameterTraits& around, Visit& visit) {
  if constexpr (ListsParameters<Layer>::value)
    layer.parameters([&](std::string_view name, auto& member, ParameterTraits traits = {}) {
      if (traits.residual_branches == 0) traits.residual_branches = around.residual_branches;
      traits.block = around.block;
      walk_member(prefix + name, member, traits, visit);
    });
}

}  // namespace detail

/// Calls visit(name, view, traits) for each parameter, in layer order.
template <class Layer, class Visit>
constexpr void for_each_parameter(Layer& layer, Visit&& visit) {
  const auto trained = [&]<class View>(const ParameterName& name, View& view, const ParameterTraits& traits) {
    if constexpr (!detail::is_frozen<View>) visit(name, view, traits);
  };
  detail::walk(layer, ParameterName{}, ParameterTraits{.residual_branches = 1}, trained);
}

/// Calls visit(name, view) for each view that is frozen, in layer order.
template <class Layer, class Visit>
constexpr void for_each_frozen(Layer& layer, Visit&& visit) {
  const auto frozen = [&]<class View>(const ParameterName& name, View& view, const ParameterTraits&) {
    if constexpr (detail::is_frozen<View>) visit(name, view);
  };
  detail::walk(layer, ParameterName{}, ParameterTraits{.residual_branches = 1}, frozen);
}

/// How many parameters (tensors, not values) a layer or model has.
template <class Layer>
constexpr std::size_t parameter_count() {
  Layer layer{};
  std::size_t count = 0;
  for_each_parameter(layer, [&](const ParameterName&, auto&, const ParameterTraits&) { ++count; });
  return count;
}

/// The table of a layer's or model's parameters.
template <class Layer>
constexpr auto parameter_table() {
  if constexpr (!detail::ListsParameters<Layer>::value) {
    return std::array<ParameterInfo, 1>{};
  } else {
    std::array<ParameterInfo, parameter_count<Layer>()> table{};
    std::size_t i = 0;
    Index offset = 0;
    Layer layer{};
    for_each_parameter(layer, [&]<class View>(const ParameterName& name, View&, const ParameterTraits& traits) {
      ParameterInfo& info = table[i++];
      info.name = name, info.offset = offset, info.columns = View::columns, info.dimensions = View::dimensions, info.traits = traits;
      if constexpr (View::dimensions == 2) info.rows = View::rows;
      info.saved_rows = traits.saved_rows > 0 ? traits.saved_rows : info.rows;
      offset += round_up(info.size(), parameter_alignment);
    });
    return table;
  }
}

/// Values in the flat buffer, gaps included.
template <class Layer>
constexpr Index flat_size() {
  constexpr auto table = parameter_table<Layer>();
  return table.back().offset + round_up(table.back().size(), parameter_alignment);
}

/// Points every parameter of the layer to its place in `flat`, which has flat_size values.
template <class Layer, class T>
void bind(Layer& layer, T* flat) {
  Index offset = 0;
  for_each_parameter(layer, [&](const ParameterName&, auto& view, const ParameterTraits&) {
    view.data = flat + offset;
    offset += round_up(view.size(), parameter_alignment);
  });
}

/// Where the layer's first parameter is: its others follow in the flat buffer.
template <class Layer>
const void* first_parameter(Layer& layer) {
  const void* first = nullptr;
  for_each_parameter(layer, [&](const ParameterName&, auto& view, const ParameterTraits&) {
    if (first == nullptr) first = view.data;
  });
  return first;
}

/// What `backward` tells of layers whose gradients are final, where nobody listens.
struct Unheard {
  void operator()(const auto& /*layer*/) const {}
};

}  // namespace terse::nn
