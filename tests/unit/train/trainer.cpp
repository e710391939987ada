// Training as one job: precisions, skipped steps, what the observer hears.
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <terse/dist/threads.hpp>
#include <terse/models/gpt.hpp>
#include <terse/nn/initialize.hpp>
#include <terse/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 61, .context = 48, .layers = 2, .heads = 2, .width = 32}> {};

template <class P>
using Gpt = models::Gpt<Small, P, Cpu>;

/// Samples that count upwards from a random token: easily learnt. The rows of the data set are 100, 101, …
std::vector<text::Sample> counting_samples(const std::vector<std::size_t>& targets) {
  RandomStream random(5, RandomUse::synthesize);
  std::vector<text::Sample> samples;
  for (const std::size_t count : targets) {
    text::Sample sample{100 + static_cast<std::int64_t>(samples.size()), 4, {}};
    const auto first = static_cast<TokenId>(random.below(60));
    for (std::size_t i = 0; i < sample.prompt + count; ++i) sample.ids.push_back((first + static_cast<TokenId>(i)) % 60);
    samples.push_back(std::move(sample));
  }
  return samples;
}

struct Heard : train::TrainObserver {
  std::vector<train::StepRecord> steps;
  std::vector<std::string> overflows;
  std::vector<double> validations, bests;
  long stop_after = std::numeric_limits<long>::max();

  bool on_step(const train::StepRecord& record) override {
    steps.push_back(record);
    return record.step < stop_after;
  }
  void on_overflow(const std::string& message) override { overflows.push_back(message); }
  void on_validation(double loss, bool is_best) override { (is_best ? bests : validations).push_back(loss); }
};

struct Job {
  std::vector<text::Sample> samples;
  train::TrainOptions options;
  std::size_t validation = 0;                         ///< this many samples, the first, are validated with as well
  std::function<void(float* parameters)> change = {}; ///< of the initial parameters
};

train::TrainOptions options_of(text::StepSchedule schedule, double lr = 1e-3) {
  return {.schedule = schedule, .rates = {lr, lr / 10, 2, schedule.steps}, .dropout = 0};
}

template <class P>
const nn::ParameterInfo& parameter_of(std::string_view name) {
  for (const auto& parameter : Gpt<P>::table)
    if (parameter.name.view() == name) return parameter;
  throw std::logic_error("no parameter of that name");
}

/// Trains, and returns rank 0's parameters; its spans go to *spans.
template <class P>
std::vector<float> train_all(const Job& job, Heard& heard, std::vector<dist::Span>* spans = nullptr) {
  std::vector<std::uint32_t> numbers(job.samples.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  std::vector<float> parameters(static_cast<std::size_t>(Gpt<P>::flat_size));
  dist::launch(static_cast<int>(job.options.schedule.ranks), [&](dist::Communicator& communicator) {
    Cpu cpu(1);
    Gpt<P> model(cpu);
    train::Trainer<Gpt<P>> trainer(model, communicator, {job.samples, numbers, job.samples, std::span(numbers).first(job.validation)}, job.options);
    if (communicator.is_first())
      trainer.write(train::StateTensor::parameters, [&](float* values) {
        nn::initialize<Gpt<P>>(values, 3);
        if (job.change) job.change(values);
      });
    trainer.share_parameters();
    trainer.run(heard);
    trainer.on_first([&] { trainer.read(train::StateTensor::parameters, [&](const float* values) { std::copy_n(values, Gpt<P>::flat_size, parameters.begin()); }); });
    if (communicator.is_first() && spans != nullptr) *spans = trainer.spans();
  });
  return parameters;
}

template <class P>
std::vector<float> initial_parameters(const Job& job) {
  std::vector<float> parameters(static_cast<std::size_t>(Gpt<P>::flat_size));
  nn::initialize<Gpt<P>>(parameters.data(), 3);
  if (job.change) job.change(parameters.data());
  return parameters;
}

}  // namespace

