#include <terse/ops/embedding/cpu.hpp>
#include <terse/ops/embedding/cuda.cuh>
#include <terse/ops/gather/cpu.hpp>
#include <terse/ops/gather/cuda.cuh>

#include "gpu_batch.hpp"

using namespace terse;

namespace {

constexpr ops::DropoutPlan embedding_plan{0.1f, 99};
constexpr Index context = 61;  // a block has a warp too many

}  // namespace

TEST_CASE("embedding on CUDA: forward, and gradients that are the CPU's to the bit") {
  for_each_dtype([]<Real P>(P) {
    for_each_width([](auto width) {
      constexpr Index C = decltype(width)::value, V = 19;  // few tokens, so that many rows share one
      for (const auto& lengths : batch_lengths())
        for (const ops::Dropout& dropout : {ops::Dropout{}, embedding_plan.at(ops::DropoutSite::embedding)})
          on_both_devices([&](OpRun& run) {
            const auto owned = OwnedBatch::of_lengths(lengths, V);
            const GpuBatch batch(run, owned);
            const Index rows = owned.tokens();
            const auto tokens = run.input<P>(V * C), positions = run.input<P>(context * C);
            const auto y = run.output<float>(rows * C), dy = run.input<float>(rows * C), dtokens = run.input<float>(V * C), dpositions = run.input<float>(context * C);
            run([&](auto& device, auto at) {
              ops::embed(device, batch(at), Matrix<const P, V, C>{at(tokens)}, Matrix<const P, context, C>{at(positions)}, dropout, Rows<float, C>{at(y), rows});
              ops::embed_backward(device, batch(at), dropout, Rows<float, C>{at(dy), rows}, Matrix<float, V, C>{at(dtokens)}, Matrix<float, context, C>{at(dpositions)});
            });
            run.equals("y", y), run.equals("dy", dy), run.equals("dtokens", dtokens), run.equals("dpositions", dpositions);
          });
    });
  });
}

TEST_CASE("some rows of many on CUDA: gather, scatter, scatter_add") {
  for_each_dtype([]<Real T>(T) {
    for_each_width([](auto width) {
      constexpr Index C = decltype(width)::value, all = 70;
      for (const Index n : {1, 3, 65})
        on_both_devices([n](OpRun& run) {
          std::vector<std::int32_t> distinct, any;
          for (Index i = 0; i < n; ++i) distinct.push_back(static_cast<std::int32_t>(i * 3 % all)), any.push_back(static_cast<std::int32_t>(i * i % 11));
          const auto where = run.values(distinct), repeated = run.values(any);
          const auto x = run.input<T>(all * C), back = run.input<T>(all * C);
          const auto again = run.output<T>(n * C);
          const auto rows = run.output<float>(n * C), sums = run.input<float>(all * C);
          run([&](auto& device, auto at) {
            const std::span<const std::int32_t> places(at(where), where.size()), more(at(repeated), repeated.size());
            ops::gather(device, Rows<const T, C>{at(x), all}, places, Rows<float, C>{at(rows), n});
            ops::scatter(device, Rows<const float, C>{at(rows), n}, places, Rows<T, C>{at(back), all});
            ops::gather(device, Matrix<const T, all, C>{at(x)}, more, Rows<T, C>{at(again), n});
            ops::scatter_add(device, Rows<const T, C>{at(again), n}, more, Matrix<float, all, C>{at(sums)});
          });
          run.equals("gathered", rows), run.equals("scattered", back), run.equals("again", again), run.equals("sums", sums);
        });
    });
  });
}

TEST_CASE("what a sum over places left in the workspace isn't added by the next") {
  on_both_devices([](OpRun& run) {
    constexpr Index C = 24, V = 5;
    const auto x = run.input<float>(70 * C), sums = run.input<float>(V * C);
    const auto all_one = run.values(std::vector<std::int32_t>(70, V - 1));
    run([&](auto& device, auto at) {
      for (const Index rows : {70, 65})
        ops::scatter_add(device, Rows<const float, C>{at(x), rows}, std::span<const std::int32_t>(at(all_one), static_cast<std::size_t>(rows)), Matrix<float, V, C>{at(sums)});
    });
    run.equals("sums", sums);
  });
}

TEST_CASE("rows behind those that are gathered become zero") {
  on_both_devices([](OpRun& run) {
    constexpr Index C = 24;
    const auto where = run.values(std::vector<std::int32_t>{4, 0, 2});
    const auto x = run.input<float>(5 * C), y = run.output<float>(64 * C), cleared = run.input<float>(3 * C);
    ops::gather(run.cuda, Rows<const float, C>{x.gpu(), 5}, std::span<const std::int32_t>(where.gpu(), 3), Rows<float, C>{y.gpu(), 64});
    ops::clear(run.cuda, Rows<float, C>{cleared.gpu(), 3});
    const auto got = y.from_gpu();
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == (i < C ? x.cpu()[4 * C + i] : i < 2 * C ? x.cpu()[i - C] : i < 3 * C ? x.cpu()[i] : 0.0f));
    for (const float value : cleared.from_gpu()) CHECK(value == 0);
    CHECK(y.fences_intact());
  });
}
