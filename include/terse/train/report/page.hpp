#pragma once
/// The report as one page: every part that the run's files have something for.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <terse/metrics/rouge.hpp>
#include <terse/train/progress.hpp>
#include <terse/train/report/run_files.hpp>
#include <terse/train/report/style.hpp>
#include <terse/train/report/svg.hpp>

namespace terse::train::report {

namespace detail {

/// A value of each step, as points.
inline std::vector<Point> points(const RunFiles& files, double Step::*value) {
  std::vector<Point> all;
  for (const Step& step : files.steps) all.push_back({step.step, step.*value});
  return all;
}

/// Only the steps that have a value: validations.
inline std::vector<Point> finite_points(const RunFiles& files, double Step::*value) {
  auto all = points(files, value);
  std::erase_if(all, [](const Point& point) { return !std::isfinite(point.y); });
  return all;
}

inline std::string setting(const RunFiles& files, const char* name) {
  if (!files.run.is_object() || !files.run.contains("settings") || !files.run["settings"].is_object()) return "";
  return text_at(files.run["settings"], name);
}

inline std::string run_text(const RunFiles& files, const char* name) { return files.run.is_object() ? text_at(files.run, name) : ""; }

inline void header(Html& html, const RunFiles& files, const std::string& title) {
  html.element("h1", {}, title);
  std::string words;
  const auto add = [&](const std::string& more) {
    if (!more.empty()) words += (words.empty() ? "" : " \xC2\xB7 ") + more;
  };
  add(run_text(files, "sizes"));
  add(run_text(files, "precision"));
  if (const auto init = setting(files, "init"); !init.empty()) add(init == "scratch" ? "from scratch" : "from " + init);
  if (const auto data = setting(files, "data"); !data.empty()) add("data: " + std::filesystem::path(data).filename().string());
  if (!words.empty()) html.element("p", {{"class", "soft"}}, words);
}

/// The run in a few numbers.
inline void tiles(Html& html, const RunFiles& files) {
  const auto tile = [&](const char* name, const std::string& value, const std::string& detail) {
    html.element("div", {}, [&] {
      html.element("dt", {}, name);
      html.element("dd", {}, [&] {
        html.text(value);
        if (!detail.empty()) html.element("small", {}, detail);
      });
    });
  };
  html.element("dl", {{"class", "tiles"}}, [&] {
    if (!files.steps.empty()) {
      double milliseconds = 0, tokens = 0;
      for (const Step& step : files.steps)
        if (std::isfinite(step.milliseconds)) milliseconds += step.milliseconds, tokens += std::isfinite(step.tokens) ? step.tokens : 0;
      const double done = files.steps.back().step, planned = files.run.is_object() && files.run.contains("settings") ? number_at(files.run["settings"], "steps") : done;
      tile("Steps", number(done), planned > done ? "of " + number(planned) : "");
      if (const auto losses = finite_points(files, &Step::loss); !losses.empty()) tile("Loss", fixed(losses.back().y, 3), losses.size() > 1 ? "first " + fixed(losses.front().y, 3) : "");
      if (const auto judged = finite_points(files, &Step::validation_loss); !judged.empty()) {
        const auto best = std::min_element(judged.begin(), judged.end(), [](const Point& a, const Point& b) { return a.y < b.y; });
        tile("Lowest validation loss", fixed(best->y, 3), "at step " + number(best->x));
      }
      if (milliseconds > 0) tile("Training time", clock_time(milliseconds / 1e3), number(std::round(tokens / milliseconds * 1e3)) + " tokens/s");
    }
    if (files.evaluation.is_object())
      if (const double score = number_at(files.evaluation, "rougeL"); std::isfinite(score)) {
        const double lead = files.evaluation.contains("lead1") ? number_at(files.evaluation["lead1"], "rougeL") : std::nan("");
        tile("ROUGE-L", fixed(score, 3), std::isfinite(lead) ? "lead-1 " + fixed(lead, 3) : "");
      }
  });
}

/// "1 step was", "3 steps were".
inline std::string counted(std::ptrdiff_t count, const std::string& one, const std::string& many) {
  return number(static_cast<double>(count)) + " " + (count == 1 ? one : many);
}

/// A sentence for each thing that went wrong.
inline void warnings(Html& html, const RunFiles& files) {
  const auto say = [&](const std::string& words) { html.element("p", {{"class", "warning"}}, words); };
  const auto count = [&](auto matches) { return std::count_if(files.steps.begin(), files.steps.end(), matches); };
  if (files.run.is_object() && files.run.value("finished", Json()) == false) say("This run isn't finished; --resume goes on with it.");
  if (const auto lost = count([](const Step& s) { return !std::isfinite(s.loss); }); lost > 0)
    say(concat("The loss of ", counted(lost, "step", "steps"), " was not finite; the curve has gaps there."));
  if (const auto skipped = count([](const Step& s) { return s.skipped; }); skipped > 0)
    say(concat(number(static_cast<double>(skipped)), " of ", counted(std::ssize(files.steps), "step", "steps"), skipped == 1 ? " was" : " were",
               " skipped, since gradients overflowed. A few are how the loss scale finds its place; many ask for a lower --lr or for --precision fp32."));
  if (files.evaluation_is_older) say("The scores are older than the training shown here; evaluate again to renew them.");
  if (files.unreadable > 0) say(concat(counted(files.unreadable, "line", "lines"), " of the run's files ", files.unreadable == 1 ? "is no JSON object and was" : "are no JSON objects and were", " left out."));
}

/// A value of every step: a line, dots where there are few; beside its running mean where there are many.
inline std::vector<Series> curve(const std::string& name, std::vector<Point> values) {
  const std::size_t reach = values.size() / 80;
  if (reach == 0) return {{name, "mean", values, values.size() <= 25}};
  auto mean = running_mean(values, reach);
  return {{name, "raw", std::move(values), false}, {concat("mean of ", number(static_cast<double>(2 * reach + 1)), " steps"), "mean", std::move(mean), false}};
}

inline void curves(Html& html, const RunFiles& files) {
  if (files.steps.empty()) return;
  LinePlot loss{.id = "loss", .title = "Loss", .value = "nats", .series = curve("loss", points(files, &Step::loss)), .events = {}, .event = "skipped steps"};
  if (auto judged = finite_points(files, &Step::validation_loss); !judged.empty()) loss.series.push_back({"validation loss", "validation", std::move(judged), true});
  for (const Step& step : files.steps)
    if (step.skipped) loss.events.push_back(step.step);
  const auto card = [&](const LinePlot& plot) {
    if (has_values(plot)) html.element("div", {{"class", "card"}}, [&] { draw(html, plot); });
  };
  html.element("h2", {}, "Training");
  card(loss);
  html.element("div", {{"class", "grid"}}, [&] {
    card({.id = "lr", .title = "Learning rate", .value = "rate", .series = {{"learning rate", "mean", points(files, &Step::lr), files.steps.size() <= 25}}, .events = {}, .event = "", .may_be_logarithmic = false});
    card({.id = "grad-norm", .title = "Gradient norm, before clipping", .value = "norm", .series = curve("gradient norm", points(files, &Step::grad_norm)), .events = {}, .event = ""});
  });
}

inline void rouge(Html& html, const RunFiles& files) {
  if (!files.evaluation.is_object()) return;
  IntervalPlot plot{"rouge", "ROUGE F1 beside lead-1", "lead-1", {}};
  std::vector<double> before;  // of each row
  const auto inner = [&](const char* group, const char* key) {
    return files.evaluation.contains(group) && files.evaluation[group].is_object() ? number_at(files.evaluation[group], key) : std::nan("");
  };
  for (const auto& [key, name] : {std::pair{"rouge1", "ROUGE-1"}, {"rouge2", "ROUGE-2"}, {"rougeL", "ROUGE-L"}, {"rougeLsum", "ROUGE-Lsum"}})
    if (const double value = number_at(files.evaluation, key); std::isfinite(value)) {
      const double low = inner("low", key), high = inner("high", key);
      plot.rows.push_back({name, value, std::isfinite(low) ? low : value, std::isfinite(high) ? high : value, inner("lead1", key)});
      if (files.zero_shot.is_object()) before.push_back(number_at(files.zero_shot, key));
    }
  if (plot.rows.empty()) return;
  html.element("h2", {}, "ROUGE");
  html.element("div", {{"class", "card"}}, [&] {
    html.element("ul", {{"class", "legend"}}, [&] {
      html.element("li", {{"class", "key-value"}}, "F1");
      html.element("li", {{"class", "key-interval"}}, "95% interval");
      html.element("li", {{"class", "key-baseline"}}, "lead-1: the dialogue's first utterance");
    });
    draw(html, plot);
    html.element("table", {}, [&] {
      html.element("thead", {}, [&] {
        html.element("tr", {}, [&] {
          for (const char* name : {"", "F1", "95% interval", "lead-1"}) html.element("th", {{"scope", "col"}}, name);
          if (!before.empty()) html.element("th", {{"scope", "col"}}, "before training");
        });
      });
      html.element("tbody", {}, [&] {
        for (std::size_t i = 0; i < plot.rows.size(); ++i)
          html.element("tr", {}, [&] {
            const IntervalRow& row = plot.rows[i];
            html.element("th", {{"scope", "row"}}, row.name);
            html.element("td", {}, fixed(row.value, 4));
            html.element("td", {}, fixed(row.low, 4) + " \xE2\x80\x93 " + fixed(row.high, 4));
            html.element("td", {}, std::isfinite(row.baseline) ? fixed(row.baseline, 4) : "");
            if (!before.empty()) html.element("td", {}, std::isfinite(before[i]) ? fixed(before[i], 4) : "");
          });
      });
    });
    if (number_at(files.evaluation, "samples") > 0)
      html.element("p", {{"class", "note"}}, concat("Mean over ", counted(static_cast<std::ptrdiff_t>(number_at(files.evaluation, "samples")), "dialogue", "dialogues"), "; the interval is a bootstrap over them."));
  });
}

/// The first characters of a text, and how many were left out; never half a character.
inline std::string shortened(const std::string& text, std::size_t most = 6000) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return concat(text.substr(0, end), " \xE2\x80\xA6 (", text.size() - end, " more bytes)");
}

/// How much of a line names its speaker: "#Person1#:" or "Anna:"; 0 where none is named.
inline std::size_t speaker_length(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon > 40) return 0;
  const auto name = line.substr(0, colon);
  const auto first = static_cast<unsigned char>(name.front());
  const bool marked = name.size() > 2 && name.front() == '#' && name.back() == '#';
  const bool named = (first >= 0x80 || (first >= 'A' && first <= 'Z')) && std::count(name.begin(), name.end(), ' ') < 3 && name.find_first_of(".,?!") == std::string_view::npos;
  return marked || named ? colon + 1 : 0;
}