TEST_CASE("16-bit precisions learn what fp32 learns") {
  const Job job{counting_samples({9, 5, 12, 7, 20, 3, 8, 16}), options_of({.batch = 2, .accumulate = 2, .ranks = 2, .steps = 30, .seed = 1, .shuffle = true}, 1e-2)};
  Heard fp32, fp16, bf16;
  train_all<Fp32>(job, fp32), train_all<Fp16Mixed>(job, fp16), train_all<Bf16Mixed>(job, bf16);
  REQUIRE(fp32.steps.size() == 30);
  CHECK(fp32.steps.front().loss == Approx(std::log(61.0)).margin(0.1));
  CHECK(fp32.steps.back().loss < fp32.steps.front().loss / 2);
  double worst_fp16 = 0, worst_bf16 = 0;
  for (std::size_t i = 0; i < 30; ++i) {
    CHECK_FALSE((fp32.steps[i].skipped || fp16.steps[i].skipped || bf16.steps[i].skipped));
    worst_fp16 = std::max(worst_fp16, std::abs(fp16.steps[i].loss - fp32.steps[i].loss));
    worst_bf16 = std::max(worst_bf16, std::abs(bf16.steps[i].loss - fp32.steps[i].loss));
  }
  WARN("30 steps, largest difference of a loss from fp32: fp16 " << worst_fp16 << ", bf16 " << worst_bf16);
  CHECK(worst_fp16 < 0.01);
  CHECK(worst_bf16 < 0.03);
  CHECK((fp32.steps[0].scale == 1 && bf16.steps[0].scale == 1 && fp16.steps[0].scale == 65536));
}

TEST_CASE("an overflow in fp16 skips the step, halves the scale, and names tensor, layer, micro-batch and sample") {
  // A larger gain makes larger gradients, and a lone target weighs as much as thirty: it overflows, they do not (with gains from 4 to 16).
  const auto gain = [](float value) {
    return [value](float* parameters) {
      const auto& norm = parameter_of<Fp16Mixed>("ln_f.weight");
      std::fill_n(parameters + norm.offset, norm.size(), value);
    };
  };
  for (const auto& [ranks, bucket_bytes] : {std::pair<std::int64_t, std::size_t>{1, 0}, {2, 0}, {2, 1}, {4, 1}}) {
    CAPTURE(ranks, bucket_bytes);
    Job job{counting_samples({30, 28, 1, 30}), options_of({.batch = 1, .accumulate = 4 / ranks, .ranks = ranks, .steps = 1, .shuffle = false}), 0, gain(8)};
    job.options.bucket_bytes = bucket_bytes;  // 1: each layer's sums are begun as soon as it is final, and the others' overflows may come in
    Heard heard;
    const auto parameters = train_all<Fp16Mixed>(job, heard);
    REQUIRE(heard.steps.size() == 1);
    CHECK(heard.steps[0].skipped);
    CHECK(heard.steps[0].scale == 65536);
    CHECK(std::isfinite(heard.steps[0].loss));
    CHECK(parameters == initial_parameters<Fp16Mixed>(job));
    REQUIRE(heard.overflows.size() == 1);
    const std::string& message = heard.overflows[0];
    CAPTURE(message);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(contains(message, "step 1: gradient of h.1."));
    CHECK(contains(message, "of layer 1"));
    CHECK(contains(message, ranks == 1 ? "micro-batch 2 of rank 0" : ranks == 2 ? "micro-batch 0 of rank 1" : "micro-batch 0 of rank 2"));
    CHECK(contains(message, "sample 102"));

    job.options.schedule.steps = 12;
    Heard longer;
    const auto trained = train_all<Fp16Mixed>(job, longer);
    REQUIRE(longer.steps.size() == 12);
    for (std::size_t i = 1; i < 12; ++i) {
      const auto &before = longer.steps[i - 1], &now = longer.steps[i];
      CHECK(now.scale == (before.skipped ? before.scale / 2 : before.scale));
      CHECK((before.skipped || !now.skipped));  // once the scale fits, it fits
    }
    CHECK_FALSE(longer.steps.back().skipped);
    CHECK(trained != parameters);
  }
}

