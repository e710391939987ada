// --lora: adapters trained on a model that has learnt, by a program that is compiled for a small Llama with adapters of rank 4.
#include <cmath>

#include <terse/io/adapter.hpp>
#include <terse/models/lora.hpp>
#include <terse/models/quantized.hpp>

#include "lora/small_llama.hpp"
#include "small_job.hpp"

using namespace terse;

namespace {

using Base = models::Llama<SmallLlama, Fp32, Cpu>;
using Lora = models::Lora<Base, 4>;

/// A base that has learnt for a few steps, and what is trained on it.
struct AdapterJob : SmallJob {
  AdapterJob() { train("base", {"--model", "smallllama", "--steps", "3"}); }

  Arguments with(const Arguments& options) const {
    return Arguments{"--init", file("base/checkpoint"), "--model", "smallllama", "--lora", "4", "--evaluate-every", "2", "--evaluate-samples", "2", "--lr", "0.02"} + options;
  }
  std::string content(const std::string& name) const { return content_of(folder() / name); }
  /// Of the run `name`: whether the files that hold what was learnt are the same as `other`'s.
  bool learnt_as(const std::string& name, const std::string& other) const {
    bool same = true;
    for (const char* path : {"/checkpoint/model.safetensors", "/best/model.safetensors", "/adapter/adapter_model.safetensors", "/best-adapter/adapter_model.safetensors"})
      same = same && content(name + path) == content(other + path);
    return same;
  }
};

std::vector<float> weights_of(const std::filesystem::path& file) {
  std::vector<float> flat(static_cast<std::size_t>(Base::flat_size));
  io::read_weights<Base>(file, flat.data());
  return flat;
}

}  // namespace

TEST_CASE("adapters are trained alone, and the checkpoint is the model with them merged") {
  const AdapterJob job;
  auto arguments = job.training("out", job.with({"--ranks", "2", "--early-stop", "rougeL:9", "--steps", "12"}));
  arguments.front() = "run";
  const auto result = succeed(arguments + Arguments{"--greedy", "--max-new", "5", "--limit", "2"});
  CHECK(result.err.find("adapters: rank 4, alpha 8, of all linear layers; trainable parameters: 4096 of") != std::string::npos);
  CHECK(result.err.find("adapter: " + job.file("out/adapter")) != std::string::npos);
  REQUIRE(job.metrics("out").size() == 12);
  CHECK(job.metrics("out")[1]["validation_rougeL"].is_number());
  CHECK(job.metrics("out")[11]["validation_loss"] < job.metrics("out")[1]["validation_loss"]);
  CHECK(lines_of(job.content("out/submission.csv")).size() == 3);

  Cpu cpu(1);
  Base base(cpu);
  io::read_weights<Base>(job.folder() / "base/checkpoint/model.safetensors", base.flat());
  const std::vector<float> before(base.flat(), base.flat() + Base::flat_size);
  Lora lora(base);
  io::read_adapter<Lora>(job.folder() / "out/adapter", lora.flat());
  lora.merge(base);
  const std::vector<float> merged(base.flat(), base.flat() + Base::flat_size);
  const bool same = merged == weights_of(job.folder() / "out/checkpoint/model.safetensors"), changed = merged != before;
  CHECK(same);
  CHECK(changed);
  CHECK(json::parse(job.content("out/adapter/adapter_config.json"))["r"] == 4);
  CHECK(std::filesystem::file_size(job.folder() / "out/state/step-12/tensors.safetensors") < static_cast<std::size_t>(Base::flat_size) * sizeof(float));
  const auto memory = json::parse(job.content("out/run.json"))["memory_plan"];
  CHECK(memory["parameters"] == (Base::flat_size + Lora::flat_size) * 4);
  CHECK(memory["optimizer"] < Base::flat_size * 4);

  succeed({"predict", "--data", job.data(), "--out", job.file("out"), "--checkpoint", job.file("out/checkpoint"), "--limit", "1", "--max-new", "3", "--output", job.file("submission.csv")});
  CHECK(succeed({"generate", "--checkpoint", job.file("out/best"), "--prompt", "We", "--max-new", "2"}).code == 0);
}

