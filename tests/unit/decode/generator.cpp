#include "support/catch.hpp"

#include <algorithm>
#include <numeric>
#include <set>

#include <terse/core/packed_batch.hpp>
#include <terse/decode/generator.hpp>
#include <terse/ops/matmul/cpu.hpp>
#include <terse/tensor/tensor.hpp>

#include "small_model.hpp"

using namespace terse;
using decode::Generation, decode::Generator, decode::GeneratorSize, decode::Prompt, decode::Stop, decode::Strategy;

namespace {

const Strategy greedy{.greedy = true, .max_new = 24};
const Strategy sampled{.temperature = 1.5f, .top_k = 20, .top_p = 0.9f, .max_new = 24, .seed = 3};

bool same_text(const Generation& a, const Generation& b) { return a.ids == b.ids && a.logprob == b.logprob && a.token_logprobs == b.token_logprobs && a.stop == b.stop; }

std::size_t different(const std::vector<Generation>& texts, const std::vector<Generation>& expected) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) count += same_text(texts[i], expected[i]) ? 0 : 1;
  return count;
}

/// Each prompt alone: the texts that every other layout must give.
std::vector<Generation> one_by_one(const std::vector<Prompt>& prompts, const Strategy& strategy) {
  SmallModel model;
  Generator generator(model.gpt, end_of_text, {.slots = 1, .rows = 64});
  std::vector<Generation> texts;
  for (const Prompt& prompt : prompts) texts.push_back(std::move(generator.generate({&prompt, 1}, strategy)[0]));
  return texts;
}

/// Logits (T, V) of a whole document, without a cache.
std::vector<float> logits_after(SmallModel& model, const std::vector<TokenId>& ids) {
  const auto tokens = static_cast<Index>(ids.size());
  std::vector<std::int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  const std::int32_t bounds[] = {0, static_cast<std::int32_t>(tokens)};
  const std::int64_t samples[] = {0};
  const PackedBatch batch{.ids = ids, .positions = positions, .cu_seqlens = bounds, .target_rows = {}, .targets = {}, .weights = {}, .samples = samples, .draws = {}};
  const Extent extent{.tokens = tokens, .sequences = 1};
  SmallGpt::Saved saved;
  SmallGpt::Scratch scratch;
  const CpuMemory memory(bytes_needed<SmallGpt::Saved>(extent) + bytes_needed<SmallGpt::Scratch>(extent));
  Arena arena(memory.data(), memory.bytes());
  carve(arena, saved, extent), carve(arena, scratch, extent);
  model.cpu.reserve_thread_scratch(ops::attention_scratch<float, Small::width / Small::heads>(tokens));
  model.gpt.forward(batch, {}, saved, scratch);
  Tensor<Rows<float, Small::padded_vocabulary>, Cpu> logits(model.cpu, tokens);
  ops::matmul_transposed(model.cpu, saved.last, model.gpt.weights().tokens, logits.view());
  return {logits[tokens - 1].data, logits[tokens - 1].data + Small::vocabulary};
}

}  // namespace

TEST_CASE("a text doesn't depend on its batch, its place, the chunks its prompt is read in, or the threads") {
  const auto ids = random_prompts(32);
  const auto prompts = decode::numbered(ids);
  for (const Strategy& strategy : {greedy, sampled}) {
    const auto expected = one_by_one(prompts, strategy);
    std::set<std::vector<TokenId>> distinct;
    for (const auto& text : expected) distinct.insert(text.ids);
    REQUIRE(distinct.size() > 24);  // of 32: the model isn't stuck

    for (const int threads : {1, 2, 3}) {
      SmallModel model(threads);
      for (const GeneratorSize size : {GeneratorSize{.slots = 3, .rows = 3}, {.slots = 3, .rows = 16}, {.slots = 7, .rows = 9}, {.slots = 32, .rows = 50}, {.slots = 32}}) {
        CAPTURE(strategy.greedy, threads, size.slots, size.rows);
        Generator generator(model.gpt, end_of_text, size);
        const auto texts = generator.generate(prompts, strategy);
        CHECK(different(texts, expected) == 0);

        auto backwards = prompts;
        std::reverse(backwards.begin(), backwards.end());
        auto other = generator.generate(backwards, strategy);
        std::reverse(other.begin(), other.end());
        CHECK(different(other, expected) == 0);
      }
    }
  }
}

