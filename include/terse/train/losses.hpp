#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include <terse/core/arena.hpp>
#include <terse/device/staging.hpp>
#include <terse/nn/model.hpp>
#include <terse/tensor/tensor.hpp>
#include <terse/text/packing.hpp>
#include <terse/train/plan.hpp>

namespace terse::train {

/// A sample's mean loss over its targets, in nats.
struct SampleLoss {
  double loss = 0;
  std::int64_t targets = 0;
};

/// The loss of each sample, without dropout, `batch` of them packed at a time.
template <nn::TrainableModel Model>
std::vector<SampleLoss> sample_losses(Model& model, std::span<const text::Sample> samples, std::size_t batch) {
  std::vector<std::uint32_t> numbers(samples.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::uint32_t>(i);
  const auto capacity = text::capacity_of(samples, numbers, batch);
  using BatchStaging = Staging<typename Model::Device>;
  const Extent capacity_extent{capacity.tokens, capacity.sequences}, extent = BatchStaging::extent(capacity_extent);
  reserve(model, capacity.tokens);
  BatchStaging staging(model.device(), capacity_extent);
  std::vector<typename Model::Stream> row_losses(static_cast<std::size_t>(capacity.target_rows));
  TensorGroup<typename Model::Saved, typename Model::Device> saved(model.device(), extent);
  TensorGroup<typename Model::Scratch, typename Model::Device> scratch(model.device(), extent);

  text::BatchStorage storage(capacity);
  std::vector<SampleLoss> losses;
  losses.reserve(samples.size());
  for (std::size_t first = 0; first < samples.size(); first += batch) {
    const auto here = std::span(numbers).subspan(first, std::min(batch, samples.size() - first));
    const PackedBatch packed = text::pack(samples, here, storage);
    const PackedBatch& there = staging.upload(packed);
    const Extent rows{there.tokens(), static_cast<Index>(there.cu_seqlens.size()) - 1};
    saved.shrink(rows), scratch.shrink(rows);
    model.forward(there, {}, *saved, *scratch);
    model.loss(there, *saved, *scratch);
    model.device().copy_to_host(row_losses.data(), scratch->losses.data, packed.targets.size() * sizeof(typename Model::Stream));
    std::size_t row = 0;
    for (const std::uint32_t number : here) {
      SampleLoss sample{0, static_cast<std::int64_t>(samples[number].targets())};
      for (std::int64_t n = 0; n < sample.targets; ++n) sample.loss += static_cast<double>(row_losses[row++]);
      sample.loss /= static_cast<double>(std::max<std::int64_t>(sample.targets, 1));
      losses.push_back(sample);
    }
  }
  return losses;
}

}  // namespace terse::train
