#pragma once
// Attention of packed documents, on both devices.
#include <terse/ops/attention/cpu.hpp>
#include <terse/ops/attention/cuda.cuh>

#include "gpu_batch.hpp"

inline const terse::ops::Dropout tenth = terse::ops::DropoutPlan{0.1f, 1234}.at(terse::ops::DropoutSite::attention_probabilities, 3);

/// Forward and backward on both devices.
template <terse::Real T, terse::Index heads, terse::Index D, terse::Index key_value_heads = heads>
void check_attention(const std::vector<int>& lengths, const terse::ops::Dropout& dropout) {
  using namespace terse;
  using Op = ops::Attention<heads, key_value_heads>;
  constexpr Index C = heads * D, columns = Op::qkv_columns(D);
  INFO("head size " << D << ", " << lengths.size() << " documents, the first of " << lengths[0] << (dropout.active() ? ", dropout" : ""));
  on_both_devices([&](OpRun& run) {
    const auto owned = OwnedBatch::of_lengths(lengths, 100);
    const GpuBatch batch(run, owned);
    const Index rows = owned.tokens();
    const auto qkv = run.input<T>(rows * columns), dout = run.input<T>(rows * C);
    const auto out = run.output<T>(rows * C), dqkv = run.output<T>(rows * columns);
    const auto log_sums = run.output<float>(rows * heads);
    run([&](auto& device, auto at) {
      const typename Op::template Saved<float> saved{{at(log_sums), rows}};
      ops::forward(device, Op{}, batch(at), dropout, Rows<T, columns>{at(qkv), rows}, Rows<T, C>{at(out), rows}, saved);
      ops::backward(device, Op{}, batch(at), dropout, Rows<T, columns>{at(qkv), rows}, Rows<T, C>{at(out), rows}, saved, Rows<T, C>{at(dout), rows},
                    Rows<T, columns>{at(dqkv), rows});
    });
    run.agrees("log_sums", log_sums, heads);
    run.agrees("out", out, C, attention_tolerance(dtype_of<T>()));
    run.agrees("dqkv", dqkv, columns, attention_tolerance(dtype_of<T>()));
  });
}