/// A text, a paragraph a line; each finds its own direction.
inline void turns(Html& html, const std::string& whole) {
  std::string text = shortened(whole);
  std::erase(text, '\r');
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    html.element("p", {{"dir", "auto"}}, [&] {
      const std::size_t speaker = speaker_length(line);
      if (speaker > 0) html.element("span", {{"class", "speaker"}}, line.substr(0, speaker));
      html.text(line.substr(speaker));
    });
  }
}

struct Shown {
  const Prediction* prediction;
  double score;  ///< ROUGE-L, or not a number
};

/// `most` of them, evenly from the best score to the worst; where there are no references, evenly from the first to the last.
inline std::vector<Shown> choose(const std::vector<Prediction>& predictions, std::size_t most = 6) {
  metrics::RougeScorer score;
  std::vector<Shown> all;
  for (const auto& prediction : predictions) all.push_back({&prediction, prediction.reference ? score(*prediction.reference, prediction.summary).rougeL.f1 : std::nan("")});
  if (std::none_of(all.begin(), all.end(), [](const Shown& shown) { return std::isnan(shown.score); }))
    std::stable_sort(all.begin(), all.end(), [](const Shown& a, const Shown& b) { return a.score > b.score; });
  if (all.size() <= most) return all;
  std::vector<Shown> few;
  for (std::size_t i = 0; i < most; ++i) few.push_back(all[i * (all.size() - 1) / (most - 1)]);
  return few;
}

