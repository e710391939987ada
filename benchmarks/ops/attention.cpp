// Attention inside each document of the micro-batch, with and without dropout. FLOPs: of the visible half of each square.
#include <terse/ops/attention/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

/// Pairs of query and visible key, over all documents.
constexpr double pairs = [] {
  double sum = 0;
  for (const double length : lengths) sum += length * (length + 1) / 2;
  return sum;
}();

template <class T>
struct Job {
  Cpu cpu;
  MicroBatch batch;
  Tensor<Rows<T, 3 * C>, Cpu> qkv = random_rows<T, 3 * C>(cpu), dqkv{cpu, tokens};
  Tensor<Rows<T, C>, Cpu> out{cpu, tokens}, dout = random_rows<T, C>(cpu);
  Tensor<Rows<float, heads>, Cpu> log_sums{cpu, tokens};
  ops::Dropout dropout;

  explicit Job(bool drops) {
    cpu.reserve_thread_scratch(ops::attention_scratch<float, C / heads>(context));
    if (drops) dropout = tenth(ops::DropoutSite::attention_probabilities);
  }
  void forward() { ops::forward(cpu, ops::Attention<heads>{}, batch.view(), dropout, qkv.view(), out.view(), {log_sums.view()}); }
  void backward() { ops::backward(cpu, ops::Attention<heads>{}, batch.view(), dropout, qkv.view(), out.view(), {log_sums.view()}, dout.view(), dqkv.view()); }
};

template <class T, bool drops>
void forward(benchmark::State& state) {
  Job<T> job(drops);
  time(state, job.cpu, {4 * pairs * C, bytes_of(job.qkv, job.out)}, [&] { job.forward(); });
}

template <class T, bool drops>
void backward(benchmark::State& state) {
  Job<T> job(drops);
  job.forward();
  time(state, job.cpu, {10 * pairs * C, bytes_of(job.qkv, job.out, job.dout, job.dqkv)}, [&] { job.backward(); });
}

}  // namespace

BENCHMARK((forward<float, false>))->Name("attention/forward/fp32")->Apply(op);
BENCHMARK((forward<float, true>))->Name("attention/forward_dropout/fp32")->Apply(op);
BENCHMARK((backward<float, false>))->Name("attention/backward/fp32")->Apply(op);
BENCHMARK((backward<float, true>))->Name("attention/backward_dropout/fp32")->Apply(op);
BENCHMARK((forward<bfloat16, false>))->Name("attention/forward/bf16")->Apply(op);
