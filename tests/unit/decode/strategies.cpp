#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <terse/decode/generator.hpp>
#include <terse/decode/strategies.hpp>

#include "small_model.hpp"

using namespace terse;
using namespace terse::decode;

namespace {

bool same_text(const Generation& a, const Generation& b) { return a.ids == b.ids && a.logprob == b.logprob && a.token_logprobs == b.token_logprobs && a.stop == b.stop && a.score == b.score; }

std::vector<Generation> written(const std::vector<std::vector<TokenId>>& prompts, const Strategy& strategy, GeneratorSize size, int threads = 1) {
  SmallModel model(threads);
  return Generator(model.gpt, end_of_text, size).generate(numbered(prompts), strategy);
}

/// Prompts that begin with the same `common` tokens.
std::vector<std::vector<TokenId>> prompts_with_prefix(std::size_t count, std::size_t common) {
  auto prompts = random_prompts(count);
  for (auto& prompt : prompts) {
    prompt.insert(prompt.begin(), common, TokenId{7});
    for (std::size_t i = 0; i < common; ++i) prompt[i] = static_cast<TokenId>(3 * i % 40);
  }
  return prompts;
}

const Strategy everything = Sample{RepetitionPenalty{1.2f}, NoRepeatNgram{3}, BadWords{{{4}, {5, 6}}}, MinNew{4}, Temperature{1.5f}, TopK{20}, TopP{0.9f}, MaxNew{24}, Seed{3}};
const Strategy beam = Beam{Beams{.count = 3, .length_penalty = 0.8f}, NoRepeatNgram{3}, MinNew{2}, MaxNew{24}};
const Strategy contrastive = Contrastive{NoRepeatNgram{3}, MinNew{2}, TopK{3}, Penalty{0.6f}, MaxNew{24}};
const Strategy n_best = BestOf{Samples{.count = 3, .returned = 2}, Temperature{1.5f}, MaxNew{24}};

}  // namespace

TEST_CASE("texts of every strategy don't depend on batch, order, threads or what prompts share") {
  for (const std::size_t common : {0u, 1u, 9u, 20u}) {
    const auto ids = prompts_with_prefix(16, common);
    for (const Strategy& strategy : {everything, beam, n_best, contrastive}) {
      CAPTURE(common, strategy.beams, strategy.samples);
      const auto returned = static_cast<std::size_t>(strategy.returned);
      std::vector<Generation> alone;  // each prompt by itself, under its number
      for (std::size_t i = 0; i < ids.size(); ++i) {
        SmallModel model;
        const Prompt prompt{ids[i], i};
        for (auto& text : Generator(model.gpt, end_of_text, {.slots = strategy.width(), .rows = 64}).generate({&prompt, 1}, strategy)) alone.push_back(std::move(text));
      }
      std::set<std::vector<TokenId>> distinct;
      for (const auto& text : alone) distinct.insert(text.ids);
      REQUIRE(distinct.size() > 10);
      for (const int threads : {1, 2})
        for (const GeneratorSize size : {GeneratorSize{.slots = 3, .rows = 3}, {.slots = 7, .rows = 9}, {.slots = 32}}) {
          const auto texts = written(ids, strategy, size, threads);
          REQUIRE(texts.size() == alone.size());
          for (std::size_t i = 0; i < texts.size(); ++i) CHECK(same_text(texts[i], alone[i]));
        }
      SmallModel model;
      auto backwards = numbered(ids);
      std::reverse(backwards.begin(), backwards.end());
      const auto texts = Generator(model.gpt, end_of_text, {.slots = 6}).generate(backwards, strategy);
      for (std::size_t i = 0; i < ids.size(); ++i)
        for (std::size_t r = 0; r < returned; ++r) CHECK(same_text(texts[i * returned + r], alone[(ids.size() - 1 - i) * returned + r]));
    }
  }
}

TEST_CASE("a text's log-probability is the sum of its tokens'") {
  const auto ids = random_prompts(12);
  const Strategy diverse = Beam{Beams{.count = 4, .returned = 4, .groups = 2, .diversity = 0.5f}, RepetitionPenalty{1.1f}, MaxNew{16}};
  for (const Strategy& strategy : {everything, beam, n_best, diverse, contrastive}) {
    CAPTURE(strategy.beams, strategy.samples, strategy.beam_groups);
    for (const auto& text : written(ids, strategy, {.slots = 8})) {
      REQUIRE(text.token_logprobs.size() == text.ids.size());
      double sum = 0;
      for (const float logprob : text.token_logprobs) sum += static_cast<double>(logprob);
      CHECK(sum == Approx(text.logprob).epsilon(1e-5).margin(1e-5));
    }
  }
}

