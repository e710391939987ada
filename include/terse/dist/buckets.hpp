#pragma once
#include <algorithm>
#include <cstddef>

#include <terse/core/slice.hpp>
#include <terse/dist/collective.hpp>

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
  BucketedSum(Collective<Device>& collective, const Buckets& buckets, bool scatters) : collective_(&collective), buckets_(buckets), scatters_(scatters) {}

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
      T* const bucket = values_ + buckets_.first(left_ - 1);
      if (scatters_) collective_->begin_reduce_scatter(bucket, buckets_.size(left_ - 1), trace);
      else collective_->begin_all_reduce(bucket, buckets_.size(left_ - 1), trace);
    }
  }
  /// All is final. Ops from here on use the sums.
  void finish(Trace<Device>* trace) { begin(0, trace), collective_->wait(); }

 private:
  Collective<Device>* collective_;
  Buckets buckets_;
  bool scatters_;
  T* values_ = nullptr;
  Index left_ = 0;  // buckets that aren't being summed: the first ones
};

}  // namespace terse::dist
