#pragma once
#include <algorithm>
#include <cstddef>

#include <terse/core/dtype.hpp>
#include <terse/core/slice.hpp>
#include <terse/dist/collective.hpp>
#include <terse/ops/cast/cpu.hpp>

namespace terse::dist {

/// How much of a gradient is summed over ranks at a time: 25 MiB as PyTorch's bucket_cap_mb, less for small models, so that there are several.
constexpr std::size_t default_bucket_bytes(std::size_t gradient_bytes) { return std::clamp(gradient_bytes / 16, std::size_t{256} << 10, std::size_t{25} << 20); }

/// The buckets of a gradient of `total` values of T, whose slices are equally long but in the last; `bytes` 0: the default.
template <class T>
constexpr Buckets buckets_of(Index total, std::size_t bytes, int ranks) {
  const auto each = static_cast<Index>((bytes > 0 ? bytes : default_bucket_bytes(static_cast<std::size_t>(total) * sizeof(T))) / sizeof(T));
  return {total, round_up(std::max<Index>(each, 1), static_cast<Index>(slice_multiple) * ranks)};
}

/// Sums a flat gradient over ranks while backward still runs: from its end towards its beginning, a bucket at a time, as far as it is final.
///
/// `scatters`: each rank gets the sums of its slices alone (core/slice.hpp). Where the communicator adds in one order, as all of the CPU's do, buckets change no bit.
template <class Device, class T>
class BucketedSum {
 public:
  BucketedSum(Device& device, Collective<Device>& collective, const Buckets& buckets, bool scatters)
      : device_(&device), collective_(&collective), buckets_(buckets), scatters_(scatters) {}

  /// From here on ranks send each other bfloat16, which takes as many values at `narrow` as there are in all.
  void send_as(bfloat16* narrow) { narrow_ = narrow; }
  BucketedSum(const BucketedSum&) = delete;
  BucketedSum& operator=(const BucketedSum&) = delete;

  /// Of a new gradient nothing is final yet.
  void start(T* values) { values_ = values, left_ = buckets_.count(); }
  /// Some of it is being summed.
  bool has_begun() const { return left_ < buckets_.count(); }
  /// Values from `first` on are final: true if a bucket can begin that hasn't yet.
  bool can_begin(Index first) const { return left_ > 0 && buckets_.first(left_ - 1) >= first; }
  /// Begins to sum the buckets from `first` on.
  void begin(Index first, Trace<Device>* trace) {
    for (; can_begin(first); --left_) {
      const Index at = buckets_.first(left_ - 1), count = buckets_.size(left_ - 1);
      if (narrow_ == nullptr) {
        sum(values_ + at, count, trace);
      } else {
        ops::cast(*device_, values_ + at, narrow_ + at, count);
        sum(narrow_ + at, count, trace);
      }
    }
  }
  /// All is final. Ops from here on use the sums.
  void finish(Trace<Device>* trace) {
    begin(0, trace), collective_->wait();
    if (narrow_ != nullptr) ops::cast(*device_, narrow_, values_, buckets_.total);
  }

 private:
  template <class Value>
  void sum(Value* bucket, Index count, Trace<Device>* trace) {
    if (scatters_) collective_->begin_reduce_scatter(bucket, count, trace);
    else collective_->begin_all_reduce(bucket, count, trace);
  }

  Device* device_;
  Collective<Device>* collective_;
  Buckets buckets_;
  bool scatters_;
  T* values_ = nullptr;
  bfloat16* narrow_ = nullptr;
  Index left_ = 0;  // buckets that aren't being summed: the first ones
};

}  // namespace terse::dist
