#pragma once
/// What the optimizer and data parallel ask of a model; models::Gpt is one, and a model of one's own can be.

#include <concepts>
#include <cstddef>

#include <terse/core/shape.hpp>

namespace terse::nn {

/// Parameters in one flat buffer on a device, and their table (nn/parameters.hpp).
///
///   Parameter, Stream   dtypes of the parameters, and of their gradients and the optimizer's state
///   table, flat_size    nn::parameter_table and nn::flat_size of the model's weights
///   flat(), device()    where the parameters are
template <class M>
concept Model = requires(const M& model) {
  typename M::Parameter;
  typename M::Stream;
  typename M::Device;
  { M::table.size() } -> std::convertible_to<std::size_t>;
  { M::flat_size } -> std::convertible_to<Index>;
  { model.flat() } -> std::same_as<typename M::Parameter*>;
  { model.device() } -> std::same_as<typename M::Device&>;
};

/// A Model that can be trained: what a step keeps, what it overwrites, and gradients as a struct of views.
template <class M>
concept TrainableModel = Model<M> && requires {
  typename M::PrecisionPolicy;
  typename M::Saved;
  typename M::Scratch;
  typename M::Gradients;
};

}  // namespace terse::nn