TEST_CASE("contrastive search: one text a prompt, told token by token, which repeats itself less than the likeliest one") {
  SmallModel model;
  const auto ids = random_prompts(12);
  const auto prompts = numbered(ids);
  Generator generator(model.gpt, no_end_of_text, {.slots = 8});
  const Strategy strategy = Contrastive{TopK{4}, Penalty{0.6f}, MaxNew{30}};
  std::vector<std::vector<TokenId>> heard(ids.size());
  const auto texts = generator.generate(prompts, strategy, {.token = [&](std::size_t i, TokenId id) { return heard[i].push_back(id), true; }, .text = {}});
  CHECK(generator.effort().new_tokens == 12 * 30);
  const auto distinct = [](const Generation& text) { return std::set(text.ids.begin(), text.ids.end()).size(); };
  std::size_t of_contrastive = 0, of_greedy = 0;
  const auto greedy = generator.generate(prompts, Greedy{MaxNew{30}});
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(texts[i].ids == heard[i]);
    of_contrastive += distinct(texts[i]), of_greedy += distinct(greedy[i]);
  }
  CHECK(of_contrastive > of_greedy + 12);

  // Stopped, a text is what was told.
  const auto some = generator.generate(prompts, strategy, {.token = [n = 0](std::size_t, TokenId) mutable { return ++n < 20; }, .text = {}});
  std::size_t told = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(std::equal(some[i].ids.begin(), some[i].ids.end(), texts[i].ids.begin()));
    CHECK(some[i].token_logprobs.size() == some[i].ids.size());
    told += some[i].ids.size();
  }
  CHECK(told == 20);

  // Without a penalty it is the likeliest text.
  const auto likeliest = generator.generate(prompts, Contrastive{TopK{4}, Penalty{0}, MaxNew{30}});
  for (std::size_t i = 0; i < ids.size(); ++i) CHECK(same_text(likeliest[i], greedy[i]));
  // Up to the context's end, with fewer tokens allowed than candidates wanted, and more candidates than there are tokens.
  for (const auto& text : generator.generate(prompts, Contrastive{TopK{4}, Penalty{0.6f}, MaxNew{99}})) CHECK(text.stop == Stop::context);
  for (const auto& text : generator.generate(prompts, Contrastive{ForcedTokens{{8, 9, 8}}, TopK{4}, Penalty{0.6f}, MaxNew{4}})) CHECK((text.ids[0] == 8 && text.ids[1] == 9 && text.ids[2] == 8));
  CHECK(written(ids, Contrastive{TopK{60}, Penalty{0.6f}, MaxNew{4}}, {.slots = 60}).size() == 12);
}

TEST_CASE("what contrastive search remembers is known beforehand") {
  using Precise = models::Gpt<models::Gpt2, Fp32, Cpu>;
  static_assert(ShowsHidden<Precise> && ShowsHidden<SmallGpt>);
  static_assert(contrastive_bytes<Precise>({.slots = 4}) == std::size_t{4} * 1024 * 768 * 4 + 256);
  const Strategy with = Contrastive{TopK{4}, Penalty{0.6f}}, without = Sample{TopK{4}};
  CHECK(strategy_bytes<Precise>(with, {.slots = 4}) > strategy_bytes<Precise>(without, {.slots = 4}) + contrastive_bytes<Precise>({.slots = 4}));
}

TEST_CASE("guesses change no text, greedy or drawn, and save steps where texts repeat themselves") {
  const auto ids = random_prompts(24);
  for (Strategy strategy : {Strategy{.greedy = true, .max_new = 40}, everything, Strategy{.temperature = 0.3f, .top_k = 0, .max_new = 40}}) {
    const auto expected = written(ids, strategy, {.slots = 4});
    for (const int draft : {1, 3, 7}) {
      strategy.draft = draft;
      for (const GeneratorSize size : {GeneratorSize{.slots = 1}, {.slots = 4}, {.slots = 4, .rows = 6, .drafts = 2}, {.slots = 3, .rows = 30, .drafts = 20}}) {
        CAPTURE(strategy.greedy, draft, size.slots, size.rows, size.drafts);
        const auto texts = written(ids, strategy, size);
        std::size_t different = 0;
        for (std::size_t i = 0; i < ids.size(); ++i) different += same_text(texts[i], expected[i]) ? 0u : 1u;
        CHECK(different == 0);
      }
    }
  }
}

