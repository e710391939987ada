#pragma once
// What the parity tests of GPT share: the goldens' models, weights and samples (tests/goldens/README.md).
#include <cmath>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/io/safetensors.hpp>
#include <terse/models/gpt.hpp>
#include <terse/text/packing.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/random_weights.hpp"

namespace judge {

using namespace terse;

struct A : models::Config<models::GptConfig{.vocabulary = 211, .context = 64, .layers = 2, .heads = 3, .width = 48}> {};
struct AExact : models::Config<models::GptConfig{.vocabulary = 211, .context = 64, .layers = 2, .heads = 3, .width = 48, .gelu = ops::Gelu::exact}> {};
struct B : models::Config<models::GptConfig{.vocabulary = 97, .context = 33, .layers = 3, .heads = 5, .width = 35}> {};
struct G : models::Config<models::GptConfig{.vocabulary = 211, .context = 128, .layers = 2, .heads = 3, .width = 48}> {};

template <class Config, Precision P = Fp32>
using Model = models::Gpt<Config, P, Cpu>;

inline const nlohmann::json& goldens() {
  static const nlohmann::json loaded = nlohmann::json::parse(std::ifstream(golden("gpt.json")));
  return loaded;
}

/// The golden's weights, made again and held against its checksums.
template <class M>
void fill_weights(M& model, const std::string& golden_name, bool spread = false) {
  const RandomWeights random{goldens()["seed"].get<std::uint64_t>(), spread};
  for (const auto& parameter : M::table) {
    const std::string name(parameter.name.view());
    const auto values = random(name, static_cast<std::size_t>(parameter.saved_rows), static_cast<std::size_t>(parameter.columns));
    char sum[17];
    std::snprintf(sum, sizeof sum, "%016llx", static_cast<unsigned long long>(checksum(values)));
    REQUIRE(goldens()["weights"][golden_name][name] == std::string(sum));
    for (std::size_t i = 0; i < values.size(); ++i)
      model.flat()[parameter.offset + static_cast<Index>(i)] = static_cast<typename M::Parameter>(values[i]);
  }
}

/// Samples as the goldens' JSON has them.
inline std::vector<text::Sample> samples(const nlohmann::json& list) {
  std::vector<text::Sample> result;
  for (const auto& entry : list)
    result.push_back({static_cast<std::int64_t>(result.size()), entry["prompt"].get<std::size_t>(), entry["ids"].get<std::vector<TokenId>>()});
  return result;
}

/// sqrt(sum (a - b)²) / sqrt(sum b²) over everything that was added.
class RelativeError {
 public:
  void add(double ours, double theirs) { difference_ += (ours - theirs) * (ours - theirs), norm_ += theirs * theirs; }
  double value() const { return std::sqrt(difference_) / std::sqrt(norm_); }

 private:
  double difference_ = 0, norm_ = 0;
};

/// Compares a flat buffer with a file, tensor by tensor, whose names there begin with `prefix`: calls report(name, relative error of the tensor), returns that of all.
/// The key third of c_attn.bias has zero true gradient: what is there is noise on both sides.
template <class M, class Report>
double compare(const typename M::Stream* flat, const io::SafetensorsFile& file, Report&& report, const std::string& prefix = "") {
  RelativeError all;
  for (const auto& parameter : M::table) {
    const std::string name(parameter.name.view());
    const io::Shape shape = parameter.dimensions == 2 ? io::Shape{parameter.saved_rows, parameter.columns} : io::Shape{parameter.columns};
    std::vector<float> theirs(static_cast<std::size_t>(parameter.saved_rows * parameter.columns));
    file.read<float>(prefix + name, shape, theirs);
    RelativeError here;
    for (Index i = 0; i < static_cast<Index>(theirs.size()); ++i) {
      if (name.ends_with("c_attn.bias") && i / M::C == 1) continue;
      const auto expected = static_cast<double>(theirs[static_cast<std::size_t>(i)]);
      here.add(static_cast<double>(flat[parameter.offset + i]), expected);
      all.add(static_cast<double>(flat[parameter.offset + i]), expected);
    }
    report(name, here.value());
  }
  return all.value();
}

}  // namespace judge
