#pragma once
/// Made-up dialogues with summaries, to try the whole job without any data. Nobody ever spoke them: each id says synthetic.
///
/// Two people agree on something, change their mind, and share the work. The summary tells what holds in the end, so it
/// can't be guessed without the dialogue, and the first line, a greeting, tells nothing.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/philox.hpp>
#include <terse/text/dialogue.hpp>

namespace terse::text {

namespace synthetic {

using Words = std::span<const std::string_view>;

inline constexpr std::string_view names[] = {
    "Anna",  "Tom",   "Maria", "Ben",  "Lena",  "Paul",  "Nina",  "Max",   "Julia", "Leo",  "Clara", "Sam",
    "Emma",  "Noah",  "Ruth",  "Ivan", "Olga",  "Omar",  "Leila", "Ravi",  "Priya", "Kenji", "Yuki", "Chen",
    "Mei",   "Pedro", "Rosa",  "Luis", "Carla", "Hugo",  "Elsa",  "Nils",  "Greta", "Otto", "Ines",  "Karl",
    "Vera",  "Adam",  "Eva",   "Jonas", "Sofia", "Marco", "Zoe",  "Felix", "Dana",  "Peter", "Alma", "Theo"};
inline constexpr std::string_view places[] = {
    "library", "park",   "museum", "station", "market",  "harbour", "school", "garden", "theatre", "bridge", "beach",
    "office",  "castle", "bakery", "stadium", "zoo",     "lake",    "church", "hotel",  "airport", "cinema", "farm",
    "gallery", "tower",  "forest", "square",  "factory", "island",  "mill",   "clinic", "studio",  "hall"};
inline constexpr std::string_view doings[] = {
    "play tennis",  "play chess",    "have lunch",   "have dinner",   "study maths", "practise French", "take photos", "draw",
    "go running",   "go swimming",   "sing",         "dance",         "paint",       "watch birds",     "read poems",  "bake bread",
    "fix the bike", "build a kite",  "plant trees",  "play cards",    "have tea",    "go skating",      "write songs", "clean up"};
inline constexpr std::string_view things[] = {
    "camera", "blanket", "map",    "umbrella", "guitar", "lamp",   "ladder", "basket", "tent",  "kettle", "radio",  "hammer",
    "book",   "cake",    "jacket", "ticket",   "rope",   "mirror", "clock",  "piano",  "phone", "wallet", "bottle", "flag",
    "drum",   "chair",   "table",  "key",      "letter", "ring",   "puzzle", "printer"};
inline constexpr std::string_view goods[] = {
    "apples", "eggs",   "candles", "stamps", "roses", "pencils", "lemons", "plates",
    "cups",   "onions", "pears",   "shirts", "masks", "spoons",  "cakes",  "bulbs"};
inline constexpr std::string_view days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
inline constexpr std::string_view numbers[] = {"two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty"};
inline constexpr std::string_view hours[] = {"7", "8", "9", "10", "11", "12", "1", "2", "3", "4", "5", "6"};
inline constexpr std::string_view minutes[] = {"00", "15", "30", "45"};
inline constexpr std::string_view reasons[] = {
    "a cold",   "the rain",  "the snow", "an exam",       "a late train", "a broken car", "a visitor",  "a headache",
    "a strike", "the storm", "homework", "a job meeting", "a toothache",    "a lost dog",   "a flat tyre", "the heat"};

/// One way to say a part of a dialogue. {a} and {b} are the speakers; what is proposed first is {old}, then {new}
/// ({Old}, {New} where a sentence begins with it).
struct Turn {
  std::string_view text;
  bool keeps_old = false;  ///< {old} holds in the end, not {new}
  bool by_first = false;   ///< {who} is {a}, not {b}
};

/// What the speakers change their mind about: which of the summary's words is {old} or {new}.
enum class Change { time, day, place, number };

struct Story {
  Change change;
  std::vector<std::vector<Turn>> parts;  ///< a dialogue takes one turn of each
  std::string_view summary;
};

inline std::vector<Turn> greetings() {
  return {{"{a}: Hi!\n{b}: Oh, hello {a}."},
          {"{a}: Hello, how are you?\n{b}: Fine, thanks, {a}."},
          {"{a}: Good morning!\n{b}: Morning, {a}."},
          {"{a}: Hey, nice to see you.\n{b}: You too, {a}."},
          {"{a}: Are you busy?\n{b}: No, {a}, go ahead."},
          {"{a}: It's me again.\n{b}: Hi {a}, what is it?"},
          {"{a}: Good evening.\n{b}: Hello {a}, all well?"},
          {"{a}: Have you got a minute?\n{b}: Of course, {a}."}};
}

inline std::vector<Turn> answers() {
  return {{"{b}: {New} would be better for me.\n{a}: All right, {new} then."},
          {"{b}: Could we say {new}?\n{a}: Yes, {new} is fine."},
          {"{b}: Not {old}, please. What about {new}?\n{a}: Good, {new} it is."},
          {"{b}: I'd rather say {new}.\n{a}: No problem, let's take {new}."},
          {"{b}: Hm, {old}? I wanted {new}.\n{a}: Then {new}."},
          {"{b}: Could we say {new}?\n{a}: Sorry, no. It has to be {old}.", true},
          {"{b}: I'd rather say {new}.\n{a}: That won't work. Let's keep {old}.", true},
          {"{b}: Not {new}?\n{a}: No, I really prefer {old}.", true},
          {"{b}: {Old} is perfect.\n{a}: Wait, I was wrong. I meant {new}."},
          {"{b}: {Old}, good.\n{a}: Oh no, I forgot something. Better {new}."}};
}

inline std::vector<Turn> helpers() {
  return {{"{a}: Can you bring the {thing}?\n{b}: Yes, I will."},
          {"{a}: We need the {thing}.\n{b}: I have one, I'll bring it."},
          {"{b}: Shall I bring the {thing}?\n{a}: Yes, please."},
          {"{a}: And the {thing}?\n{b}: Leave that to me."},
          {"{a}: I'll bring the {thing}.\n{b}: Very kind of you.", false, true},
          {"{b}: Who has the {thing}?\n{a}: Me. I'll bring it.", false, true},
          {"{b}: Can you bring the {thing}?\n{a}: Sure, I can.", false, true},
          {"{a}: Can you bring the {thing}?\n{b}: I don't have it.\n{a}: Then I will.", false, true}};
}

inline std::vector<Turn> goodbyes() {
  return {{"{b}: See you!"}, {"{a}: Great, bye!"}, {"{b}: Thanks, {a}."}, {"{a}: Thank you, {b}."}, {"{b}: I can't wait."}, {"{a}: Perfect, {b}."}};
}

inline std::vector<Story> stories() {
  const std::string_view meeting = "{a} and {b} will {do} at the {place} on {day} at {time}. {who} will bring the {thing}.";
  return {
      {Change::time,
       {greetings(),
        {{"{a}: Shall we {do} at the {place} on {day}, at {old}?"},
         {"{a}: On {day} I want to {do} at the {place}. Will you come at {old}?"},
         {"{a}: Let's {do} on {day}. The {place}, at {old}?"},
         {"{a}: Do you want to {do} with me? {day}, {old}, at the {place}."}},
        answers(), helpers(), goodbyes()},
       meeting},
      {Change::day,
       {greetings(),
        {{"{a}: Shall we {do} at the {place} at {time} on {old}?"},
         {"{a}: I want to {do} at the {place}. Will you come at {time} on {old}?"},
         {"{a}: Let's {do}. The {place} at {time}, say {old}?"},
         {"{a}: Do you want to {do} with me? At the {place} at {time}, {old}."}},
        answers(), helpers(), goodbyes()},
       meeting},
      {Change::place,
       {greetings(),
        {{"{a}: Shall we {do} on {day} at {time}? I thought of {old}."},
         {"{a}: On {day} I want to {do}. Can you come at {time}, to {old}?"},
         {"{a}: Let's {do} on {day} at {time}. At {old}?"},
         {"{a}: Do you want to {do} with me? {day}, {time}, {old}."}},
        answers(), helpers(), goodbyes()},
       meeting},
      {Change::number,
       {greetings(),
        {{"{a}: Are you going to the {place} on {day}? I need {goods}, maybe {old}."},
         {"{a}: Could you buy {goods} for me on {day}, at the {place}? I think {old}."},
         {"{a}: When you are at the {place} on {day}, please get {goods}. Say {old}."}},
        {{"{b}: Only {old}?\n{a}: You are right, better {new}."},
         {"{b}: Are {old} enough?\n{a}: No, make it {new}."},
         {"{b}: Just {old}? Not {new}?\n{a}: No, {old} will do.", true},
         {"{b}: I can carry {new}.\n{a}: Good, then {new}."},
         {"{b}: I can carry {new}.\n{a}: I don't need so many. Just {old}.", true},
         {"{b}: All right, {old}.\n{a}: Wait, I counted again. I need {new}."}},
        {{"{b}: When do you need them?\n{a}: At {time}."},
         {"{b}: I'll be back at {time}.\n{a}: That is early enough."},
         {"{a}: Can you be here at {time}?\n{b}: Yes, I can."},
         {"{a}: Please come at {time}.\n{b}: I will."}},
        goodbyes()},
       "{b} will buy {number} {goods} for {a} at the {place} on {day} and come at {time}."},
      {Change::place,
       {greetings(),
        {{"{a}: I lost my {thing}! I think it was at {old}."},
         {"{a}: My {thing} is gone. Did I leave it at {old}?"},
         {"{a}: Have you seen my {thing}? I was at {old}."}},
        {{"{b}: I found it, but at {new}.\n{a}: What luck!"},
         {"{b}: No, it was at {new}. I have it here.\n{a}: I'm so glad."},
         {"{b}: Yes, it was at {old}. I have it here, not at {new}.\n{a}: I'm so glad.", true},
         {"{b}: I looked at {new}, and then I found it at {old}.\n{a}: What luck!", true}},
        {{"{a}: When can I have it?\n{b}: On {day} at {time}."},
         {"{b}: I'm free on {day}. Is {time} good?\n{a}: Yes, it is."},
         {"{a}: Are you at home on {day}?\n{b}: From {time} on."}},
        goodbyes()},
       "{a} lost a {thing}. {b} found it at the {place} and will give it back on {day} at {time}."},
      {Change::day,
       {greetings(),
        {{"{a}: I can't {do} at the {place} this week, because of {reason}."},
         {"{a}: Sorry, we can't {do} at the {place} now. It's because of {reason}."},
         {"{a}: Because of {reason} I won't {do} at the {place} today."}},
        {{"{b}: What a pity. Is {new} better?\n{a}: Yes, {new}."},
         {"{b}: Then on {old}?\n{a}: No, but {new} is free."},
         {"{b}: Then on {old} or {new}?\n{a}: I'll take {new}."},
         {"{b}: Then on {old} or {new}?\n{a}: I'll take {old}.", true},
         {"{b}: I have time on {old}.\n{a}: {old}? Good. Not {new}, that's too late.", true}},
        {{"{b}: At {time}?\n{a}: Yes."}, {"{a}: Come at {time}.\n{b}: I will."}, {"{b}: When shall I come?\n{a}: At {time}."}},
        goodbyes()},
       "Because of {reason}, {a} and {b} will {do} at the {place} on {day} at {time}, not earlier."},
  };
}

/// What a dialogue is about, by placeholder.
struct Facts {
  std::string_view a, b, who, doing, place, thing, day, number, goods, reason;
  std::string time, old_choice, new_choice, old_at_start, new_at_start;
};

inline std::string_view pick(Words words, RandomStream& random) { return words[random.below(static_cast<std::uint32_t>(words.size()))]; }

/// Two different ones.
inline std::pair<std::string_view, std::string_view> pick_two(Words words, RandomStream& random) {
  const auto count = static_cast<std::uint32_t>(words.size()), first = random.below(count);
  return {words[first], words[(first + 1 + random.below(count - 1)) % count]};
}

inline std::string clock(std::string_view hour, RandomStream& random) {
  return std::string(hour).append(":").append(pick(minutes, random));
}

inline std::string capitalized(std::string text) {
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

inline Facts draw_facts(Change change, bool keeps_old, bool by_first, RandomStream& random) {
  Facts facts;
  std::tie(facts.a, facts.b) = pick_two(names, random);
  facts.who = by_first ? facts.a : facts.b;
  facts.doing = pick(doings, random), facts.place = pick(places, random), facts.thing = pick(things, random);
  facts.day = pick(days, random), facts.number = pick(numbers, random);
  facts.goods = pick(goods, random), facts.reason = pick(reasons, random);

  const Words choices[] = {hours, days, places, numbers};  // by Change
  const auto [first, second] = pick_two(choices[static_cast<std::size_t>(change)], random);
  const std::string_view agreed = keeps_old ? first : second;
  facts.old_choice = first, facts.new_choice = second, facts.time = pick(hours, random);
  switch (change) {
    case Change::time:
      facts.old_choice = clock(first, random), facts.new_choice = clock(second, random);
      facts.time = keeps_old ? facts.old_choice : facts.new_choice;
      break;
    case Change::day: facts.day = agreed; break;
    case Change::place:
      facts.place = agreed;
      facts.old_choice.insert(0, "the "), facts.new_choice.insert(0, "the ");
      break;
    case Change::number: facts.number = agreed; break;
  }
  if (change != Change::time) facts.time = clock(facts.time, random);
  facts.old_at_start = capitalized(facts.old_choice), facts.new_at_start = capitalized(facts.new_choice);
  return facts;
}

inline std::string_view value(const Facts& facts, std::string_view placeholder) {
  const std::pair<std::string_view, std::string_view> values[] = {
      {"a", facts.a},         {"b", facts.b},           {"do", facts.doing},       {"place", facts.place},
      {"thing", facts.thing}, {"day", facts.day},       {"number", facts.number},  {"goods", facts.goods},
      {"time", facts.time},   {"reason", facts.reason}, {"old", facts.old_choice}, {"new", facts.new_choice},
      {"who", facts.who},     {"Old", facts.old_at_start}, {"New", facts.new_at_start}};
  for (const auto& [name, text] : values)
    if (name == placeholder) return text;
  fail(Failure::internal, "a synthetic dialogue has no {", placeholder, "}");
}

inline void append_filled(std::string& text, std::string_view form, const Facts& facts) {
  while (!form.empty()) {
    const std::size_t open = form.find('{');
    text += form.substr(0, open);
    if (open == std::string_view::npos) return;
    const std::size_t close = form.find('}', open);
    text += value(facts, form.substr(open + 1, close - open - 1));
    form.remove_prefix(close + 1);
  }
}

}  // namespace synthetic

/// Which dialogues a set may hold. No two parts share a combination of people, doing (or thing, or goods) and place.
enum class SyntheticPart { training, validation, test };

/// A dialogue, and what it was made of.
struct SyntheticDialogue {
  Dialogue dialogue;
  std::string form;         ///< its turns with placeholders for the facts
  std::string combination;  ///< of people, what and where, which decides its part
};

/// Eight combinations of ten are for training, one for validation, one for test.
inline SyntheticPart part_of(std::string_view combination) {
  std::uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a: a fixed function of the text
  for (const char c : combination) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  const std::uint64_t tenth = (hash >> 32) % 10;
  return tenth < 8 ? SyntheticPart::training : tenth == 8 ? SyntheticPart::validation : SyntheticPart::test;
}

/// Draws one dialogue, of whatever part its facts fall into.
inline SyntheticDialogue draw_dialogue(std::span<const synthetic::Story> stories, RandomStream& random) {
  const auto& story = stories[random.below(static_cast<std::uint32_t>(stories.size()))];
  SyntheticDialogue made;
  bool keeps_old = false, by_first = false;
  for (const auto& part : story.parts) {
    const auto& turn = part[random.below(static_cast<std::uint32_t>(part.size()))];
    made.form += made.form.empty() ? "" : "\n";
    made.form += turn.text;
    keeps_old |= turn.keeps_old, by_first |= turn.by_first;
  }
  const auto facts = synthetic::draw_facts(story.change, keeps_old, by_first, random);
  synthetic::append_filled(made.dialogue.text, made.form, facts);
  synthetic::append_filled(made.dialogue.summary, story.summary, facts);
  const auto uses = [&](std::string_view placeholder) { return story.summary.find(placeholder) != std::string_view::npos; };
  const auto what = uses("{do}") ? facts.doing : uses("{goods}") ? facts.goods : facts.thing;
  made.combination = concat(facts.a, '|', facts.b, '|', what, '|', facts.place);
  return made;
}

/// `count` dialogues of one part, with ids synthetic_0, ...; the same for the same seed, everywhere.
inline std::vector<Dialogue> synthesize(std::size_t count, std::uint64_t seed, SyntheticPart part) {
  const auto stories = synthetic::stories();
  RandomStream random(seed, RandomUse::synthesize, static_cast<std::uint64_t>(part));
  std::vector<Dialogue> dialogues;
  dialogues.reserve(count);
  while (dialogues.size() < count) {
    SyntheticDialogue drawn = draw_dialogue(stories, random);
    if (part_of(drawn.combination) != part) continue;
    drawn.dialogue.id = concat("synthetic_", dialogues.size());
    dialogues.push_back(std::move(drawn.dialogue));
  }
  return dialogues;
}

}  // namespace terse::text