TEST_CASE("gradients that are summed while backward runs have the same bits, and a trace shows it") {
  for (const std::int64_t ranks : {2, 3}) {
    CAPTURE(ranks);
    Job job{counting_samples(std::vector<std::size_t>(30, 20)), options_of({.batch = 2, .accumulate = 2, .ranks = ranks, .steps = 4})};
    job.options.bucket_bytes = 1 << 30;
    job.options.trace_steps = 2;
    Heard at_once_heard, behind_heard;
    std::vector<dist::Span> at_once, behind;
    const auto parameters = train_all<Fp32>(job, at_once_heard, &at_once);
    job.options.bucket_bytes = 1;
    CHECK(train_all<Fp32>(job, behind_heard, &behind) == parameters);

    const auto count = [](const std::vector<dist::Span>& spans, std::string_view name) { return std::ranges::count(spans, name, [](const dist::Span& span) { return std::string_view(span.name); }); };
    CHECK(count(at_once, "all-reduce") == 2);
    CHECK(count(behind, "all-reduce") == 2 * divide_up(Gpt<Fp32>::flat_size, static_cast<Index>(slice_multiple) * ranks));
    for (const auto& spans : {at_once, behind}) CHECK((count(spans, "forward") == 4 && count(spans, "backward") == 4 && count(spans, "optimizer") == 2));
    std::size_t bytes = 0;
    for (const auto& span : behind) {
      bytes += span.bytes;
      CHECK(span.begin <= span.end);
    }
    CHECK(bytes == 2 * Gpt<Fp32>::flat_size * sizeof(float));
    CHECK(dist::share_of_sums_behind("backward", at_once) == 0);
  }
}

namespace {

template <class P>
void check_shards() {
  // A handful of buckets, which end inside parameters; hundreds; the whole as one, whose last slices are short or empty.
  for (const auto& [ranks, bucket_bytes] : {std::pair<std::int64_t, std::size_t>{2, 20'000}, {3, 20'000}, {4, 1}, {8, 4 << 20}}) {
    CAPTURE(ranks, bucket_bytes);
    Job job{counting_samples(std::vector<std::size_t>(30, 20)), options_of({.batch = 2, .accumulate = 2, .ranks = ranks, .steps = 6}), 4};
    job.options.bucket_bytes = bucket_bytes, job.options.clip = 0.5;
    Heard whole_heard, shards_heard, at_once_heard;
    const auto parameters = train_all<P>(job, whole_heard);
    job.options.shard_optimizer = true;
    CHECK(train_all<P>(job, shards_heard) == parameters);
    job.options.reproducible = ranks != 3;  // no sum begins before backward ends
    const auto at_once = train_all<P>(job, at_once_heard);
    if (ranks == 3) CHECK(at_once == parameters);
    for (std::size_t i = 0; i < whole_heard.steps.size(); ++i) {
      CHECK(shards_heard.steps[i].loss == whole_heard.steps[i].loss);
      CHECK(shards_heard.steps[i].grad_norm == Approx(whole_heard.steps[i].grad_norm).epsilon(1e-12));
      CHECK(at_once_heard.steps[i].loss == Approx(whole_heard.steps[i].loss).epsilon(1e-4));
    }
  }
}

}  // namespace

TEST_CASE("a rank that fails while its gradients are summed ends the others, and frees nothing that is in use") {
  const auto samples = counting_samples({20, 20, 20, 20});
  const std::vector<std::uint32_t> numbers{0, 1, 2, 3};
  const auto message = message_of([&] {
    dist::launch(2, [&](dist::Communicator& communicator) {
      Cpu cpu(1);
      Gpt<Fp32> model(cpu);
      train::reserve(model, 200);
      dist::DistributedDataParallel<Gpt<Fp32>> ddp(model, communicator, {200, 4}, {.bucket_bytes = 1});
      text::BatchStorage storage(text::BatchCapacity{.tokens = 200, .target_rows = 100, .sequences = 4});
      double loss = 0;
      ddp.clear();
      ddp.backward(text::pack(samples, numbers, storage), {}, {.is_last = true, .loss = &loss});
      if (communicator.rank() == 1) fail(Failure::bad_input, "rank 1 has had enough");
      ddp.reduce();
      ddp.reduce();
    });
  });
  CHECK((contains(message, "rank 1 has had enough") || contains(message, "reduce() twice")));
}