inline void dialogues(Html& html, const RunFiles& files) {
  if (files.predictions.empty()) return;
  const auto shown = choose(files.predictions);
  const bool sorted = std::isfinite(shown.front().score);
  html.element("h2", {}, "Dialogues and summaries");
  html.element("p", {{"class", "soft"}}, concat(shown.size(), " of ", number(static_cast<double>(files.predictions.size())), sorted ? ", evenly from the best ROUGE-L to the worst." : ", evenly from the first to the last."));
  const auto block = [&](const char* style, const char* name, const std::string& text) {
    html.element("div", {{"class", style}}, [&] {
      html.element("h4", {}, name);
      html.element("div", {{"class", "text"}}, [&] { turns(html, text); });
    });
  };
  for (const Shown& one : shown)
    html.element("article", {{"class", "card sample"}}, [&] {
      html.element("header", {}, [&] {
        html.element("span", {{"dir", "auto"}}, shortened(one.prediction->id, 80));
        if (std::isfinite(one.score)) html.element("span", {}, "ROUGE-L " + fixed(one.score, 3));
      });
      if (!one.prediction->dialogue.empty())
        html.element("div", {{"class", "text dialogue"}, {"tabindex", "0"}, {"role", "region"}, {"aria-label", "dialogue"}}, [&] { turns(html, one.prediction->dialogue); });
      html.element("div", {{"class", "answers"}}, [&] {
        if (one.prediction->reference) block("reference", "Reference", *one.prediction->reference);
        block("summary", "Summary by the model", one.prediction->summary);
        if (!files.zero_shot_summaries.empty()) block("zero-shot", "Before training", files.zero_shot_summaries[static_cast<std::size_t>(one.prediction - files.predictions.data())]);
      });
    });
}