TEST_CASE("a run of adapters that goes on ends with the bits of one that nothing stopped") {
  const AdapterJob job;
  job.train("whole", job.with({"--steps", "6", "--checkpoint-every", "3", "--dropout", "0.1"}));
  // As after a kill between steps 3 and 6.
  std::filesystem::copy(job.folder() / "whole", job.folder() / "cut", std::filesystem::copy_options::recursive);
  std::ofstream(job.folder() / "cut/state/latest") << "step-3\n";
  std::filesystem::remove_all(job.folder() / "cut/state/step-6");
  const Arguments resume{"train", "--resume", "--out", job.file("cut")};

  SECTION("with the base where it was") {
    CHECK(succeed(resume).err.find("resumed: step 3 of 6 is done") != std::string::npos);
    CHECK(job.learnt_as("cut", "whole"));
    CHECK(job.content("cut/state/step-6/tensors.safetensors") == job.content("whole/state/step-6/tensors.safetensors"));
    for (std::size_t step = 3; step < 6; ++step) CHECK(job.metrics("cut")[step]["loss"] == job.metrics("whole")[step]["loss"]);
    CHECK(succeed(resume).err.find("finished") != std::string::npos);
  }
  SECTION("with the base elsewhere") {
    std::filesystem::rename(job.folder() / "base", job.folder() / "moved");
    check_error(terse_summarize(resume), 3, {"base/checkpoint: not found", "the run's adapters began on it", "--init"});
    succeed(resume + Arguments{"--init", job.file("moved/checkpoint")});
    CHECK(job.learnt_as("cut", "whole"));
  }
  SECTION("not on another base, nor with other adapters") {
    job.train("other", {"--model", "smallllama", "--steps", "2", "--tokenizer", job.file("base/checkpoint")});
    check_error(terse_summarize(resume + Arguments{"--init", job.file("other/checkpoint")}), 3, {"step-3/tensors.safetensors", "other weights", "other/checkpoint", "--init"});
    check_error(terse_summarize(resume + Arguments{"--lora", "2"}), 2, {"--lora 2", "began with 4", "--overwrite"});
    check_error(terse_summarize(resume + Arguments{"--lora", "0"}), 2, {"--lora 0", "began with 4"});
  }
}

TEST_CASE("adapters of 8-bit weights: the checkpoint is what was trained, whatever the ranks, and resumed to the bit") {
  const AdapterJob job;
  const auto int8 = job.with({"--precision", "int8"});
  auto arguments = job.training("out", int8 + Arguments{"--ranks", "2", "--early-stop", "rougeL:9", "--steps", "12", "--validation", job.data(), "--zero-shot"});
  arguments.front() = "run";
  succeed(arguments + Arguments{"--greedy", "--max-new", "5", "--limit", "2"});
  CHECK(job.metrics("out")[1]["validation_rougeL"].is_number());
  CHECK(job.metrics("out")[11]["validation_loss"] < job.metrics("out")[1]["validation_loss"]);
  CHECK(lines_of(job.content("out/submission.csv")).size() == 3);
  // What run judges and submits is the checkpoint, not that in 8 bits once more.
  succeed({"evaluate", "--data", job.data(), "--out", job.file("out"), "--output", job.file("again/evaluation.json"), "--limit", "2", "--greedy", "--max-new", "5"});
  CHECK(job.content("again/predictions.jsonl") == job.content("out/predictions.jsonl"));
  const auto plan = [&](const char* run) { return json::parse(job.content(concat(run, "/run.json")))["memory_plan"]; };
  job.train("fp32", job.with({"--ranks", "2", "--steps", "1"}));
  CHECK(plan("out")["parameters"] == models::Quantized<Base>::bytes() + Lora::flat_size * sizeof(float));
  CHECK(plan("out")["parameters"] < plan("fp32")["parameters"]);  // not by much: so small a model's columns are mostly padding
  CHECK(plan("out")["optimizer"] == plan("fp32")["optimizer"]);

  Cpu cpu(1);
  Base whole(cpu);
  const models::Quantized<Base> base(cpu, [&](auto& take) { io::read_weights_in_turn<Base>(job.folder() / "base/checkpoint/model.safetensors", take); });
  std::vector<float> room(static_cast<std::size_t>(Base::flat_size));
  for (const auto& parameter : Base::table) std::copy_n(base.values_of(parameter, room.data()), parameter.size(), whole.flat() + parameter.offset);
  models::Lora<models::Quantized<Base>, 4> lora(base);
  io::read_adapter<decltype(lora)>(job.folder() / "out/adapter", lora.flat());
  lora.merge(whole);
  const bool same = std::vector<float>(whole.flat(), whole.flat() + Base::flat_size) == weights_of(job.folder() / "out/checkpoint/model.safetensors");
  CHECK(same);

  job.train("one", int8 + Arguments{"--ranks", "1", "--accumulate", "2", "--reproducible", "--steps", "6", "--checkpoint-every", "3"});
  job.train("two", int8 + Arguments{"--ranks", "2", "--reproducible", "--steps", "6", "--checkpoint-every", "3"});
  CHECK(job.learnt_as("two", "one"));
  std::ofstream(job.folder() / "two/state/latest") << "step-3\n";  // as after a kill between steps 3 and 6
  std::filesystem::remove_all(job.folder() / "two/state/step-6");
  check_error(terse_summarize({"train", "--resume", "--out", job.file("two"), "--precision", "fp32"}), 2, {"--precision", "began with \"int8\""});
  job.train("other", {"--model", "smallllama", "--steps", "2", "--tokenizer", job.file("base/checkpoint")});
  check_error(terse_summarize({"train", "--resume", "--out", job.file("two"), "--init", job.file("other/checkpoint")}), 3, {"step-3/tensors.safetensors", "other weights"});
  succeed({"train", "--resume", "--out", job.file("two"), "--ranks", "1"});
  CHECK(job.learnt_as("two", "one"));
}