TEST_CASE("guesses save steps where a text repeats itself, and end where it doesn't; what prompts share is read once") {
  SmallModel model;
  Generator generator(model.gpt, no_end_of_text, {.slots = 1});
  const std::vector<TokenId> ids{3};
  const Prompt prompt{ids, 0};
  const Strategy again = Greedy{ForcedTokens{std::vector<TokenId>(60, 5)}, MaxNew{60}, Draft{7}};
  generator.generate({&prompt, 1}, again);
  CHECK(generator.effort().new_tokens == 60);
  CHECK(generator.effort().steps < 15);
  CHECK(generator.effort().right > 45);

  // Each pair comes once, so a guess is never right.
  generator.generate({&prompt, 1}, Greedy{ForcedTokens{{1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1, 7, 1, 8, 1, 9, 1, 10, 1, 11, 1, 12, 1, 13, 1, 14, 1, 15, 1, 16, 1, 17, 1, 18, 1, 19}}, MaxNew{38}, Draft{7}});
  CHECK(generator.effort().guesses < 70);
  CHECK(generator.effort().steps >= 37);

  const auto prompts = prompts_with_prefix(10, 20);
  std::size_t tokens = 0;
  for (const auto& other : prompts) tokens += other.size();
  Generator many(model.gpt, end_of_text, {.slots = 4});
  many.generate(numbered(prompts), Greedy{MaxNew{1}});
  CHECK(many.effort().rows == static_cast<std::int64_t>(tokens - 9 * 20));
}

TEST_CASE("guesses are what followed the same tokens before") {
  const std::vector<TokenId> text{1, 2, 3, 9, 1, 2, 3, 4, 5, 2, 3};
  const auto guess = [](std::vector<TokenId> ids, std::size_t most) {
    const auto found = look_up(ids, most);
    return std::vector<TokenId>(found.begin(), found.end());
  };
  CHECK(guess(text, 2) == std::vector<TokenId>{4, 5});                     // after the last 2 3, not the first
  CHECK(guess({1, 2, 3, 4, 1, 2, 3}, 9) == std::vector<TokenId>{4, 1, 2, 3});
  CHECK(guess({5, 5}, 4) == std::vector<TokenId>{5});
  CHECK(guess({1, 2, 3}, 4).empty());
  CHECK(guess({1}, 4).empty());
}

TEST_CASE("what rules say") {
  std::vector<ops::LogitEdit> room(64);
  Edits edits(50, 64, room);
  const std::vector<TokenId> ids{1, 2, 3, 1, 2};
  const auto edited = [&](const auto& rule, std::size_t prompt = 3) {
    edits.clear(), edits.begin_text();
    rule.edit(History{ids, prompt, 49}, edits);
    std::vector<std::pair<TokenId, int>> result;
    for (std::int32_t i = 0; i < edits.size(); ++i) result.push_back({room[static_cast<std::size_t>(i)].id, static_cast<int>(room[static_cast<std::size_t>(i)].kind)});
    return result;
  };
  using Said = std::vector<std::pair<TokenId, int>>;
  constexpr int ban = static_cast<int>(ops::LogitEdit::Kind::ban), only = static_cast<int>(ops::LogitEdit::Kind::only), penalize = static_cast<int>(ops::LogitEdit::Kind::penalize);
  CHECK(edited(RepetitionPenalty{1.3f}) == Said{{1, penalize}, {2, penalize}, {3, penalize}});
  CHECK(edited(RepetitionPenalty{}).empty());
  CHECK(edited(NoRepeatNgram{3}) == Said{{3, ban}});
  CHECK(edited(NoRepeatNgram{2}) == Said{{3, ban}});
  CHECK(edited(NoRepeatNgram{1}).size() == 5);
  CHECK(edited(NoRepeatNgram{9}).empty());
  CHECK(edited(BadWords{{{7}, {2, 8}, {3, 9}, {49}, {}, {0, 1, 2, 3, 1, 2, 5}}}) == Said{{7, ban}, {8, ban}});
  CHECK(edited(MinNew{3}) == Said{{49, ban}});
  CHECK(edited(MinNew{2}).empty());
  CHECK(edited(ForcedTokens{{4, 5, 6}}) == Said{{6, only}});
  CHECK(edited(ForcedTokens{{4, 5}}).empty());
  CHECK(edited(BadWords{{{77}}}).empty());  // not a token of the model
}

namespace {

/// A rule of one's own: after an even token comes an odd one.
struct Alternate {
  void edit(const History& text, Edits& edits) const {
    for (TokenId id = text.ids.back() % 2; id < 50; id += 2) edits.ban(id);
  }
};
/// And a stop.
struct StopAtNine {
  bool stops(const History& text) const { return text.ids.back() == 9; }
};

}  // namespace

