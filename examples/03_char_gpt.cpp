// A small GPT learns the characters of a text, then goes on where a text stops.  usage: 03_char_gpt [FILE [STEPS [PROMPT]]]
#include <terse/terse.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace terse;

// Sizes are types; a byte is a token, so any file will do.
struct Small : models::Config<models::GptConfig{.vocabulary = 256, .context = 128, .layers = 2, .heads = 4, .width = 64}> {};
using Model = models::Gpt<Small, Fp32, Cpu>;

// An English nursery rhyme, printed first in 1755.
std::string house_that_jack_built() {
  const char* const parts[] = {"the house that Jack built.\n\n", "the malt\nThat lay in ", "the rat\nThat ate ", "the cat\nThat killed ", "the dog\nThat worried ",
                               "the cow with the crumpled horn\nThat tossed ", "the maiden all forlorn\nThat milked ", "the man all tattered and torn\nThat kissed ",
                               "the priest all shaven and shorn\nThat married ", "the cock that crowed in the morn\nThat waked "};
  std::string rhyme, so_far;
  for (const char* part : parts) so_far = part + so_far, rhyme += "This is " + so_far;
  return rhyme;
}

std::vector<TokenId> encode(const std::string& text) {
  std::vector<TokenId> ids;
  for (const char character : text) ids.push_back(static_cast<unsigned char>(character));
  return ids;
}

int main(int argc, char** argv) {
  const std::string text = argc > 1 ? io::read_file(argv[1]) : house_that_jack_built();
  const long steps = argc > 2 ? std::atol(argv[2]) : 300;
  const std::string prompt = argc > 3 ? argv[3] : "This is the cow";

  const auto samples = text::windows(encode(text), Small::context, 8);  // one begins every 8 characters
  const auto halves = text::split(samples.size(), 0, 42);               // all for training

  Cpu cpu(1);  // one thread: a model this small gains nothing by more
  Model model(cpu);
  nn::initialize(model, 42);
  dist::Solo solo;  // the only rank
  train::Trainer trainer(model, solo, {samples, halves.training, {}, {}},
                         {.schedule = {.batch = 4, .accumulate = 1, .ranks = 1, .steps = steps}, .rates = {.lr = 5e-3, .min_lr = 3e-4, .warmup = 10, .decay = steps}, .dropout = 0});
  trainer.run([](const train::StepRecord& step) {
    if (step.step % 50 == 0) std::printf("step %ld: loss %.4f\n", step.step, step.loss);
  });

  decode::Generator<Model> generator(model, decode::no_end_of_text, {.slots = 1});
  const std::vector<std::vector<TokenId>> prompts{encode(prompt)};
  const auto texts = generator.generate(decode::numbered(prompts), {.greedy = true, .max_new = Small::context});
  std::printf("\n%s", prompt.c_str());
  for (const TokenId id : texts.front().ids) std::putchar(id);
  std::printf("\n");
}
