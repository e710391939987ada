// The whole job on two emulated GPUs, as a user runs it: --device cuda.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "small_job.hpp"

namespace {

/// The job's data, and what it asks of a device: seconds for an emulated one.
class GpuJob {
 public:
  Arguments arguments(const std::string& command, const std::string& name, const std::string& device, const std::string& precision, const Arguments& more = {}) const {
    const Arguments where{command, "--data", job.data(), "--out", job.file(name), "--model", "demo", "--device", device, "--precision", precision, "--ranks", "2", "--threads", "1"};
    return where + Arguments{"--batch", "2", "--accumulate", "1", "--warmup", "2", "--lr", "0.002", "--evaluate-samples", "2"} + more;
  }
  SmallJob job;
};

}  // namespace

TEST_CASE("training on two GPUs follows two CPU ranks") {
  const GpuJob gpu;
  const Arguments steps{"--steps", "6", "--evaluate-every", "3", "--dropout", "0.1"};
  const auto on_gpus = succeed(gpu.arguments("train", "cuda", "cuda", "fp32", steps));
  CHECK(on_gpus.err.find("DDP training: 2 GPUs") != std::string::npos);
  succeed(gpu.arguments("train", "cpu", "cpu", "fp32", steps));
  const auto cuda = gpu.job.metrics("cuda"), cpu = gpu.job.metrics("cpu");
  REQUIRE(cuda.size() == 6);
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    INFO("step " << i + 1);
    CHECK(cuda[i]["loss"].get<double>() == Approx(cpu[i]["loss"].get<double>()).epsilon(1e-4));
    if (cpu[i].contains("validation_loss")) CHECK(cuda[i]["validation_loss"].get<double>() == Approx(cpu[i]["validation_loss"].get<double>()).epsilon(1e-4));
  }
  // What one device wrote, the other reads; texts are the same wherever the likeliest token is likelier by more than rounding.
  const auto predict = [&](const char* device) {
    const auto output = gpu.job.file(std::string(device) + ".csv");
    succeed({"predict", "--data", gpu.job.data(), "--limit", "3", "--greedy", "--max-new", "8", "--device", device, "--precision", "fp32", "--ranks", "1", "--checkpoint",
             gpu.job.file("cuda/checkpoint"), "--output", output});
    return content_of(output);
  };
  CHECK(predict("cuda") == predict("cpu"));
}

TEST_CASE("run in fp16: trains, evaluates, predicts") {
  const GpuJob gpu;
  succeed(gpu.arguments("run", "out", "cuda", "fp16", {"--steps", "3", "--max-new", "4", "--limit", "2", "--greedy", "--evaluate-every", "3"}));
  CHECK(gpu.job.metrics("out").size() == 3);
  const auto out = gpu.job.folder() / "out";
  for (const char* name : {"evaluation.json", "submission.csv", "predictions.jsonl", "report.html", "best/model.safetensors"}) CHECK(std::filesystem::exists(out / name));
}

TEST_CASE("fp16: an overflow skips the step, names the tensor, halves the scale, and the run goes on") {
  const GpuJob gpu;
  succeed(gpu.arguments("train", "out", "cuda", "fp16", {"--steps", "1"}));
  const auto file = gpu.job.folder() / "out/state/step-1/state.json";
  auto state = json::parse(content_of(file));
  state["run"]["scale"] = 1e9;  // its slopes don't fit into fp16
  std::ofstream(file) << state;
  const auto resumed = succeed({"train", "--resume", "--out", gpu.job.file("out"), "--device", "cuda", "--steps", "3"});
  CAPTURE(resumed.err);
  CHECK(resumed.err.find("overflow at step 2: gradient of ") != std::string::npos);
  CHECK(resumed.err.find("loss scale halved") != std::string::npos);
  const auto steps = gpu.job.metrics("out");
  REQUIRE(steps.size() == 3);
  CHECK(steps[1]["skipped"] == true);
  CHECK(steps[1]["scale"] == 1e9);
  CHECK(steps[2]["scale"] == 5e8);
  CHECK(std::isfinite(steps[2]["loss"].get<double>()));
}

TEST_CASE("each GPU has a process; one that is killed while they sum ends the run, by name, and it goes on from its last state") {
  const GpuJob gpu;
  const auto out = gpu.job.folder() / "out";
  Running training(TERSE_SUMMARIZE, gpu.arguments("train", "out", "cuda", "fp32", {"--steps", "100000", "--evaluate-every", "0", "--checkpoint-every", "2"}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (!std::filesystem::exists(out / "state/latest") && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto ranks = training.children();
  REQUIRE(ranks.size() == 1);
  ::kill(ranks[0], SIGKILL);
  const auto result = training.wait();
  INFO(result.err);
  CHECK(result.code == 5);
  CHECK(result.err.find("error: rank 1 (process " + std::to_string(ranks[0]) + ") was ended in step ") != std::string::npos);

  const auto state = json::parse(content_of(out / "state" / content_of(out / "state/latest").substr(0, content_of(out / "state/latest").find('\n')) / "state.json"));
  const long step = state["run"]["step"].get<long>();
  const auto resumed = succeed({"train", "--resume", "--out", gpu.job.file("out"), "--device", "cuda", "--steps", std::to_string(step + 1)});
  CHECK(resumed.err.find("resumed: step " + std::to_string(step)) != std::string::npos);
  CHECK(gpu.job.metrics("out").size() == static_cast<std::size_t>(step) + 1);
}

TEST_CASE("more ranks than GPUs is exit 4") {
  const GpuJob gpu;
  auto arguments = gpu.arguments("train", "out", "cuda", "fp32");
  *(std::find(arguments.begin(), arguments.end(), "--ranks") + 1) = "3";
  const auto result = terse_summarize(arguments);
  CHECK(result.code == 4);
  CHECK(result.err.find("2 GPUs") != std::string::npos);
  CHECK(!std::filesystem::exists(gpu.job.folder() / "out"));
}