TEST_CASE("adapters don't depend on where the optimizer's state is") {
  const AdapterJob job;
  job.train("whole", job.with({"--ranks", "2"}));
  job.train("sharded", job.with({"--ranks", "2", "--shard-optimizer"}));
  CHECK(job.learnt_as("sharded", "whole"));
  job.train("reproducible", job.with({"--ranks", "1", "--accumulate", "2", "--reproducible"}));
  job.train("two-ranks", job.with({"--ranks", "2", "--reproducible"}));
  CHECK(job.learnt_as("two-ranks", "reproducible"));
}

TEST_CASE("adapters ask for a model that has learnt, and for a rank that is compiled in") {
  const AdapterJob job;
  const auto train = [&](const Arguments& options) { return terse_summarize(job.training("out", options)); };
  const Arguments model{"--model", "smallllama"};
  check_error(train(model + Arguments{"--lora", "4"}), 2, {"--lora 4", "--init", "leave --lora out"});
  check_error(train(model + Arguments{"--lora", "3", "--init", job.file("base/checkpoint")}), 2, {"--lora 3", "compiled in are adapters of rank 4", "LORA_RANKS 3"});
  check_error(train(model + Arguments{"--lora", "x"}), 2, {"--lora"});
  check_error(train(model + Arguments{"--lora", "4", "--init", job.file("nowhere")}), 3, {"nowhere: not found"});
  CHECK(!std::filesystem::exists(job.folder() / "out"));
  check_error(terse_summarize(job.training("base", job.with({"--overwrite"}))), 2, {"--init", "its adapters need the one they began on", "--out"});
  CHECK(std::filesystem::exists(job.folder() / "base/checkpoint/model.safetensors"));
  std::filesystem::resize_file(job.folder() / "base/checkpoint/model.safetensors", 1000);
  check_error(train(job.with({})), 3, {"base/checkpoint/model.safetensors"});
}

TEST_CASE("plan shows the memory of both ways to train") {
  const Arguments plan{"plan", "--model", "smallllama", "--precision", "fp32", "--batch", "2"};
  const auto text = succeed(plan).out;
  CHECK(text.find("with --lora 4  ") != std::string::npos);
  const auto both = json::parse(succeed(plan + Arguments{"--json", "--lora", "4"}).out);
  CHECK(text.find("with --lora 4 --precision int8") != std::string::npos);
  REQUIRE(both["trainings"].size() == 3);
  const auto &all = both["trainings"][0], &adapters = both["trainings"][1], &of_int8 = both["trainings"][2];
  CHECK(of_int8["precision"] == "int8");
  CHECK(of_int8["typical_bytes"]["parameters"] < adapters["typical_bytes"]["parameters"]);
  CHECK(of_int8["typical_bytes"]["gradients"] == adapters["typical_bytes"]["gradients"]);
  CHECK(all["lora"] == 0);
  CHECK(adapters["lora"] == 4);
  CHECK(adapters["trained_parameters"] == 4096);
  CHECK(adapters["typical_bytes"]["optimizer"].get<long>() * 3 < all["typical_bytes"]["optimizer"].get<long>());
  CHECK(both["typical_bytes"] == adapters["typical_bytes"]);
  CHECK(json::parse(succeed(plan + Arguments{"--json"}).out)["typical_bytes"] == all["typical_bytes"]);
  const auto chosen = json::parse(succeed({"plan", "--model", "smallllama", "--precision", "int8", "--lora", "4", "--batch", "2", "--json"}).out);
  CHECK(chosen["precision"] == "int8");
  CHECK(chosen["typical_bytes"] == of_int8["typical_bytes"]);
  CHECK(json::parse(succeed(plan + Arguments{"--json", "--r-drop", "1"}).out)["typical_tokens"].get<long>() == 2 * both["typical_tokens"].get<long>());
}
