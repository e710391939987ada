// Dialogues of any CSV become samples and prompts that fit the context, with the summary's marker before the summary.
#include <terse/text/dialogue.hpp>

#include "fuzz.hpp"

using namespace terse;

namespace {

/// A token a byte; 256 ends the text.
struct Bytes {
  std::vector<TokenId> encode(std::string_view text) const { return {reinterpret_cast<const unsigned char*>(text.data()), reinterpret_cast<const unsigned char*>(text.data()) + text.size()}; }
  TokenId end_of_text() const { return 256; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t context = 80;
  fuzz::accepts([&] {
    auto dialogues = text::dialogues_of(text::parse_csv(fuzz::text_of(data, size), "fuzz.csv"));
    const auto made = text::make_samples(Bytes{}, dialogues, context);
    fuzz::require(made.samples.size() + static_cast<std::size_t>(made.skipped()) == dialogues.rows.size(), "each row is a sample or counted");
    for (const auto& sample : made.samples) {
      fuzz::require(sample.ids.size() <= context && sample.ids.back() == 256, "a sample fits and ends");
      fuzz::require(sample.prompt < sample.ids.size() && sample.targets() > 0, "a sample has targets");
    }
    for (const auto& prompt : text::make_prompts(Bytes{}, dialogues, context)) fuzz::require(prompt.size() <= context, "a prompt fits");
    text::empty_dialogues(dialogues);
    text::drop_empty(dialogues);
    for (const auto& row : dialogues.rows) fuzz::require(!text::is_blank(row.text) && !text::is_blank(row.summary), "no empty row is left");
  });
  return 0;
}