TEST_CASE("a step's sums are begun once") {
  const auto samples = counting_samples({20, 20, 20, 20});
  const std::vector<std::uint32_t> numbers{0, 1, 2, 3};
  const auto message = [&](bool again) {
    return message_of([&] {
      dist::launch(2, [&](dist::Communicator& communicator) {
        Cpu cpu(1);
        Gpt<Fp32> model(cpu);
        train::reserve(model, 200);
        dist::DistributedDataParallel<Gpt<Fp32>> ddp(model, communicator, {200, 4}, {.bucket_bytes = 1});
        text::BatchStorage storage(text::BatchCapacity{.tokens = 200, .target_rows = 100, .sequences = 4});
        double loss = 0;
        ddp.clear();
        ddp.backward(text::pack(samples, numbers, storage), {}, {.is_last = true, .loss = &loss});
        if (again) ddp.backward(text::pack(samples, numbers, storage), {}, {.is_last = true, .loss = &loss});
        ddp.reduce(), ddp.reduce();
      });
    });
  };
  CHECK(contains(message(false), "reduce() twice in a step"));
  CHECK(contains(message(true), "backward after a step's last micro-batch"));
}

TEST_CASE("an optimizer in shards learns what a whole one learns, bit for bit") {
  check_shards<Fp32>();
  check_shards<Fp16Mixed>();
}

TEST_CASE("a shard keeps its part of each bucket, and the parts are all") {
  for (const int ranks : {1, 2, 3, 8}) {
    const Buckets buckets = dist::buckets_of<float>(100'000, 4 * 7000, ranks);
    CHECK(buckets.each % (static_cast<Index>(slice_multiple) * ranks) == 0);
    std::vector<int> kept(100'000, 0);
    Index sum = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const Shard shard{buckets, rank, ranks};
      Index next = 0;
      shard.for_each([&](Index at, Index mine, Index count, Index bucket) {
        CHECK(mine == next);
        CHECK((at >= buckets.first(bucket) && at + count <= buckets.first(bucket) + buckets.size(bucket)));
        for (Index i = at; i < at + count; ++i) ++kept[static_cast<std::size_t>(i)];
        next += count;
      });
      CHECK(next == shard.size());
      sum += next;
    }
    CHECK(sum == 100'000);
    CHECK(std::ranges::count(kept, 1) == 100'000);
  }
  CHECK(Shard::whole(77).size() == 77);
  CHECK(optim::AdamW<Gpt<Fp16Mixed>>::bytes(Shard{dist::buckets_of<float>(Gpt<Fp16Mixed>::flat_size, 0, 2), 0, 2}) < optim::AdamW<Gpt<Fp16Mixed>>::bytes() * 6 / 10);
}

TEST_CASE("a run whose gradients never are finite ends and says so") {
  const Job job{counting_samples({5, 6}), options_of({.batch = 1, .accumulate = 1, .ranks = 2, .steps = 100}), 0,
                [](float* parameters) { parameters[parameter_of<Fp32>("h.1.mlp.c_fc.bias").offset] = std::numeric_limits<float>::quiet_NaN(); }};
  Heard heard;
  const std::string message = message_of([&] { train_all<Fp32>(job, heard); });
  CHECK(contains(message, "30 steps in a row"));
  CHECK(contains(message, "--lr"));
  CHECK(heard.steps.size() == 29);
  CHECK(heard.overflows.size() == 30);
}

TEST_CASE("validation, the best so far, and an end on request") {
  Job job{counting_samples({9, 5, 12, 7}), options_of({.batch = 2, .accumulate = 1, .ranks = 2, .steps = 20, .seed = 1}, 1e-2), 3};
  job.options.evaluate_every = 8;
  Heard heard;
  train_all<Fp32>(job, heard);
  REQUIRE(heard.steps.size() == 20);
  for (const auto& step : heard.steps) CHECK(step.validation_loss.has_value() == (step.step % 8 == 0 || step.step == 20));
  CHECK(heard.bests.size() + heard.validations.size() == 3);
  CHECK(heard.bests.front() == *heard.steps[7].validation_loss);
  CHECK(heard.bests.back() < heard.bests.front());

  Heard short_run;
  short_run.stop_after = 5;
  train_all<Fp32>(job, short_run);
  REQUIRE(short_run.steps.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(short_run.steps[i].loss == heard.steps[i].loss);
}
