#pragma once
#include <array>
#include <cstddef>
#include <span>

#include <terse/core/precision.hpp>
#include <terse/device/cpu.hpp>
#include <terse/nn/parameters.hpp>

namespace terse::nn {

/// Owns parameters: one flat buffer, and layers whose views point into it. Zero at first; nn::initialize or io::read_weights fill it.
///
///   template <Real T> struct Layers {               // anything with the `parameters` walk of nn/parameters.hpp
///     Linear<T, 2, 32> up;
///     Linear<T, 32, 2> down;
///     constexpr void parameters(auto&& visit) { visit("up", up), visit("down", down); }
///   };
///   nn::Module<Layers<float>> model(cpu), gradient(cpu);
///
/// A model derives from it and adds forward and backward (nn/model.hpp). `Weights` is in P's Parameter; `Gradients`, the
/// same layers in P's Stream.
///
/// Errors     Failure::device: out of memory
template <class WeightsType, class GradientsType = WeightsType, Precision P = Fp32, class DeviceType = Cpu>
class Module {
 public:
  using Weights = WeightsType;
  using Gradients = GradientsType;
  using PrecisionPolicy = P;
  using Device = DeviceType;
  using Parameter = typename P::Parameter;
  using Stream = typename P::Stream;

  /// Names, offsets and shapes of all parameters in the flat buffer.
  static constexpr auto table = nn::parameter_table<Weights>();
  static constexpr Index flat_size = nn::flat_size<Weights>();
  /// What all of them take.
  static constexpr std::size_t bytes() { return static_cast<std::size_t>(flat_size) * sizeof(Parameter); }

  explicit Module(Device& device) : device_(&device), memory_(device.allocate(bytes())) {
    device.clear(flat(), bytes());
    nn::bind(weights_, flat());
  }

  /// Where the parameters are.
  Device& device() const { return *device_; }
  /// The parameters as views, layer by layer.
  const Weights& weights() const { return weights_; }
  Weights& weights() { return weights_; }
  /// The parameters as one buffer of flat_size values, as `table` describes it.
  Parameter* flat() const { return reinterpret_cast<Parameter*>(memory_.data()); }
  /// The same as bytes, of the device.
  std::array<std::span<std::byte>, 1> memory() const { return {std::span(memory_.data(), bytes())}; }

 private:
  Device* device_;
  typename Device::Memory memory_;
  Weights weights_;
};

}  // namespace terse::nn
