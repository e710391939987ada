#pragma once
// cudaLaunchKernelEx: arguments are copied when the kernel is queued, and once more for each CUDA thread.

#include <initializer_list>
#include <memory>
#include <tuple>
#include <type_traits>

#include "hostcuda/runtime.hpp"

struct cudaLaunchAttribute {
  int id;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};

namespace hostcuda {

/// One argument of a kernel, to be searched for addresses.
struct Argument {
  const void* value;
  std::size_t bytes;
};
/// A kernel with its arguments. `call` runs it as the CUDA thread that the machine says.
struct Kernel {
  const void* function;
  void (*call)(const void* arguments);
  std::shared_ptr<const void> arguments;
};
cudaError_t launch(const cudaLaunchConfig_t&, Kernel, std::initializer_list<Argument>);

template <class T>
void clear_padding(T& value) {
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&value);   // else rests of old addresses in it might be taken for arguments
#endif
#endif
  static_cast<void>(value);
}

}  // namespace hostcuda

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "a kernel's parameters are trivially copyable");
  static_assert(!(std::is_reference_v<Parameters> || ...), "a kernel's parameters go by value");
  using Values = std::tuple<Parameters...>;
  struct Call {
    void (*kernel)(Parameters...);
    Values values;
  };
  const auto call = std::make_shared<Call>(Call{kernel, Values(static_cast<Parameters>(arguments)...)});
  return std::apply(
      [&](auto&... value) {
        (hostcuda::clear_padding(value), ...);
        const auto run = [](const void* memory) {
          const Call& found = *static_cast<const Call*>(memory);
          Values own = found.values;
          std::apply(found.kernel, own);
        };
        return hostcuda::launch(*config, {reinterpret_cast<const void*>(kernel), run, call}, {hostcuda::Argument{&value, sizeof value}...});
      },
      call->values);
}
