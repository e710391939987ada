// What a step does besides the formula of ops/adamw: the table's parameters, master copies, clip, schedule, loss scale.
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <terse/nn/initialize.hpp>
#include <terse/nn/linear.hpp>
#include <terse/nn/module.hpp>
#include <terse/optim/adamw.hpp>
#include <terse/optim/clip.hpp>
#include <terse/optim/loss_scaler.hpp>
#include <terse/optim/schedule.hpp>

#include "support/catch.hpp"

using namespace terse;

namespace {

template <class P>
using Model = nn::Module<nn::Linear<typename P::Parameter, 5, 3>, nn::Linear<typename P::Stream, 5, 3>, P>;

/// The gradient of step `step` (from 1) at place i of the flat buffer.
double gradient_at(long step, Index i) { return std::sin(static_cast<double>(7 * i + 3 * step)); }

/// Three steps by the formula of Loshchilov and Hutter, in double: weights and moments are scalars.
double after_three_steps(double weight, Index place, double decay, double scale, const ops::AdamW& op) {
  double m = 0, v = 0;
  for (int step = 1; step <= 3; ++step) {
    const double g = scale * gradient_at(step, place);
    m = op.beta1 * m + (1 - op.beta1) * g, v = op.beta2 * v + (1 - op.beta2) * g * g;
    const double mean = m / (1 - std::pow(op.beta1, step)), root = std::sqrt(v / (1 - std::pow(op.beta2, step)));
    weight = weight * (1 - op.lr * decay) - op.lr * mean / (root + op.epsilon);
  }
  return weight;
}

template <class P>
void check_three_steps(double tolerance) {
  using Stream = typename P::Stream;
  const ops::AdamW options{.lr = 0.02, .beta1 = 0.8, .beta2 = 0.97, .weight_decay = 0.3};
  constexpr double scale = 0.25;
  Cpu cpu(2);
  Model<P> model(cpu);
  nn::initialize(model, 9);
  optim::AdamW adamw(model);
  const std::vector<Stream> before(adamw.master(), adamw.master() + model.flat_size);
  for (long step = 1; step <= 3; ++step) {
    std::vector<Stream> gradient(static_cast<std::size_t>(model.flat_size));
    for (Index i = 0; i < model.flat_size; ++i) gradient[static_cast<std::size_t>(i)] = static_cast<Stream>(gradient_at(step, i));
    adamw.step(gradient.data(), scale, options);
  }
  CHECK(adamw.state().steps == 3);
  for (const auto& parameter : model.table) {
    INFO(parameter.name.view());
    const double decay = parameter.name.view() == "weight" ? options.weight_decay : 0;  // none on the bias
    for (Index i = parameter.offset; i < parameter.offset + parameter.size(); ++i) {
      const double expected = after_three_steps(static_cast<double>(before[static_cast<std::size_t>(i)]), i, decay, scale, options);
      CHECK(static_cast<double>(adamw.master()[i]) == Approx(expected).epsilon(tolerance).margin(tolerance));
      CHECK(static_cast<double>(model.flat()[i]) == static_cast<double>(static_cast<typename P::Parameter>(adamw.master()[i])));
    }
  }
}

}  // namespace

TEST_CASE("AdamW over a model: the formula in double, weight decay on matrices alone") {
  check_three_steps<Fp64>(1e-14);
  check_three_steps<Fp32>(1e-6);
}

TEST_CASE("AdamW in 16 bits: the master copy takes the steps, the model's parameters are it, rounded") {
  check_three_steps<Fp16Mixed>(1e-6);
  check_three_steps<Bf16Mixed>(1e-6);
}

namespace {

template <Real T>
struct Tower {
  Vector<T, 3> below;
  std::array<nn::Linear<T, 5, 3>, 4> floors;
  Vector<T, 3> roof, lightning_rod;
  constexpr void parameters(auto&& visit) { visit("below", below), visit("floor", floors), visit("roof", roof), visit("rod", lightning_rod); }
};

template <Real T>
struct House {
  Tower<T> tower;
  constexpr void parameters(auto&& visit) { visit("tower", tower); }
};

}  // namespace

TEST_CASE("layer decay: levels count from the end of the table, and each parameter's rate and weight decay are its level's") {
  using House = nn::Module<House<float>>;
  STATIC_REQUIRE(optim::layer_levels<House>() == std::array{5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0});
  STATIC_REQUIRE(optim::layer_levels<Model<Fp32>>() == std::array{0, 0});

  Cpu cpu(1);
  const ops::AdamW rules{.lr = 0.1, .beta1 = 0, .beta2 = 0, .weight_decay = 0.5};  // so a step is lr * sign(gradient)
  House house(cpu);
  std::fill_n(house.flat(), house.flat_size, 1.0f);
  optim::AdamW adamw(house);
  const std::vector<float> gradient(static_cast<std::size_t>(house.flat_size), 3.0f);
  adamw.measure(gradient.data());
  adamw.update(gradient.data(), {.adamw = rules, .layer_decay = 0.5});
  for (const auto& parameter : House::table) {
    INFO(parameter.name.view());
    const int level = parameter.traits.block >= 0 ? 4 - parameter.traits.block : parameter.offset == 0 ? 5 : 0;
    const double lr = 0.1 * std::pow(0.5, level);
    CHECK(static_cast<double>(house.flat()[parameter.offset]) == Approx(1 - (parameter.dimensions == 2 ? lr * 0.5 : 0) - lr).epsilon(1e-6));
  }
}

