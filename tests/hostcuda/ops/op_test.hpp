#pragma once
// An op on both devices, with the same inputs:
//
//   on_both_devices([](OpRun& run) {
//     const auto x = run.input<float>(rows * C);
//     const auto y = run.output<T>(rows * C);
//     run([&](auto& device, auto at) { ops::gelu_forward<Gelu::tanh>(device, Rows<float, C>{at(x), rows}, Rows<T, C>{at(y), rows}); });
//     run.agrees("y", y, C);
//   });
//
// Outputs are NaN beforehand and stand between fences. The body runs in several orders of threads, blocks and streams (support/gpu.hpp); what the
// GPU wrote must be the same bits in each.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <terse/core/philox.hpp>
#include <terse/device/cpu.hpp>
#include <terse/device/cuda.cuh>

#include "support/catch.hpp"
#include "support/gpu.hpp"
#include "support/sanitized.hpp"
#include "support/tolerance.hpp"

/// The same values in the memory of both devices.
template <class T>
class Data {
 public:
  Data(terse::Cuda& cuda, std::vector<T> values) : cuda_(&cuda), cpu_(std::move(values)), gpu_(cuda.allocate(cpu_.size() * sizeof(T) + 2 * fence_bytes)) {
    const std::vector<std::byte> fence(fence_bytes, fence_byte);
    cuda.copy_from_host(gpu_.data(), fence.data(), fence_bytes);
    cuda.copy_from_host(gpu(), cpu_.data(), cpu_.size() * sizeof(T));
    cuda.copy_from_host(gpu_.data() + fence_bytes + cpu_.size() * sizeof(T), fence.data(), fence_bytes);
  }
  T* cpu() const { return const_cast<T*>(cpu_.data()); }
  T* gpu() const { return reinterpret_cast<T*>(gpu_.data() + fence_bytes); }
  std::size_t size() const { return cpu_.size(); }

  /// The GPU's values.
  std::vector<T> from_gpu() const {
    std::vector<T> result(cpu_.size());
    cuda_->copy_to_host(result.data(), gpu(), result.size() * sizeof(T));
    return result;
  }
  bool fences_intact() const {
    std::vector<std::byte> all(gpu_.bytes());
    cuda_->copy_to_host(all.data(), gpu_.data(), all.size());
    for (std::size_t i = 0; i < fence_bytes; ++i)
      if (all[i] != fence_byte || all[all.size() - 1 - i] != fence_byte) return false;
    return true;
  }

 private:
  static constexpr std::size_t fence_bytes = is_sanitized ? 0 : 256;  // AddressSanitizer has its own, which see reads too
  static constexpr std::byte fence_byte{0xFF};  // NaN to who reads it

  terse::Cuda* cuda_;
  std::vector<T> cpu_;
  terse::Cuda::Memory gpu_;
};

/// Addresses as one device has them.
struct AtCpu {
  template <class T>
  T* operator()(const Data<T>& data) const { return data.cpu(); }
};
struct AtGpu {
  template <class T>
  T* operator()(const Data<T>& data) const { return data.gpu(); }
};

class OpRun {
 public:
  static constexpr std::size_t ample_workspace = std::size_t{4} << 20;

  terse::Cpu cpu{1};
  terse::Cuda cuda{0};

  /// `workspace`: bytes that GPU ops may use; as many as they are to need, so that sanitizers see one too many.
  explicit OpRun(std::size_t workspace = ample_workspace) {
    cpu.reserve_workspace(std::size_t{16} << 20);
    cpu.reserve_thread_scratch(std::size_t{1} << 20);
    cuda.reserve_workspace(workspace);
  }

  /// Amplitude times k / 64 / 2^e with k in [-64, 64) and e in [0, 8): 16 bits hold it exactly; float's sums of it round.
  template <terse::Real T>
  Data<T> input(terse::Index count, double amplitude = 2) {
    terse::RandomStream random(1, terse::RandomUse::synthesize, inputs_++);
    std::vector<T> values(static_cast<std::size_t>(count));
    for (T& value : values)
      value = static_cast<T>(static_cast<float>(std::ldexp((static_cast<double>(random.below(128)) - 64) / 64, -static_cast<int>(random.below(8))) * amplitude));
    return Data<T>(cuda, std::move(values));
  }
  template <class T>
  Data<T> values(std::vector<T> given) { return Data<T>(cuda, std::move(given)); }
  template <class T>
  Data<T> values(std::span<const T> given) { return Data<T>(cuda, std::vector<T>(given.begin(), given.end())); }
  /// NaN everywhere.
  template <class T>
  Data<T> output(terse::Index count) {
    std::vector<T> poison(static_cast<std::size_t>(count));
    std::memset(static_cast<void*>(poison.data()), 0xFF, poison.size() * sizeof(T));
    return Data<T>(cuda, std::move(poison));
  }