inline StackedBar memory_bar(const RunFiles& files) {
  StackedBar bar{"memory", "Memory of each rank", {}};
  if (!files.run.is_object() || !files.run.contains("memory_plan") || !files.run["memory_plan"].is_object()) return bar;
  for (const auto& [name, bytes] : files.run["memory_plan"].items())
    if (name != "total" && bytes.is_number() && bytes.get<double>() > 0) bar.parts.push_back({name, byte_size(static_cast<std::size_t>(bytes.get<double>())), bytes.get<double>()});
  return bar;
}

/// Mean milliseconds of a step's parts, over the steps that have them; the first, which warms up, only where it is alone.
inline StackedBar time_bar(const RunFiles& files, std::ptrdiff_t& steps) {
  StackedBar bar{"time", "Time of a step", {}};
  double whole = 0;
  steps = 0;
  for (std::size_t i = files.steps.size() > 1 ? 1 : 0; i < files.steps.size(); ++i) {
    const Step& step = files.steps[i];
    if (step.parts.empty() || !std::isfinite(step.milliseconds)) continue;
    ++steps, whole += step.milliseconds;
    for (const auto& [name, milliseconds] : step.parts) {
      auto part = std::find_if(bar.parts.begin(), bar.parts.end(), [&n = name](const BarPart& p) { return p.name == n; });
      if (part == bar.parts.end()) part = bar.parts.insert(part, BarPart{name, "", 0});
      part->size += milliseconds, whole -= milliseconds;
    }
  }
  if (steps == 0) return bar;
  if (whole > 0) bar.parts.push_back({"other", "", whole});
  for (auto& part : bar.parts) {
    part.size /= static_cast<double>(steps);
    part.words = fixed(part.size, part.size < 10 ? 2 : part.size < 100 ? 1 : 0) + " ms";
    std::replace(part.name.begin(), part.name.end(), '_', ' ');
    if (part.name == "forward backward") part.name = "forward and backward";
  }
  return bar;
}

