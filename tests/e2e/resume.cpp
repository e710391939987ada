// Starting again: --resume, --overwrite, --config, the lock, and runs that are killed.
#include <chrono>
#include <random>
#include <thread>

#include <terse/io/safetensors.hpp>

#include "small_job.hpp"

namespace {

const Arguments options{"--reproducible", "--dropout", "0.1", "--evaluate-every", "4", "--checkpoint-every", "1", "--evaluate-samples", "2"};
const Arguments reproducible = options + Arguments{"--steps", "8", "--accumulate", "2"};

std::string model_of(const SmallJob& job, const std::string& name, const std::string& checkpoint) { return content_of(job.folder() / name / checkpoint / "model.safetensors"); }

}  // namespace

namespace {

void check_killed(const SmallJob& job, const Arguments& reproducible) {
  job.train("whole", reproducible);
  std::mt19937 random(1);
  int kills = 0;
  for (int round = 0; round < 40; ++round) {
    Running training(TERSE_SUMMARIZE, job.training("killed", reproducible + Arguments{"--resume"}));
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + random() % 300));
    if (!training.kill()) break;  // it had ended
    ++kills;
  }
  job.train("killed", reproducible + Arguments{"--resume"});
  WARN(kills << " kills");
  for (const char* name : {"checkpoint", "best"}) {
    const bool equal = model_of(job, "killed", name) == model_of(job, "whole", name);  // megabytes, which Catch would print
    INFO(name);
    CHECK(equal);
  }
  CHECK(temporary_files(job.folder() / "killed").empty());
  const auto steps = job.metrics("killed");
  REQUIRE(steps.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(steps[i]["step"] == i + 1);
    CHECK(steps[i]["loss"] == job.metrics("whole")[i]["loss"]);
  }
  const auto run = json::parse(content_of(job.folder() / "killed/run.json"));
  CHECK(run["finished"] == true);
  CHECK(run["memory_plan"]["total"].get<long>() > 0);
  CHECK(run["settings"]["steps"] == 8);
}

}  // namespace

TEST_CASE("a run that is killed, again and again, ends with the bits of one that wasn't") { check_killed(SmallJob(), reproducible); }

TEST_CASE("so does one with smoothed labels, R-Drop, learning rates by layer and averaged weights, which are settings of the run") {
  const SmallJob job;
  check_killed(job, reproducible + Arguments{"--label-smoothing", "0.1", "--r-drop", "0.7", "--layer-decay", "0.8", "--ema", "0.6"});
  for (const auto& [option, value, begun] : {std::tuple{"--label-smoothing", "0.2", "0.1"}, {"--r-drop", "0.5", "0.7"}, {"--layer-decay", "0.9", "0.8"}, {"--ema", "0.5", "0.6"}})
    check_error(terse_summarize({"train", "--resume", "--out", job.file("whole"), "--steps", "9", option, value}), 2, {std::string(option) + " " + value, begun, "--overwrite"});
  CHECK(json::parse(content_of(job.folder() / "whole/run.json"))["memory_plan"]["ema"].get<long>() > 0);

  // What is kept to be used is the average; the state has the weights too.
  const auto state = terse::io::SafetensorsFile::open(job.folder() / "whole/state/step-8/tensors.safetensors"), kept = terse::io::SafetensorsFile::open(job.folder() / "whole/checkpoint/model.safetensors");
  const std::string name = "ln_f.weight";
  const auto read = [](const auto& file, const std::string& tensor) {
    const auto shape = file.find(tensor)->shape;
    std::vector<float> values(static_cast<std::size_t>(shape.at(0)));
    file.template read<float>(tensor, shape, values);
    return values;
  };
  CHECK(read(kept, "transformer." + name) == read(state, "ema." + name));
  CHECK(read(kept, "transformer." + name) != read(state, "parameters." + name));
}