  /// Calls op(device, at) for both devices; at(data) is the data's address there.
  template <class Op>
  void operator()(Op&& op) {
    op(cpu, AtCpu{});
    op(cuda, AtGpu{});
    cuda.synchronize();
  }

  /// Holds what the GPU wrote against what the CPU did, in rows of so many columns.
  template <terse::Real T>
  void agrees(const std::string& name, const Data<T>& data, terse::Index columns, const Tolerance& tolerance = gpu_tolerance(terse::dtype_of<T>())) {
    INFO(name << ", " << terse::name_of(terse::dtype_of<T>()) << ", " << data.size() << " values in rows of " << columns);
    const auto got = seen(data);
    double worst = 0;
    for (std::size_t first = 0; first < got.size(); first += static_cast<std::size_t>(columns))
      worst = std::max(worst, worst_of_row(data.cpu() + first, got.data() + first, columns, tolerance));
    CHECK(worst <= 1);
  }
  /// As agrees, but bit for bit; only which NaN it is may differ.
  template <terse::Real T>
  void equals(const std::string& name, const Data<T>& data) {
    INFO(name << ", " << terse::name_of(terse::dtype_of<T>()) << ", " << data.size() << " values");
    const auto got = seen(data);
    std::size_t different = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const T want = data.cpu()[i];
      const bool nan = std::isnan(static_cast<float>(want)) && std::isnan(static_cast<float>(got[i]));
      different += !nan && std::memcmp(static_cast<const void*>(&got[i]), static_cast<const void*>(&want), sizeof(T)) != 0;
    }
    CHECK(different == 0);
  }

  /// The bits of all that was compared.
  const std::vector<std::byte>& bits() const { return bits_; }

 private:
  template <class T>
  std::vector<T> seen(const Data<T>& data) {
    CHECK(data.fences_intact());
    auto got = data.from_gpu();
    const auto bytes = std::as_bytes(std::span(got));
    bits_.insert(bits_.end(), bytes.begin(), bytes.end());
    return got;
  }

  /// The largest error of a row, in units of what is allowed.
  template <class T>
  static double worst_of_row(const T* want, const T* got, terse::Index columns, const Tolerance& tolerance) {
    const auto number = [](T value) { return static_cast<double>(static_cast<terse::Wide<T>>(value)); };
    double largest = 0, worst = 0;
    for (terse::Index c = 0; c < columns; ++c)
      if (std::isfinite(number(want[c]))) largest = std::max(largest, std::abs(number(want[c])));
    for (terse::Index c = 0; c < columns; ++c) {
      const double w = number(want[c]), g = number(got[c]);
      if (w == g || (std::isnan(w) && std::isnan(g))) continue;
      const double error = std::abs(w - g) / (std::isfinite(w) ? allowed_error(terse::dtype_of<T>(), tolerance, w, largest) : 0);
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
    }
    return worst;
  }

  std::uint64_t inputs_ = 0;
  std::vector<std::byte> bits_;
};

/// Runs body(OpRun&) in each order; see the top of this file.
template <class Body>
void on_both_devices(Body&& body, std::size_t workspace = OpRun::ample_workspace) {
  std::vector<std::byte> bits;
  gpu::for_each_order([&](bool first) {
    OpRun run(workspace);
    body(run);
    if (first) bits = run.bits();
    CHECK(run.bits() == bits);
  });
}

/// Calls body(T{}) for each dtype that a GPU computes with.
template <class Body>
void for_each_dtype(Body&& body) {
  body(terse::half{});
  if constexpr (!is_sanitized) body(float{}), body(terse::bfloat16{});
}

/// True where the GPU's tensor cores have the dtype.
template <terse::Real T>
bool multiplies() {
  return !std::is_same_v<T, terse::bfloat16> || terse::Cuda().multiplies_bfloat16();
}

template <terse::Index C>
struct Width {
  static constexpr terse::Index value = C;
};
/// Calls body(Width<C>{}) for each width: one access, part of a warp, warps and a rest, GPT-2's.
template <class Body>
void for_each_width(Body&& body) {
  body(Width<200>{});
  if constexpr (!is_sanitized) body(Width<8>{}), body(Width<768>{});
}