TEST_CASE("rules and stops of one's own") {
  const auto ids = random_prompts(20);
  const auto texts = written(ids, Sample{MinNew{3}, Alternate{}, Temperature{2.0f}, StopAtNine{}, StopTokens{{12}}, MaxNew{30}}, {.slots = 5});
  std::size_t stopped = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    TokenId before = ids[i].back();
    for (const TokenId id : texts[i].ids) CHECK(id % 2 != std::exchange(before, id) % 2);
    CHECK((texts[i].stop == Stop::asked) == (texts[i].ids.back() == 9 || texts[i].ids.back() == 12));
    stopped += texts[i].stop == Stop::asked ? 1u : 0u;
    CHECK(std::count(texts[i].ids.begin(), texts[i].ids.end() - 1, 9) == 0);
  }
  CHECK(stopped > 5);
  CHECK_THROWS_WITH(written(ids, Greedy{BadWords{[] {
                              std::vector<std::vector<TokenId>> all;
                              for (TokenId id = 0; id < 50; ++id) all.push_back({id});
                              return all;
                            }()}, MinNew{1}}, {}),
                    Catch::Matchers::Contains("or the strategy's rules leave no token"));
}

namespace {

/// Says everything `times` times.
struct Repeats {
  int times = 1;
  void edit(const History& text, Edits& edits) const {
    for (int n = 0; n < times * static_cast<int>(text.ids.size() % 2); ++n)
      for (TokenId id = 0; id < 50; ++id) edits.add(id, 0.25f);
  }
};

}  // namespace

TEST_CASE("each rule of one's own may say as much as there are tokens; whether a rule says too much doesn't depend on other texts") {
  const std::vector<std::vector<TokenId>> odd{{1, 2, 3}}, even{{1, 2}, {3, 4}, {5, 6}, {7, 8}}, both{{1, 2}, {3, 4}, {1, 2, 3}, {5, 6}, {7, 8}};
  CHECK(written(odd, Greedy{Repeats{}, Repeats{}, Repeats{}, MaxNew{3}}, {.slots = 1}).size() == 1);
  const Strategy too_much = Greedy{Repeats{6}, MaxNew{1}};  // more than context and vocabulary have room for
  for (const GeneratorSize size : {GeneratorSize{.slots = 1}, {.slots = 5}}) {
    CHECK(written(even, too_much, size).size() == 4);
    CHECK_THROWS_WITH(written(odd, too_much, size), Catch::Matchers::Contains("a decoding rule makes more edits"));
    CHECK_THROWS_WITH(written(both, too_much, size), Catch::Matchers::Contains("a decoding rule makes more edits"));
  }
}

TEST_CASE("beams take no token that rules forbid: fewer of them go on, and where none can, that is said") {
  const auto ids = random_prompts(10);
  std::vector<std::vector<TokenId>> all;
  for (TokenId id = 0; id < 50; ++id) all.push_back({id});
  CHECK_THROWS_WITH(written(ids, Beam{Beams{.count = 3}, BadWords{all}, MinNew{1}}, {}), Catch::Matchers::Contains("or the strategy's rules leave no token"));

  // One beam at first, four when any token may come.
  const Strategy narrow = Beam{Beams{.count = 4, .early_stopping = EarlyStopping::yes, .returned = 4}, ForcedTokens{{8, 9}}, MaxNew{6}};
  const auto texts = written(ids, narrow, {.slots = 8});
  std::set<std::vector<TokenId>> distinct;
  for (const auto& text : texts) {
    CHECK((text.ids.size() > 2 && text.ids[0] == 8 && text.ids[1] == 9));
    CHECK(std::isfinite(text.score));
    distinct.insert(text.ids);
  }
  CHECK(distinct.size() > ids.size());
}

TEST_CASE("beams find likelier texts than greedy, and the best of several is the best") {
  const auto ids = random_prompts(30);
  const auto greedy = written(ids, Greedy{MaxNew{12}}, {}), one = written(ids, Beam{Beams{.count = 2, .length_penalty = 0}, MaxNew{12}}, {}),
             eight = written(ids, Beam{Beams{.count = 8, .length_penalty = 0, .returned = 8}, MaxNew{12}}, {});
  std::size_t better = 0, worse = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    better += eight[8 * i].logprob > greedy[i].logprob + 1e-4 ? 1u : 0u, worse += eight[8 * i].logprob < greedy[i].logprob - 1e-4 ? 1u : 0u;
    for (std::size_t n = 1; n < 8; ++n) {
      CHECK(eight[8 * i + n - 1].score >= eight[8 * i + n].score);
      CHECK(eight[8 * i + n - 1].ids != eight[8 * i + n].ids);
    }
  }
  CHECK(better > 10);
  CHECK(worse < 3);

  const auto best = written(ids, BestOf{Samples{.count = 5, .returned = 5}, Temperature{1.5f}, MaxNew{12}}, {.slots = 10});
  for (std::size_t i = 0; i < ids.size(); ++i)
    for (std::size_t n = 0; n < 5; ++n) {
      const auto& text = best[5 * i + n];
      CHECK(text.score == Approx(text.logprob / static_cast<double>(text.ids.size())));
      if (n > 0) CHECK(best[5 * i + n - 1].score >= text.score);
    }
}