TEST_CASE("greedy texts and their log-probabilities are those of a model run over the whole text for each token") {
  SmallModel model;
  const auto ids = random_prompts(12);
  const auto prompts = decode::numbered(ids);
  Generator generator(model.gpt, end_of_text, {.slots = 5, .rows = 20});
  const auto texts = generator.generate(prompts, greedy);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    auto all = ids[i];
    double logprob = 0;
    REQUIRE(texts[i].token_logprobs.size() == texts[i].ids.size());
    for (std::size_t n = 0; n < texts[i].ids.size(); ++n) {
      const TokenId id = texts[i].ids[n];
      const auto logits = logits_after(model, all);
      const auto best = std::max_element(logits.begin(), logits.end());
      REQUIRE(id == static_cast<TokenId>(best - logits.begin()));
      double sum = 0;
      for (const float logit : logits) sum += std::exp(static_cast<double>(logit - *best));
      logprob -= std::log(sum);
      CHECK(texts[i].token_logprobs[n] == Approx(-std::log(sum)).epsilon(1e-4).margin(1e-5));
      all.push_back(id);
    }
    CHECK(texts[i].logprob == Approx(logprob).epsilon(1e-5).margin(1e-5));
    CHECK((texts[i].stop == Stop::end_of_text) == (texts[i].ids.back() == end_of_text));
  }
}

TEST_CASE("why texts end") {
  SmallModel model;
  const auto ids = random_prompts(40);
  Generator generator(model.gpt, end_of_text, {.slots = 6, .rows = 30});

  SECTION("end of text, length or context") {
    const auto texts = generator.generate(decode::numbered(ids), {.temperature = 1.5f, .top_k = 0, .max_new = 40});
    std::set<Stop> seen;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto& text = texts[i];
      seen.insert(text.stop);
      CHECK(std::count(text.ids.begin(), text.ids.end(), end_of_text) == (text.stop == Stop::end_of_text ? 1 : 0));
      CHECK(text.text_ids().size() == text.ids.size() - (text.stop == Stop::end_of_text ? 1 : 0));
      CHECK((text.stop == Stop::length) == (text.ids.size() == 40 && text.ids.back() != end_of_text));
      if (text.stop == Stop::context) CHECK(ids[i].size() + text.ids.size() == Small::context);
      CHECK(ids[i].size() + text.ids.size() <= Small::context);
    }
    CHECK(seen == std::set{Stop::end_of_text, Stop::length, Stop::context});
  }
  SECTION("one new token") {
    for (const auto& text : generator.generate(decode::numbered(ids), {.greedy = true, .max_new = 1})) CHECK(text.ids.size() == 1);
  }
  SECTION("a model that never ends a text") {
    Generator endless(model.gpt, decode::no_end_of_text, {.slots = 2});
    const auto texts = endless.generate(decode::numbered(ids), {.max_new = 5});
    CHECK(std::all_of(texts.begin(), texts.end(), [](const Generation& text) { return text.stop == Stop::length && text.ids.size() == 5; }));
  }
  SECTION("prompts that leave nothing to do, among others") {
    std::vector<std::vector<TokenId>> odd(9, ids[0]);
    odd[0].clear(), odd[4].clear(), odd[8].clear();
    odd[1].assign(Small::context, 1), odd[5].assign(Small::context, 1), odd[6].assign(Small::context - 1, 1);
    const auto texts = generator.generate(decode::numbered(odd), {.greedy = true, .max_new = 3});
    for (const std::size_t i : {0u, 4u, 8u}) CHECK((texts[i].ids.empty() && texts[i].text_ids().empty() && texts[i].stop == Stop::end_of_text));
    for (const std::size_t i : {1u, 5u}) CHECK((texts[i].ids.empty() && texts[i].logprob == 0 && texts[i].stop == Stop::context));
    CHECK((texts[6].ids.size() == 1 && texts[6].stop != Stop::length));
    for (const std::size_t i : {2u, 3u, 7u}) CHECK((same_text(texts[i], texts[2]) && !texts[i].ids.empty()));
  }
  SECTION("no prompts") { CHECK(generator.generate({}, greedy).empty()); }
}

TEST_CASE("texts are observed as they grow") {
  SmallModel model;
  const auto ids = random_prompts(10);
  const auto prompts = decode::numbered(ids);
  Generator generator(model.gpt, end_of_text, {.slots = 3, .rows = 8});
  const auto expected = generator.generate(prompts, sampled);

  SECTION("each token and each text once") {
    std::vector<std::vector<TokenId>> seen(prompts.size());
    std::vector<std::size_t> ended;
    generator.generate(prompts, sampled,
                       {.token = [&](std::size_t i, TokenId id) { seen[i].push_back(id); return true; },
                        .text = [&](std::size_t i, const Generation& text) { ended.push_back(i); return same_text(text, expected[i]); }});
    for (std::size_t i = 0; i < prompts.size(); ++i) CHECK(std::ranges::equal(seen[i], expected[i].text_ids()));
    std::sort(ended.begin(), ended.end());
    REQUIRE(ended.size() == prompts.size());
    for (std::size_t i = 0; i < ended.size(); ++i) CHECK(ended[i] == i);
  }
  SECTION("an observer stops it; what ended is kept, what began is a beginning") {
    std::size_t ended = 0;
    const auto texts = generator.generate(prompts, sampled, {.token = {}, .text = [&](std::size_t, const Generation&) { return ++ended < 4; }});
    std::size_t kept = 0;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      if (texts[i].stop == Stop::cancelled) {
        CHECK(std::equal(texts[i].ids.begin(), texts[i].ids.end(), expected[i].ids.begin()));
        CHECK(texts[i].score == Approx(texts[i].logprob / static_cast<double>(std::max<std::size_t>(1, texts[i].ids.size()))));
      } else {
        CHECK((same_text(texts[i], expected[i]) && ++kept > 0));
      }
    }
    CHECK(kept == 4);
    CHECK(same_text(generator.generate(prompts, sampled)[5], expected[5]));  // and it can go on afterwards
  }
  SECTION("at a token") {
    const auto texts = generator.generate(prompts, sampled, {.token = [](std::size_t, TokenId) { return false; }, .text = {}});
    CHECK(std::accumulate(texts.begin(), texts.end(), std::size_t{0}, [](std::size_t n, const Generation& text) { return n + text.text_ids().size(); }) == 1);
  }
}

