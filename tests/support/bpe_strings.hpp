#pragma once
// The generated strings of the tokenizer's goldens: tests/goldens/bpe.py makes the same ones.
#include <cstdint>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/files.hpp"

/// splitmix64 (Steele, Lea, Flood 2014).
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}
  std::uint64_t below(std::uint64_t bound) {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % bound;
  }

 private:
  std::uint64_t state_;
};

/// FNV-1a, its 64 bits folded into 32.
class FnvHash {
 public:
  FnvHash& add(std::string_view bytes) {
    for (const char byte : bytes) add_byte(static_cast<unsigned char>(byte));
    return *this;
  }
  /// As four bytes each, the lowest first.
  FnvHash& add(std::span<const std::int32_t> ids) {
    for (const std::int32_t id : ids) {
      for (int shift = 0; shift < 32; shift += 8) add_byte(static_cast<std::uint32_t>(id) >> shift & 0xFF);
    }
    return *this;
  }
  std::uint32_t value() const { return static_cast<std::uint32_t>(state_ ^ state_ >> 32); }

 private:
  void add_byte(std::uint64_t byte) { state_ = (state_ ^ byte) * 0x100000001B3u; }
  std::uint64_t state_ = 0xCBF29CE484222325u;
};

/// A golden of 32-bit numbers, the lowest byte first.
inline std::vector<std::uint32_t> golden_hashes(const std::string& name) {
  std::ifstream in(golden(name), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::uint32_t> hashes(bytes.size() / 4);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    hashes[i / 4] |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << 8 * (i % 4);
  }
  if (hashes.empty()) throw std::runtime_error("tests/data/" + name + " is missing or empty");
  return hashes;
}

inline void append_utf8(std::uint32_t point, std::string& text) {
  const auto byte = [&text](std::uint32_t value) { text += static_cast<char>(value); };
  if (point < 0x80) return byte(point);
  if (point < 0x800) {
    byte(0xC0 | point >> 6);
  } else {
    if (point < 0x10000) {
      byte(0xE0 | point >> 12);
    } else {
      byte(0xF0 | point >> 18);
      byte(0x80 | (point >> 12 & 0x3F));
    }
    byte(0x80 | (point >> 6 & 0x3F));
  }
  byte(0x80 | (point & 0x3F));
}

/// The grammar of tests/data/bpe_strings.txt.
class GeneratedStrings {
 public:
  struct Generated {
    std::string text, kind;
  };

  GeneratedStrings() {
    std::ifstream in(golden("bpe_strings.txt"));
    for (std::string word; in >> word;) {
      if (word == "kind") {
        Kind& kind = kinds_.emplace_back();
        std::size_t items = 0;
        in >> kind.name >> kind.most >> items;
      } else if (word == "text") {
        std::string hex, text;
        in >> hex;
        for (std::size_t i = 0; i < hex.size(); i += 2) text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
        kinds_.back().items.push_back({text, 0, 0, 0, 0});
      } else {
        Item& item = kinds_.back().items.emplace_back();
        in >> item.first >> item.last >> item.fresh >> item.repeats;
      }
    }
    if (kinds_.empty()) throw std::runtime_error("tests/data/bpe_strings.txt is missing or empty");
  }

  Generated operator()(std::uint64_t index) const {
    SplitMix random(index);
    const Kind& kind = kinds_[index % kinds_.size()];
    Generated made{"", kind.name};
    for (std::uint64_t left = random.below(kind.most + 1); left > 0; --left) {
      const Item& item = kind.items[random.below(kind.items.size())];
      made.text += item.text;
      for (std::uint64_t fresh = item.fresh == 0 ? 0 : 1 + random.below(item.fresh); fresh > 0; --fresh) {
        const auto point = static_cast<std::uint32_t>(item.first + random.below(item.last - item.first + 1));
        for (std::uint64_t repeats = 1 + random.below(item.repeats); repeats > 0; --repeats) append_utf8(point, made.text);
      }
    }
    return made;
  }

 private:
  /// A text, or up to `fresh` code points from first to last, each up to `repeats` times.
  struct Item {
    std::string text;
    std::uint64_t first = 0, last = 0, fresh = 0, repeats = 0;
  };
  struct Kind {
    std::string name;
    std::uint64_t most = 0;
    std::vector<Item> items;
  };
  std::vector<Kind> kinds_;
};
