#include <chrono>
#include <cstring>
#include <vector>

#include <terse/device/mirror.cuh>
#include <terse/device/staging.cuh>
#include <terse/ops/cast/cpu.hpp>
#include <terse/ops/cast/cuda.cuh>

#include "op_test.hpp"
#include "support/messages.hpp"
#include "support/owned_batch.hpp"

using namespace terse;

namespace {

template <class T>
std::vector<T> fetch(Cuda& cuda, std::span<const T> values) {
  std::vector<T> result(values.size());
  cuda.copy_to_host(result.data(), values.data(), values.size_bytes());
  return result;
}
template <class T>
std::vector<T> with_zeros(std::span<const T> values, std::size_t size) {
  std::vector<T> result(values.begin(), values.end());
  result.resize(size);
  return result;
}

}  // namespace

TEST_CASE("a staged batch is the batch, and a document of zeros up to a multiple of 64 tokens and 8 targets") {
  on_both_devices([](OpRun& run) {
    Staging<Cuda> staging(run.cuda, {.tokens = 192, .sequences = 4});
    for (const auto& lengths : std::vector<std::vector<int>>{{1}, {64}, {128, 64}, {30, 1, 34}, {63, 2}, {60, 70}, {5}}) {
      const auto owned = OwnedBatch::of_lengths(lengths, 100);
      const PackedBatch batch = owned, staged = staging.upload(batch);
      const auto real_targets = batch.targets.size(), targets = round_up(real_targets, std::size_t{8});
      const auto tokens = round_up(static_cast<std::size_t>(batch.tokens()) + targets - real_targets, std::size_t{64});
      const auto documents = lengths.size() + (tokens > static_cast<std::size_t>(batch.tokens()) ? 1 : 0);
      CHECK(fetch(run.cuda, staged.ids) == with_zeros(batch.ids, tokens));
      CHECK(fetch(run.cuda, staged.positions) == with_zeros(batch.positions, tokens));
      CHECK(fetch(run.cuda, staged.draws) == with_zeros(batch.draws, documents));
      auto rows = with_zeros(batch.target_rows, real_targets);
      for (auto row = static_cast<std::int32_t>(batch.tokens()); rows.size() < targets; ++row) rows.push_back(row);
      CHECK(fetch(run.cuda, staged.target_rows) == rows);
      CHECK(fetch(run.cuda, staged.targets) == with_zeros(batch.targets, targets));
      CHECK(fetch(run.cuda, staged.weights) == with_zeros(batch.weights, targets));
      auto ends = with_zeros(batch.cu_seqlens, batch.cu_seqlens.size());
      if (documents > lengths.size()) ends.push_back(static_cast<std::int32_t>(tokens));
      CHECK(fetch(run.cuda, staged.cu_seqlens) == ends);
      CHECK(static_cast<std::size_t>(staged.sequences()) == documents);
      for (std::size_t b = 0; b < documents; ++b) CHECK(staged.samples[b] == (b < lengths.size() ? batch.samples[b] : -1));
    }
  });
}

// The CPU runs ahead: each batch's op is queued, and the next batch staged, before anything has run.
TEST_CASE("a batch on its way doesn't disturb the one before") {
  on_both_devices([](OpRun& run) {
    constexpr Index tokens = 64;
    Staging<Cuda> staging(run.cuda, {.tokens = tokens, .sequences = 1});
    std::vector<OwnedBatch> batches;
    for (std::uint32_t i = 0; i < 6; ++i) batches.push_back(OwnedBatch({{static_cast<int>(tokens), i}}, 100));
    std::vector<Data<float>> outputs;
    for (std::size_t i = 0; i < batches.size(); ++i) outputs.push_back(run.output<float>(round_up(static_cast<Index>(batches[i].view().weights.size()), Index{8})));
    for (std::size_t i = 0; i < batches.size(); ++i) {
      const PackedBatch staged = staging.upload(batches[i]);
      ops::cast(run.cuda, staged.weights.data(), outputs[i].gpu(), static_cast<Index>(staged.weights.size()));
    }
    for (std::size_t i = 0; i < batches.size(); ++i) CHECK(outputs[i].from_gpu() == with_zeros(batches[i].view().weights, outputs[i].size()));
  });
}

