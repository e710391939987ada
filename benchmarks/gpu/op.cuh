#pragma once
// What the GPU's benchmarks share: GPT-2 124M's sizes, inputs in the GPU's memory, and the loop that is timed by the GPU's own clock.
#include <terse/cuda.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "../work.hpp"

namespace bench {

using namespace terse;

inline constexpr Index C = models::Gpt2::width, heads = models::Gpt2::heads, context = models::Gpt2::context, vocabulary = models::Gpt2::vocabulary,
                       padded_vocabulary = models::Gpt2::padded_vocabulary;
inline constexpr Index tokens = 16 * 260;  ///< the job's micro-batch
inline constexpr Index head_rows = 320;    ///< target rows whose logits exist at one time (models::Gpt)

/// A benchmark whose iterations say their own time. What goes wrong in it is told in its line, and the others go on.
template <class Body>
benchmark::internal::Benchmark* add(const std::string& name, Body body) {
  const auto run = [body](benchmark::State& state) {
    try {
      body(state);
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
    }
  };
  return benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMicrosecond)->UseManualTime();
}

template <class T>
std::string dtype_name() {
  return std::string(name_of(dtype_of<T>()));
}

/// Calls body(T{}) for the 16-bit dtypes that the GPU's tensor cores multiply.
template <class Body>
void for_each_dtype(int capability, Body&& body) {
  body(half{});
  if (capability >= 80) body(bfloat16{});
}

/// Values that the host has and the GPU is given.
template <class T>
class GpuArray {
 public:
  GpuArray(Cuda& cuda, const std::vector<T>& values) : memory_(cuda.allocate(values.size() * sizeof(T))), size_(values.size()) {
    cuda.copy_from_host(memory_.data(), values.data(), values.size() * sizeof(T));
  }
  operator std::span<const T>() const { return {reinterpret_cast<const T*>(memory_.data()), size_}; }
  const T* data() const { return reinterpret_cast<const T*>(memory_.data()); }

 private:
  Cuda::Memory memory_;
  std::size_t size_;
};

/// Documents of these lengths, with ids that are far apart in the table, as a text's are.
class GpuBatch {
 public:
  GpuBatch(Cuda& cuda, const std::vector<Index>& lengths) : GpuBatch(cuda, Host(lengths)) {}
  PackedBatch view() const { return {ids_, positions_, cu_seqlens_, {}, {}, {}, samples_, draws_}; }

 private:
  struct Host {
    explicit Host(const std::vector<Index>& lengths) {
      for (const Index length : lengths) {
        for (Index position = 0; position < length; ++position) {
          ids.push_back(static_cast<TokenId>(std::uint64_t{ids.size()} * 7919 % vocabulary));
          positions.push_back(static_cast<std::int32_t>(position));
        }
        draws.push_back(static_cast<std::uint32_t>(samples.size()));
        samples.push_back(static_cast<std::int64_t>(samples.size()));
        cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
      }
    }
    std::vector<std::int32_t> ids, positions, cu_seqlens{0};
    std::vector<std::int64_t> samples;
    std::vector<std::uint32_t> draws;
  };
  GpuBatch(Cuda& cuda, Host&& host)
      : ids_(cuda, host.ids), positions_(cuda, host.positions), cu_seqlens_(cuda, host.cu_seqlens), draws_(cuda, host.draws), samples_(std::move(host.samples)) {}

  GpuArray<std::int32_t> ids_, positions_, cu_seqlens_;
  GpuArray<std::uint32_t> draws_;
  std::vector<std::int64_t> samples_;
};

inline ops::Dropout tenth(ops::DropoutSite site) { return ops::DropoutPlan{0.1f, 42}.at(site); }

/// Values in [-1, 1). Not zeros: with those a GPU takes less power, and runs faster than it does at work.
template <class View>
Tensor<View, Cuda> random(Cuda& cuda, auto... rows) {
  using T = typename View::Value;
  Tensor<View, Cuda> tensor(cuda, rows...);
  write_on_host(cuda, tensor.data(), tensor.size(), [&](T* values) {
    std::uint32_t word = 42;
    for (Index i = 0; i < tensor.size(); ++i) {
      word = word * 1664525u + 1013904223u;
      values[i] = static_cast<T>(static_cast<float>(word >> 8) * 0x1p-23f - 1.0f);
    }
  });
  return tensor;
}
template <class T, Index columns>
Tensor<Rows<T, columns>, Cuda> random_rows(Cuda& cuda, Index rows = tokens) {
  return random<Rows<T, columns>>(cuda, rows);
}

/// Bytes of all the tensors.
double bytes_of(const auto&... tensors) {
  return (0.0 + ... + (static_cast<double>(tensors.size()) * sizeof(*tensors.data())));
}

/// A point in a stream's work, with its time.
class TimedEvent {
 public:
  TimedEvent() { device::check(cudaEventCreate(&event_), "cudaEventCreate"); }
  TimedEvent(const TimedEvent&) = delete;
  TimedEvent& operator=(const TimedEvent&) = delete;
  ~TimedEvent() { static_cast<void>(cudaEventDestroy(event_)); }

  void record(cudaStream_t stream) const { device::check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  /// Waits for it.
  double seconds_since(const TimedEvent& earlier) const {
    float milliseconds = 0;
    device::check(cudaEventSynchronize(event_), "kernels");
    device::check(cudaEventElapsedTime(&milliseconds, earlier.event_, event_), "cudaEventElapsedTime");
    return milliseconds * 1e-3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Memory that, once written, has driven all else from the GPU's cache. While it is written the host queues what is timed, so that no launch is waited for.
class CacheFlush {
 public:
  explicit CacheFlush(Cuda& cuda) : cuda_(&cuda), memory_(cuda.allocate(std::max<std::size_t>(2 * cache_bytes(cuda), std::size_t{64} << 20))) {}
  void operator()() const { cuda_->clear(memory_.data(), memory_.bytes()); }

 private:
  static std::size_t cache_bytes(const Cuda& cuda) {
    int bytes = 0;
    device::check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, cuda.ordinal()), "size of the cache");
    return static_cast<std::size_t>(bytes);
  }

  Cuda* cuda_;
  Cuda::Memory memory_;
};

/// Times `body`, which queues ops; each call finds its inputs in memory, not in the cache.
template <class Body>
void time(benchmark::State& state, Cuda& cuda, Work work, Body&& body) {
  const CacheFlush flush(cuda);
  const TimedEvent begin, end;
  for (int call = 0; call < 3; ++call) body();  // kernels are loaded and plans made
  for (auto _ : state) {
    flush();
    begin.record(cuda.stream());
    body();
    end.record(cuda.stream());
    state.SetIterationTime(end.seconds_since(begin));
  }
  cuda.synchronize();
  report_rates(state, work);
}

}  // namespace bench