TEST_CASE("AdamW: bytes of its state, and parameters given and taken") {
  constexpr auto values = static_cast<std::size_t>(Model<Fp32>::flat_size);
  STATIC_REQUIRE(optim::AdamW<Model<Fp32>>::bytes() == values * 8 + 512);
  STATIC_REQUIRE(optim::AdamW<Model<Bf16Mixed>>::bytes() == values * 12 + 512);
  Cpu cpu(1);
  Model<Bf16Mixed> model(cpu);
  optim::AdamW adamw(model);
  adamw.master()[2] = 1.001f;
  adamw.give_parameters();
  CHECK(float{model.flat()[2]} == 1.0f);  // the nearest bf16
  adamw.take_parameters();
  CHECK(adamw.master()[2] == 1.0f);
}

TEST_CASE("clip: never more than max_norm, torch's epsilon, off at 0") {
  CHECK(optim::clip_factor(0.5, 1) == 1);
  CHECK(optim::clip_factor(4, 1) == 1 / 4.000001);
  CHECK(optim::clip_factor(1, 1) == 1 / 1.000001);
  CHECK(optim::clip_factor(1e30, 0) == 1);
  CHECK(optim::clip_factor(0, 1) == 1);
}

TEST_CASE("schedule: warmup, half a cosine, the floor") {
  const optim::CosineSchedule rates{.lr = 1, .min_lr = 0.1, .warmup = 4, .decay = 12};
  const double pi = std::acos(-1.0);
  const std::array<double, 5> rising{0.2, 0.4, 0.6, 0.8, 1.0};
  for (std::size_t step = 0; step < rising.size(); ++step) CHECK(rates.at(static_cast<long>(step)) == Approx(rising[step]).epsilon(1e-15));
  for (long step = 4; step <= 12; ++step) CHECK(rates.at(step) == Approx(0.1 + 0.45 * (1 + std::cos(pi * static_cast<double>(step - 4) / 8))).epsilon(1e-15));
  CHECK(rates.at(8) == Approx(0.55).epsilon(1e-15));
  CHECK(rates.at(12) == Approx(0.1).epsilon(1e-15));
  CHECK(rates.at(13) == 0.1);
  CHECK(rates.at(1000000) == 0.1);
}

TEST_CASE("schedule: without warmup it begins at lr; a warmup longer than the run only rises") {
  CHECK(optim::CosineSchedule{.lr = 1, .min_lr = 0, .warmup = 0, .decay = 10}.at(0) == 1);
  const optim::CosineSchedule rising{.lr = 1, .min_lr = 0.1, .warmup = 100, .decay = 10};
  for (long step = 0; step < 10; ++step) CHECK(rising.at(step) == Approx(static_cast<double>(step + 1) / 101).epsilon(1e-15));
}

TEST_CASE("loss scale: halves at an overflow, doubles after 2000 clean steps in a row") {
  auto scaler = optim::LossScaler::start(true);
  CHECK(scaler.scale == 65536);
  for (int step = 0; step < 1999; ++step) scaler.update(false);
  CHECK(scaler.clean_steps == 1999);
  scaler.update(true);
  CHECK(scaler.scale == 32768);
  CHECK(scaler.clean_steps == 0);
  for (int step = 0; step < 1999; ++step) scaler.update(false);
  CHECK(scaler.scale == 32768);
  scaler.update(false);
  CHECK(scaler.scale == 65536);
  CHECK(scaler.clean_steps == 0);
}

TEST_CASE("loss scale: stays 1 where nothing is scaled") {
  auto scaler = optim::LossScaler::start(false);
  for (int step = 0; step < 5000; ++step) scaler.update(step % 3 == 0);
  CHECK(scaler.scale == 1);
}

TEST_CASE("an update unscales and clips; one whose gradient isn't finite is skipped, and halves the scale") {
  optim::UpdateState<float> state{.scaler = optim::LossScaler::start(true)};
  const optim::UpdateRules rules{.adamw = {.lr = 0.1}, .clip = 1};
  const double scale = 65536;
  optim::decide(state, rules, 16 * scale * scale);
  CHECK(state.norm == 4);
  CHECK(state.steps == 1);
  CHECK_FALSE(state.skipped());
  CHECK(state.factors.gradient_scale == static_cast<float>(1 / 4.000001 / scale));
  for (const double sum : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    const float before = state.scaler.scale;
    optim::decide(state, rules, sum);
    CHECK(state.skipped());
    CHECK(state.steps == 1);
    CHECK(state.scaler.scale == before / 2);
  }
  optim::decide(state, rules, 0);
  CHECK_FALSE(state.skipped());
  CHECK(state.steps == 2);
}
