// Attention inside each document, with and without dropout: the job's micro-batch, and full contexts. FLOPs: of the visible half of each square.
#include "families.hpp"
#include "op.cuh"

using namespace bench;

namespace {

struct Shape {
  Index documents, length;

  Index rows() const { return documents * length; }
  /// Pairs of query and visible key.
  double pairs() const { return 0.5 * static_cast<double>(rows() * (length + 1)); }
  std::vector<Index> lengths() const { return std::vector<Index>(static_cast<std::size_t>(documents), length); }
};

template <class T>
class Job {
 public:
  Job(const Shape& shape, bool drops)
      : batch(cuda, shape.lengths()), qkv(random_rows<T, 3 * C>(cuda, shape.rows())), dqkv(cuda, shape.rows()), out(cuda, shape.rows()),
        dout(random_rows<T, C>(cuda, shape.rows())), log_sums(cuda, shape.rows()) {
    cuda.reserve_workspace(ops::attention_workspace(shape.rows(), heads));
    if (drops) dropout = tenth(ops::DropoutSite::attention_probabilities);
  }
  void forward() { ops::forward(cuda, ops::Attention<heads>{}, batch.view(), dropout, qkv.view(), out.view(), saved()); }
  void backward() { ops::backward(cuda, ops::Attention<heads>{}, batch.view(), dropout, qkv.view(), out.view(), saved(), dout.view(), dqkv.view()); }

 private:
  typename ops::Attention<heads>::template Saved<float> saved() const { return {log_sums.view()}; }

 public:
  Cuda cuda;
  GpuBatch batch;
  Tensor<Rows<T, 3 * C>, Cuda> qkv, dqkv;
  Tensor<Rows<T, C>, Cuda> out, dout;
  Tensor<Rows<float, heads>, Cuda> log_sums;
  ops::Dropout dropout;
};

template <class T>
void add_passes(const Shape& shape, bool drops) {
  const auto name = [&](const char* pass) { return concat("attention/", pass, drops ? "_dropout/" : "/", shape.documents, "x", shape.length, "/", dtype_name<T>()); };
  add(name("forward"), [=](benchmark::State& state) {
    Job<T> job(shape, drops);
    time(state, job.cuda, {4 * shape.pairs() * C, bytes_of(job.qkv, job.out)}, [&] { job.forward(); });
  });
  add(name("backward"), [=](benchmark::State& state) {
    Job<T> job(shape, drops);
    job.forward();
    time(state, job.cuda, {10 * shape.pairs() * C, bytes_of(job.qkv, job.out, job.dout, job.dqkv)}, [&] { job.backward(); });
  });
}

}  // namespace

void bench::add_attention(int capability) {
  for_each_dtype(capability, [](auto t) {
    for (const Shape& shape : {Shape{16, 260}, Shape{4, 1024}})
      for (const bool drops : {false, true}) add_passes<decltype(t)>(shape, drops);
  });
}