TEST_CASE("random texts depend on the seed and the prompt's number") {
  SmallModel model;
  const auto ids = random_prompts(1);
  Generator generator(model.gpt, end_of_text, {.slots = 8});
  std::vector<Prompt> prompts;
  for (std::uint64_t i = 0; i < 8; ++i) prompts.push_back({ids[0], i % 2 == 0 ? i : i << 32});
  const auto texts = generator.generate(prompts, sampled);
  std::set<std::vector<TokenId>> distinct;
  for (const auto& text : texts) distinct.insert(text.ids);
  CHECK(distinct.size() == 8);
  auto other = sampled;
  other.seed = 4;
  CHECK(generator.generate(prompts, other)[0].ids != texts[0].ids);
}

TEST_CASE("what a generator refuses, it says") {
  SmallModel model;
  using Catch::Matchers::Equals;
  CHECK_THROWS_WITH(Generator(model.gpt, 50), Equals("the end-of-text token 50 isn't in the model's vocabulary of 50; use the tokenizer that belongs to the model"));
  CHECK_THROWS_WITH(Generator(model.gpt, end_of_text, {.slots = 0}), Equals("the decode batch must be at least 1: 0 given"));
  CHECK_THROWS_WITH(Generator(model.gpt, end_of_text, {.slots = 4, .rows = 3}), Equals("a decode batch of 4 needs at least as many rows: 3 given"));

  Generator generator(model.gpt, end_of_text, {.slots = 2});
  const std::vector<TokenId> fine{1, 2}, large{1, 50}, negative{-1}, too_long(Small::context + 1, 3);
  const auto run = [&](std::vector<Prompt> prompts, Strategy strategy = {}) { generator.generate(prompts, strategy); };
  CHECK_THROWS_WITH(run({{fine, 0}, {too_long, 17}}), Equals("prompt 17 has 65 tokens, the model's context only 64; shorten it"));
  CHECK_THROWS_WITH(run({{large, 3}}), Equals("prompt 3 has token 50, the model's vocabulary only 50; use the tokenizer that belongs to the model"));
  CHECK_THROWS_AS(run({{negative, 3}}), Error);
  CHECK_THROWS_WITH(run({}, {.temperature = 0}), Equals("temperature must be at least 1e-6: 0 given; for the likeliest token use greedy"));
  CHECK_THROWS_WITH(run({}, {.top_k = -1}), Equals("top-k must be at least 0 (off): -1 given"));
  CHECK_THROWS_WITH(run({}, {.top_p = 1.5f}), Equals("top-p must be in [0, 1]: 1.5 given"));
  CHECK_THROWS_WITH(run({}, {.min_p = -0.5f}), Equals("min-p must be in [0, 1]: -0.5 given"));
  CHECK_THROWS_WITH(run({}, {.typical = 0}), Equals("typical must be in (0, 1]: 0 given"));
  CHECK_THROWS_WITH(run({}, {.max_new = 0}), Equals("max-new must be at least 1: 0 given"));
  CHECK_NOTHROW(run({{fine, 0}}, {.greedy = true, .temperature = 0}));

  model.gpt.flat()[0] = std::numeric_limits<float>::quiet_NaN();  // in the embedding of token 0, so in every row's logits
  CHECK_THROWS_WITH(run({{fine, 5}}), Equals("prompt 5: the logits of new token 0 aren't finite; the model's weights are damaged, or its training diverged"));
}

TEST_CASE("a generator's bytes are known beforehand") {
  using Precise = models::Gpt<models::Gpt2, Fp32, Cpu>;
  static_assert(decode::generator_bytes<Precise>({.slots = 32}) > std::size_t{32} * 1024 * 768 * 2 * 12 * 4);
  static_assert(decode::generator_thread_bytes<Precise>() == 50257 * 16);
  static_assert(!decode::CausalLm<int>);
  CHECK(decode::generator_bytes<Precise>({.slots = 33}) > decode::generator_bytes<Precise>({.slots = 32}));
}