inline void cost(Html& html, const RunFiles& files) {
  std::ptrdiff_t steps = 0;
  const auto memory = memory_bar(files), time = time_bar(files, steps);
  if (memory.parts.empty() && time.parts.empty()) return;
  html.element("h2", {}, "Memory and time");
  html.element("div", {{"class", "grid"}}, [&] {
    const auto card = [&](const StackedBar& bar, const std::string& words) {
      if (bar.parts.empty()) return;
      html.element("div", {{"class", "card"}}, [&] {
        html.element("h3", {}, bar.title);
        html.element("p", {{"class", "note"}}, words);
        html.element("div", {{"class", "bar"}}, [&] { draw(html, bar); });
      });
    };
    double bytes = 0, milliseconds = 0;
    for (const auto& part : memory.parts) bytes += part.size;
    for (const auto& part : time.parts) milliseconds += part.size;
    const auto tokens = run_text(files, "token_capacity");
    card(memory, byte_size(static_cast<std::size_t>(bytes)) + " planned before the first step" + (tokens.empty() ? "" : ", for micro-batches of up to " + number(number_at(files.run, "token_capacity")) + " tokens"));
    card(time, concat(fixed(milliseconds, milliseconds < 100 ? 1 : 0), " ms, the mean of ", counted(steps, "step", "steps")));
  });
}

inline void settings(Html& html, const RunFiles& files) {
  if (!files.run.is_object() || !files.run.contains("settings") || !files.run["settings"].is_object() || files.run["settings"].empty()) return;
  html.element("details", {}, [&] {
    html.element("summary", {}, "Settings");
    html.element("dl", {{"class", "settings"}}, [&] {
      for (const auto& setting : files.run["settings"].items())
        html.element("div", {}, [&] {
          html.element("dt", {}, setting.key());
          html.element("dd", {}, setting.value().is_string() ? setting.value().get<std::string>() : setting.value().dump(-1, ' ', false, Json::error_handler_t::replace));
        });
    });
  });
}

}  // namespace detail

/// The page of a run; `name` is what it is called where its files don't say.
inline std::string page(const RunFiles& files, const std::string& name) {
  using namespace detail;
  const auto model = run_text(files, "model"), title = model.empty() ? name : model + ", " + name;
  Html html;
  html.verbatim("<!doctype html>\n");
  html.element("html", {{"lang", "en"}}, [&] {
    html.element("head", {}, [&] {
      html.open("meta", {{"charset", "utf-8"}});
      html.open("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
      html.open("meta", {{"http-equiv", "Content-Security-Policy"}, {"content", "default-src 'none'; style-src 'unsafe-inline'"}});
      html.element("title", {}, title + " \xC2\xB7 terse-summarize");
      html.element("style", {}, [&] { html.verbatim(style); });
    });
    html.element("body", {}, [&] {
      html.element("main", {}, [&] {
        html.element("header", {}, [&] { header(html, files, title); });
        tiles(html, files), warnings(html, files), curves(html, files), rouge(html, files), dialogues(html, files), cost(html, files), settings(html, files);
        html.element("footer", {}, "Written by terse-summarize from the files beside this page. It needs nothing else and asks no network.");
      });
    });
  });
  html.verbatim("\n");
  return html.page();
}

}  // namespace terse::train::report