TEST_CASE("a run goes on with another number of ranks, and keeps its settings") {
  const SmallJob job;
  job.train("chain", options + Arguments{"--ranks", "1", "--accumulate", "4", "--steps", "3"});
  const auto out = job.file("chain");
  const auto longer = succeed({"train", "--resume", "--out", out, "--ranks", "4", "--steps", "6"});
  CHECK(longer.err.find("resumed: step 3 of 6 is done") != std::string::npos);
  CHECK(longer.err.find("gradient accumulation: 1") != std::string::npos);
  CHECK(job.metrics("chain").size() == 6);
  check_error(terse_summarize({"train", "--resume", "--out", out, "--steps", "7", "--ranks", "3"}), 2, {"--ranks 3", "8 samples"});
  check_error(terse_summarize({"train", "--resume", "--out", out, "--steps", "7", "--lr", "1"}), 2, {"--lr 1.0", "0.002", "--overwrite"});
  check_error(terse_summarize({"train", "--resume", "--out", out, "--steps", "7", "--accumulate", "3"}), 2, {"accumulate 3", "8"});
  write_dialogues(job.file("other.csv"), 41);
  check_error(terse_summarize({"train", "--resume", "--out", out, "--steps", "7", "--data", job.file("other.csv")}), 2, {"other samples"});
  const auto finished = succeed({"train", "--resume", "--out", out});
  CHECK(finished.err.find("finished") != std::string::npos);
  CHECK(job.metrics("chain").size() == 6);
}

TEST_CASE("an --out that holds a run needs --resume or --overwrite") {
  const SmallJob job;
  const auto from_nothing = job.train("out", {"--resume", "--steps", "2"});
  CHECK(from_nothing.err.find("starts from step 0") != std::string::npos);
  check_error(terse_summarize(job.training("out", {"--steps", "2"})), 2, {"--resume", "--overwrite"});
  check_error(terse_summarize(job.training("out", {"--resume", "--overwrite"})), 2, {"--resume", "--overwrite"});
  // A mistake mustn't cost the run that was there.
  check_error(terse_summarize(job.training("out", {"--overwrite", "--accumulate", "3", "--reproducible"})), 2, {"power of two"});
  check_error(terse_summarize(job.training("out", {"--overwrite", "--reproducible", "--reduce-dtype", "bf16"})), 2, {"--reproducible sums gradients in fp32", "--reduce-dtype bf16"});
  CHECK(std::filesystem::exists(job.folder() / "out/checkpoint/model.safetensors"));
  std::filesystem::remove_all(job.folder() / "out/state");
  check_error(terse_summarize(job.training("out", {"--steps", "2"})), 2, {"--overwrite"});
  CHECK(succeed(job.training("out", {"--steps", "2", "--resume"})).err.find("finished") != std::string::npos);
  job.train("out", {"--steps", "3", "--overwrite"});
  CHECK(job.metrics("out").size() == 3);
}

TEST_CASE("files that no run vouches for are not replaced unasked") {
  const SmallJob job;
  for (const char* name : {"submission.csv", "best", "state"}) {
    CAPTURE(name);
    const auto out = job.folder() / ("with-" + std::string(name));
    std::filesystem::create_directories(out);
    std::ofstream(out / name) << "mine";
    check_error(terse_summarize(job.training(out.filename().string(), {"--steps", "1"})), 2, {name, "--overwrite"});
    CHECK(content_of(out / name) == "mine");
  }
  std::filesystem::create_directories(job.folder() / "demo");
  std::ofstream(job.folder() / "demo/train.csv") << "mine";
  check_error(terse_summarize({"demo", "--out", job.file("demo"), "--steps", "1"}), 2, {"train.csv", "--overwrite"});
  CHECK(content_of(job.folder() / "demo/train.csv") == "mine");
}