TEST_CASE("a batch above the capacity is refused") {
  Cuda cuda(0);
  Staging<Cuda> staging(cuda, {.tokens = 10, .sequences = 1});
  CHECK(Staging<Cuda>::extent({.tokens = 121, .sequences = 4}).tokens == 128);
  CHECK(Staging<Cuda>::extent({.tokens = 122, .sequences = 4}).tokens == 192);  // seven targets are added at most, each in a row of its own
  const auto too_long = OwnedBatch::of_lengths({11}, 100), too_many = OwnedBatch::of_lengths({2, 2}, 100);
  CHECK_THROWS_AS(staging.upload(too_long), Error);
  CHECK_THROWS_AS(staging.upload(too_many), Error);
}

TEST_CASE("synchronize waits for copies beside the ops, and copy_to_host for its own into page-locked memory") {
  on_both_devices([](OpRun& run) {
    const auto x = run.input<float>(1000), y = run.output<float>(1000);
    const device::PinnedMemory from(4000), to(4000);
    run.cuda.copy_to_host(from.data(), x.gpu(), 4000);
    CHECK(std::memcmp(from.data(), x.cpu(), 4000) == 0);
    REQUIRE(cudaMemcpyAsync(y.gpu(), from.data(), 4000, cudaMemcpyHostToDevice, run.cuda.copy_stream()) == cudaSuccess);
    REQUIRE(cudaMemcpyAsync(to.data(), y.gpu(), 4000, cudaMemcpyDeviceToHost, run.cuda.copy_stream()) == cudaSuccess);
    run.cuda.synchronize();
    CHECK(std::memcmp(to.data(), x.cpu(), 4000) == 0);
  });
}

TEST_CASE("with a watch synchronize waits as without; what the watch throws ends the wait") {
  on_both_devices([](OpRun& run) {
    constexpr int copies = 20;  // more than there are questions
    const auto x = run.input<float>(1000);
    std::vector<decltype(run.output<float>(1000))> ys;
    for (int i = 0; i < copies; ++i) ys.push_back(run.output<float>(1000));
    const device::PinnedMemory to(4000);
    run.cuda.watch([](std::chrono::milliseconds) {});
    for (int i = 0; i < copies; ++i)
      REQUIRE(cudaMemcpyAsync(ys[static_cast<std::size_t>(i)].gpu(), i == 0 ? x.gpu() : ys[static_cast<std::size_t>(i - 1)].gpu(), 4000, cudaMemcpyDeviceToDevice, run.cuda.stream()) == cudaSuccess);
    run.cuda.copy_to_host(to.data(), ys.back().gpu(), 4000);
    CHECK(std::memcmp(to.data(), x.cpu(), 4000) == 0);
    run.cuda.watch({});
  });
  CHECK(contains(message_of([] { device::poll([] { return false; }, [](std::chrono::milliseconds waited) { fail(Failure::rank, "after ", waited.count() >= 100); }); }), "after 1"));
}

TEST_CASE("a mirror: what the host wrote reaches the ops, and what they wrote the host") {
  on_both_devices([](OpRun& run) {
    Mirror<Cuda> given(run.cuda, 4000), received(run.cuda, 4000);
    const auto x = run.input<float>(1000);
    std::memcpy(given.on_host(), x.cpu(), 4000);
    given.upload();
    ops::cast(run.cuda, reinterpret_cast<const float*>(given.on_device()), reinterpret_cast<float*>(received.on_device()), 1000);
    received.download();
    CHECK(std::memcmp(received.on_host(), x.cpu(), 4000) == 0);
  });
}
