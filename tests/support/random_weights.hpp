#pragma once
// Weights that tests/goldens/gpt_judge/weights.py generates too, bit for bit, so that goldens needn't hold them.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

/// FNV-1a, 64 bits, of bytes.
constexpr std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = 0xCBF29CE484222325u) {
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
  return hash;
}

/// Element `index` of stream `name`: uniform in [-1, 1), a multiple of 2^-23.
/// SplitMix64 (Steele, Lea, Flood 2014) at position `index + 1` of the sequence that starts at fnv1a(name) + seed.
constexpr float random_unit(std::uint64_t seed, std::string_view name, std::uint64_t index) {
  std::uint64_t z = fnv1a(name) + seed + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return static_cast<float>(static_cast<std::int32_t>(z >> 40) - (1 << 23)) * 0x1p-23f;
}

/// The weights of a GPT-2 by tensor name (as on the hub: `wte.weight`, `h.0.attn.c_attn.weight`, …), row-major.
///
///   matrices      unit / 8, wpe unit / 16       about what 0.02 is at width 768, for a width of 32 to 64
///   gains         1 + unit / 8
///   biases        unit / 32
///   `spread`      matrices x3, wpe x4, wte x2, its last row (the end of text) x1.5 more: otherwise random models
///                 decode into near-constant text that never ends
struct RandomWeights {
  std::uint64_t seed = 1;
  bool spread = false;

  /// `columns`: the length of a row; matters for wte only.
  std::vector<float> operator()(std::string_view name, std::size_t rows, std::size_t columns = 1) const {
    std::vector<float> values(rows * columns);
    const bool gain = name.ends_with(".weight") && name.find("ln_") != name.npos;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float unit = random_unit(seed, name, i);
      values[i] = gain ? 1 + unit * 0x1p-3f : unit * scale(name, i / columns + 1 == rows);
    }
    return values;
  }

 private:
  float scale(std::string_view name, bool last_row) const {
    if (name.ends_with(".bias")) return 0x1p-5f;
    if (name == "wpe.weight") return spread ? 0x1p-2f : 0x1p-4f;
    if (name == "wte.weight") return 0x1p-3f * (spread ? (last_row ? 3.0f : 2.0f) : 1.0f);
    return 0x1p-3f * (spread ? 3.0f : 1.0f);
  }
};

/// fnv1a of the values' bytes, little-endian: what gpt.json holds of the weights.
inline std::uint64_t checksum(std::span<const float> values) {
  return fnv1a({reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}