TEST_CASE("two runs can't work in one folder") {
  const SmallJob job;
  Running first(TERSE_SUMMARIZE, job.training("out", {"--steps", "100000", "--checkpoint-every", "1"}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!std::filesystem::exists(job.folder() / "out/state/latest") && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  check_error(terse_summarize(job.training("out", {"--resume"})), 6, {"another run", "--out"});
  first.interrupt();
  const auto result = first.wait();
  CHECK(result.code == 130);
  CHECK(result.err.find("--resume") != std::string::npos);
  const auto steps = job.metrics("out").size();
  CHECK(std::filesystem::exists(job.folder() / ("out/state/step-" + std::to_string(steps))));
}

TEST_CASE("--config holds the same names; the command line wins") {
  const SmallJob job;
  const auto config = [&](const std::string& text) {
    std::ofstream(job.file("config.json")) << text;
    return Arguments{"train", "--config", job.file("config.json")};
  };
  const std::string common = R"("data": ")" + job.data() + R"(", "model": "demo", "precision": "fp32", "out": ")" + job.file("out") + R"(", "batch": 2, "threads": 1)";
  succeed(config("{" + common + R"(, "steps": 3, "accumulate": 1, "shuffle": false, "reproducible": true, "lr": 0.001})") + Arguments{"--steps", "2"});
  CHECK(job.metrics("out").size() == 2);
  const auto settings = json::parse(content_of(job.folder() / "out/run.json"))["settings"];
  CHECK(settings["lr"] == 0.001);
  CHECK(settings["shuffle"] == false);
  CHECK(settings["reproducible"] == true);
  check_error(terse_summarize(config("{" + common + R"(, "stpes": 3})")), 2, {"config.json", "stpes"});
  check_error(terse_summarize(config("{" + common + R"(, "steps": 0})")), 2, {"config.json", "--steps"});
  check_error(terse_summarize(config("{" + common + R"(, "steps": [1]})")), 2, {"config.json", "steps"});
  check_error(terse_summarize(config("[")), 3, {"config.json", "JSON"});
  check_error(terse_summarize({"train", "--config", job.file("none.json")}), 3, {"none.json"});
}

TEST_CASE("--early-stop ends a run that no longer gets better, and it stays ended") {
  const SmallJob job;
  const auto result = job.train("out", {"--steps", "50", "--lr", "0", "--min-lr", "0", "--evaluate-every", "1", "--early-stop", "loss:2", "--evaluate-samples", "2"});
  CHECK(result.err.find("ends early, after step 3") != std::string::npos);
  CHECK(job.metrics("out").size() == 3);
  CHECK(job.train("out", {"--steps", "50", "--lr", "0", "--min-lr", "0", "--resume"}).err.find("finished") != std::string::npos);
  const auto rouge = job.train("rouge", {"--steps", "2", "--evaluate-every", "1", "--early-stop", "rougeL:5", "--evaluate-samples", "2"});
  CHECK(job.metrics("rouge").front()["validation_rougeL"].is_number());
}

TEST_CASE("how texts are written may change when a run goes on") {
  const SmallJob job;
  auto arguments = job.training("out", {"--steps", "2", "--evaluate-every", "1", "--early-stop", "rougeL:5", "--evaluate-samples", "2"});
  arguments.front() = "run";
  succeed(arguments + Arguments{"--max-new", "3", "--limit", "1"});
  succeed({"run", "--resume", "--out", job.file("out"), "--steps", "3", "--beams", "4", "--beam-groups", "2", "--diversity", "0.5"});
  CHECK(job.metrics("out").back()["validation_rougeL"].is_number());
  CHECK(json::parse(content_of(job.folder() / "out/run.json"))["settings"]["beams"] == 4);
}

TEST_CASE("--early-stop's count belongs to its metric and patience, and needs something to judge") {
  const SmallJob job;
  const Arguments still{"--lr", "0", "--min-lr", "0", "--evaluate-every", "1", "--evaluate-samples", "2"};
  job.train("out", still + Arguments{"--steps", "5", "--early-stop", "loss:2"});
  CHECK(job.metrics("out").size() == 3);
  job.train("out", {"--steps", "5", "--early-stop", "loss:3", "--resume", "--lr", "0", "--min-lr", "0"});  // counts on from 2
  CHECK(job.metrics("out").size() == 4);
  job.train("out", {"--steps", "5", "--early-stop", "off", "--resume", "--lr", "0", "--min-lr", "0"});
  CHECK(job.metrics("out").size() == 5);
  for (const Arguments& nothing : {Arguments{"--evaluate-every", "0"}, Arguments{"--evaluate-samples", "0"}, Arguments{"--validation-split", "0"}})
    check_error(terse_summarize(job.training("none", nothing + Arguments{"--early-stop", "loss:2"})), 2, {"--early-stop", "judged"});
  CHECK(!std::filesystem::exists(job.folder() / "none"));
}

TEST_CASE("before the first state, --resume starts over as the run was begun") {
  const SmallJob job;
  job.train("out", {"--steps", "2", "--lr", "0.003"});
  std::filesystem::remove_all(job.folder() / "out/state"), std::filesystem::remove_all(job.folder() / "out/checkpoint"), std::filesystem::remove_all(job.folder() / "out/best");
  std::filesystem::remove(job.folder() / "out/metrics.jsonl");
  const auto run = job.folder() / "out/run.json";
  auto description = json::parse(content_of(run));
  description["finished"] = false;
  std::ofstream(run) << description;
  const auto result = succeed({"train", "--resume", "--out", job.file("out"), "--batch", "1"});
  CHECK(result.err.find("starts from step 0") != std::string::npos);
  const auto settings = json::parse(content_of(run))["settings"];
  CHECK(settings["lr"] == 0.003);
  CHECK(settings["batch"] == 1);
}

TEST_CASE("train goes on with what run was told, and keeps what is only run's") {
  const SmallJob job;
  succeed(Arguments{"run"} + [&] {
    auto arguments = job.training("out", {"--steps", "1", "--greedy", "--max-new", "3", "--limit", "2"});
    arguments.erase(arguments.begin());
    return arguments;
  }());
  succeed({"train", "--resume", "--out", job.file("out"), "--steps", "2"});
  const auto settings = json::parse(content_of(job.folder() / "out/run.json"))["settings"];
  CHECK(settings["greedy"] == true);
  CHECK(settings["max-new"] == 3);
  CHECK(settings["limit"] == 2);
}

TEST_CASE("what is derived from a state can't stand in its way") {
  const SmallJob job;
  job.train("out", {"--steps", "2"});
  const auto out = job.folder() / "out";
  const std::string weights = content_of(out / "checkpoint/model.safetensors");
  std::ofstream(out / "checkpoint/model.safetensors", std::ios::binary) << "damaged";
  std::ofstream(out / "run.json") << "{";
  job.train("out", {"--steps", "2", "--resume"});
  const bool equal = content_of(out / "checkpoint/model.safetensors") == weights;
  CHECK(equal);
  CHECK(json::parse(content_of(out / "run.json"))["finished"] == true);
}

TEST_CASE("a damaged state is exit 3, named by file") {
  const SmallJob job;
  job.train("out", {"--steps", "2"});
  const auto state = job.folder() / "out/state/step-2";
  const auto resume = job.training("out", {"--steps", "4", "--resume"});
  const auto damaged = [&](const std::filesystem::path& file, const std::string& content, const std::vector<std::string>& words) {
    const std::string whole = content_of(file);
    std::ofstream(file, std::ios::binary) << content;
    check_error(terse_summarize(resume), 3, words);
    std::ofstream(file, std::ios::binary) << whole;
  };
  damaged(state / "state.json", "{", {"state.json", "JSON"});
  damaged(state / "state.json", "{}", {"state.json", "settings"});
  damaged(job.folder() / "out/state/latest", "step-3\n", {"latest"});
  const std::string tensors = content_of(state / "tensors.safetensors");
  damaged(state / "tensors.safetensors", tensors.substr(0, tensors.size() - 7), {"tensors.safetensors"});
  succeed(resume);
  CHECK(job.metrics("out").size() == 4);
}

TEST_CASE("--zero-shot judges the model that --init names beside the one that is trained") {
  const SmallJob job;
  job.train("first");
  const Arguments run{"run", "--data", job.data(), "--init", job.file("first/checkpoint"), "--precision", "fp32", "--steps", "2", "--batch", "2", "--accumulate", "1", "--threads", "1", "--warmup", "1",
                      "--lr", "0.01", "--max-new", "6", "--greedy", "--limit", "2", "--zero-shot", "--out", job.file("out")};
  const auto result = succeed(run);
  CHECK(result.out.find("zero-shot: ROUGE F1 on 2 dialogues") < result.out.find("\nROUGE F1 on 2 dialogues"));
  const auto before = json_lines_of(content_of(job.folder() / "out/zero-shot/predictions.jsonl")), after = json_lines_of(content_of(job.folder() / "out/predictions.jsonl"));
  REQUIRE(before.size() == 2);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(before[i]["id"] == after[i]["id"]);
  const auto page = content_of(job.folder() / "out/report.html");
  CHECK(page.find("Before training") != std::string::npos);
  CHECK(page.find("before training</th>") != std::string::npos);

  // What the initial model itself writes is what evaluate says of it.
  succeed({"evaluate", "--data", job.data(), "--checkpoint", job.file("first/checkpoint"), "--precision", "fp32", "--max-new", "6", "--greedy", "--threads", "1", "--out", job.file("alone")});
  for (const auto& line : json_lines_of(content_of(job.folder() / "alone/predictions.jsonl")))
    for (const auto& own : before)
      if (line["id"] == own["id"]) CHECK(line["summary"] == own["summary"]);

  // A run that goes on judges it again, beside the model that was trained on.
  const auto more = Arguments{"run", "--resume", "--steps", "3", "--limit", "1", "--out", job.file("out")};
  succeed(more);
  CHECK(json_lines_of(content_of(job.folder() / "out/zero-shot/predictions.jsonl")).size() == 1);
  CHECK(json_lines_of(content_of(job.folder() / "out/predictions.jsonl")).size() == 1);
  // Of other dialogues it says nothing.
  succeed({"evaluate", "--data", job.data(), "--limit", "3", "--precision", "fp32", "--max-new", "4", "--greedy", "--threads", "1", "--out", job.file("out")});
  CHECK(content_of(job.folder() / "out/report.html").find("Before training") == std::string::npos);

  const auto again = succeed(run + Arguments{"--overwrite", "--json"});
  CHECK(json::parse(again.out).contains("rougeL"));
  check_error(terse_summarize({"run", "--data", job.data(), "--init", job.file("out/checkpoint"), "--zero-shot", "--overwrite", "--out", job.file("out")}), 2, {"--zero-shot judges the one it began on", "--out"});
  check_error(terse_summarize({"run", "--data", job.data(), "--model", "demo", "--zero-shot", "--out", job.file("other")}), 2, {"--zero-shot", "--init"});
}

TEST_CASE("--init names the model that is meant where --model isn't given, and --resume remembers it") {
  const SmallJob job;
  job.train("out");
  const Arguments common{"--data", job.data(), "--batch", "2", "--accumulate", "1", "--ranks", "1", "--threads", "1", "--precision", "fp32"};
  const auto first = succeed(Arguments{"train", "--init", job.file("out/checkpoint"), "--steps", "2", "--out", job.file("again")} + common);
  CHECK((first.out + first.err).find("model: demo") != std::string::npos);
  CHECK(json::parse(content_of(job.folder() / "again" / "run.json"))["settings"]["model"] == "demo");
  succeed({"train", "--out", job.file("again"), "--resume", "--steps", "3"});
  CHECK(job.metrics("again").size() == 3);

  const auto other = terse_summarize(Arguments{"train", "--model", "tiny", "--init", job.file("out/checkpoint"), "--steps", "1", "--out", job.file("other")} + common);
  CHECK(other.code == 3);
  CHECK(other.err.find("compile this one (terse_add_summarizer): struct Mine : terse::models::Config<terse::models::GptConfig{.vocabulary = 1024") != std::string::npos);
}