TEST_CASE("an observer hears of the texts that are given back, and can end a search") {
  const auto ids = random_prompts(10);
  SmallModel model;
  Generator generator(model.gpt, end_of_text, {.slots = 6});
  const auto prompts = numbered(ids);
  for (const Strategy& strategy : {beam, n_best}) {
    const auto expected = generator.generate(prompts, strategy);
    std::vector<std::size_t> heard(ids.size());
    generator.generate(prompts, strategy, {.token = [](std::size_t, TokenId) -> bool { throw std::logic_error("tokens of several texts"); },
                                           .text = [&](std::size_t i, const Generation& text) {
                                             return same_text(text, expected[i * static_cast<std::size_t>(strategy.returned) + heard[i]++]);
                                           }});
    CHECK(std::ranges::all_of(heard, [&](std::size_t n) { return n == static_cast<std::size_t>(strategy.returned); }));
    std::size_t ended = 0;
    const auto some = generator.generate(prompts, strategy, {.token = {}, .text = [&](std::size_t, const Generation&) { return ++ended < 5; }});
    CHECK(std::ranges::count_if(some, [](const Generation& text) { return text.stop != Stop::cancelled; }) >= 5);
    CHECK(std::ranges::count_if(some, [](const Generation& text) { return text.stop == Stop::cancelled; }) > 0);
  }
}

TEST_CASE("what strategies refuse, they say") {
  using Catch::Matchers::Equals;
  const auto ids = random_prompts(2);
  const auto run = [&](const Strategy& strategy) { written(ids, strategy, {.slots = 4}); };
  CHECK_THROWS_WITH(run({.beams = 5}), Equals("a search that writes 5 texts for each prompt needs a decode batch of as many: 4 given"));
  CHECK_THROWS_WITH(run({.beams = 0}), Equals("beams must be at least 1: 0 given"));
  CHECK_THROWS_WITH(run({.samples = 2, .beams = 2}), Equals("beams and samples don't go together; leave one out"));
  CHECK_THROWS_WITH(run({.greedy = true, .samples = 2}), Equals("greedy samples are all the same; leave out greedy or samples"));
  CHECK_THROWS_WITH(run({.penalty_alpha = 1.5f}), Equals("penalty-alpha must be in [0, 1]: 1.5 given; 0 is off"));
  CHECK_THROWS_WITH(run({.top_k = 1, .penalty_alpha = 0.6f}), Equals("penalty-alpha chooses among top-k tokens, so top-k must be at least 2: 1 given"));
  CHECK_THROWS_WITH(run({.greedy = true, .top_k = 4, .penalty_alpha = 0.6f}), Equals("penalty-alpha doesn't go together with greedy, samples or beams; leave it out, or them"));
  CHECK_THROWS_WITH(run({.top_k = 4, .penalty_alpha = 0.6f, .returned = 2}), Equals("2 texts of each prompt asked for, but 1 written; raise beams or samples"));
  CHECK_THROWS_WITH(run({.top_k = 5, .penalty_alpha = 0.6f}), Equals("a search that writes 5 texts for each prompt needs a decode batch of as many: 4 given"));
  CHECK_THROWS_WITH(run({.beams = 2, .draft = 4}), Equals("draft guesses where a prompt takes one slot, not 2 as with beams, samples or penalty-alpha; leave it out"));
  CHECK_THROWS_WITH(run({.samples = 3, .draft = 4}), Equals("draft guesses where a prompt takes one slot, not 3 as with beams, samples or penalty-alpha; leave it out"));
  CHECK_THROWS_WITH(run({.beams = 2, .returned = 3}), Equals("3 texts of each prompt asked for, but 2 written; raise beams or samples"));
  CHECK_THROWS_WITH(run({.repetition_penalty = {0}}), Equals("repetition-penalty must be above 0: 0 given; 1 is none"));
  CHECK_THROWS_WITH(run({.min_new = {101}}), Equals("min-new 101 is more than max-new 100; raise max-new"));
}
