#pragma once
/// GGUF's names and layouts beside those of Hugging Face's files.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/io/gguf/file.hpp>

namespace terse::io {

/// How a tensor lies in a GGUF file, seen from Hugging Face's.
enum class GgufLayout {
  same,
  transposed,  ///< (out, in): GPT-2's matrices are (in, out) at Hugging Face
  rotary,      ///< Llama's q and k: the two rows that RoPE turns together are neighbours; at Hugging Face they are half a head apart
};

namespace detail {

/// A layer's number stands for `#`.
struct GgufPart {
  std::string_view gguf, hugging_face;
  GgufLayout layout = GgufLayout::same;
};

/// Source: gguf-py, tensor_mapping.py; layouts: convert_hf_to_gguf.py of llama.cpp.
inline constexpr std::array<GgufPart, 12> llama_parts{{{"token_embd", "model.embed_tokens"},
                                                       {"output_norm", "model.norm"},
                                                       {"output", "lm_head"},
                                                       {"blk.#.attn_norm", "model.layers.#.input_layernorm"},
                                                       {"blk.#.attn_q", "model.layers.#.self_attn.q_proj", GgufLayout::rotary},
                                                       {"blk.#.attn_k", "model.layers.#.self_attn.k_proj", GgufLayout::rotary},
                                                       {"blk.#.attn_v", "model.layers.#.self_attn.v_proj"},
                                                       {"blk.#.attn_output", "model.layers.#.self_attn.o_proj"},
                                                       {"blk.#.ffn_norm", "model.layers.#.post_attention_layernorm"},
                                                       {"blk.#.ffn_gate", "model.layers.#.mlp.gate_proj"},
                                                       {"blk.#.ffn_up", "model.layers.#.mlp.up_proj"},
                                                       {"blk.#.ffn_down", "model.layers.#.mlp.down_proj"}}};
inline constexpr std::array<GgufPart, 10> gpt2_parts{{{"token_embd", "transformer.wte"},
                                                      {"position_embd", "transformer.wpe"},
                                                      {"output_norm", "transformer.ln_f"},
                                                      {"output", "lm_head"},
                                                      {"blk.#.attn_norm", "transformer.h.#.ln_1"},
                                                      {"blk.#.attn_qkv", "transformer.h.#.attn.c_attn", GgufLayout::transposed},
                                                      {"blk.#.attn_output", "transformer.h.#.attn.c_proj", GgufLayout::transposed},
                                                      {"blk.#.ffn_norm", "transformer.h.#.ln_2"},
                                                      {"blk.#.ffn_up", "transformer.h.#.mlp.c_fc", GgufLayout::transposed},
                                                      {"blk.#.ffn_down", "transformer.h.#.mlp.c_proj", GgufLayout::transposed}}};

/// The tensors of an architecture; none of one that isn't known here.
inline std::span<const GgufPart> gguf_parts(std::string_view architecture) {
  if (architecture == "llama") return llama_parts;
  if (architecture == "gpt2") return gpt2_parts;
  return {};
}

/// `name` as `to` spells it where it is spelled as `from`, with .weight or .bias behind.
inline std::optional<std::string> renamed(std::string_view name, std::string_view from, std::string_view to) {
  const std::size_t dot = name.rfind('.');
  if (dot == name.npos || (name.substr(dot) != ".weight" && name.substr(dot) != ".bias")) return std::nullopt;
  const std::string_view stem = name.substr(0, dot);
  const std::size_t mark = from.find('#');
  std::string number;
  if (mark != from.npos) {
    if (!stem.starts_with(from.substr(0, mark))) return std::nullopt;
    for (const char digit : stem.substr(mark)) {
      if (digit < '0' || digit > '9') break;
      number += digit;
    }
    if (number.empty() || stem.substr(mark + number.size()) != from.substr(mark + 1)) return std::nullopt;
  } else if (stem != from) {
    return std::nullopt;
  }
  std::string result(to);
  if (mark != from.npos) result.replace(result.find('#'), 1, number);
  return result + std::string(name.substr(dot));
}

/// Row of a rotary matrix at Hugging Face that is row `row` in GGUF: pairs (j, j + D/2) of a head of D rows are neighbours there.
inline Index rotary_row(Index row, Index head_size) {
  const Index in_head = row % head_size;
  return row - in_head + in_head % 2 * (head_size / 2) + in_head / 2;
}

}  // namespace detail

/// The tensors of a llama or gpt2 GGUF file under the names and in the layout of Hugging Face's files: what io::read_weights reads.
/// The file must outlive this.
///
/// Errors     Failure::bad_input, naming the file and the tensor by its GGUF name
class GgufWeights {
 public:
  /// A tensor of the file, and how it lies there.
  struct Tensor {
    std::string name;          ///< in the file
    const GgufTensor* stored;
    GgufLayout layout;
    Index head_size = 0;       ///< rotary: rows of a head
    Shape shape = {};          ///< at Hugging Face
  };

  /// Errors     another architecture; q or k whose rows aren't whole heads
  explicit GgufWeights(const Gguf& file) : file_(file), parts_(detail::gguf_parts(file.text("general.architecture"))) {
    if (parts_.empty()) file.refuse("general.architecture", "is ", in_quotes(file.text("general.architecture")), ", \"llama\" or \"gpt2\" expected: another kind of model");
    for (const auto& [name, tensor] : file.tensors()) add(name, tensor);
  }

  const std::string& name() const { return file_.name(); }
  /// By Hugging Face's names; one that has none there keeps its own.
  const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }
  const Tensor* find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }

  /// Copies the tensor of that name and shape into `values`, as floats rounded to T (nearest even).
  /// Errors     it is missing or has another shape
  template <Real T>
  void read(std::string_view name, const Shape& shape, std::span<T> values) const {
    const Tensor* tensor = find(name);
    detail::check_wanted(this->name(), tensor == nullptr ? gguf_name(name) : tensor->name, tensor == nullptr ? nullptr : &tensor->shape, shape, values.size());
    const Index rows = tensor->stored->rows(), columns = tensor->stored->columns();
    std::vector<float> row(static_cast<std::size_t>(columns));
    for (Index r = 0; r < rows; ++r) {
      tensor->stored->read_row(r, row);
      const Index first = place(*tensor, r, 0);
      const bool scattered = tensor->layout == GgufLayout::transposed || shape.size() == 1;
      for (Index c = 0; c < columns; ++c) values[static_cast<std::size_t>(scattered ? place(*tensor, r, c) : first + c)] = T(row[static_cast<std::size_t>(c)]);
    }
  }

 private:
  void add(const std::string& name, const GgufTensor& stored) {
    Tensor tensor{name, &stored, GgufLayout::same};
    std::string known = name;
    for (const detail::GgufPart& part : parts_)
      if (auto found = detail::renamed(name, part.gguf, part.hugging_face)) known = std::move(*found), tensor.layout = part.layout;
    tensor.shape = stored.shape;
    if (tensor.layout == GgufLayout::transposed) std::reverse(tensor.shape.begin(), tensor.shape.end());
    if (tensor.layout == GgufLayout::rotary) {
      const Index heads = heads_of(name), rows = stored.shape.empty() ? 1 : stored.shape.front();
      if (heads < 1 || heads > rows || rows % (2 * heads) != 0) detail::refuse_tensor(this->name(), name, rows, " rows aren't those of ", heads, " heads of even size: damaged; convert it again");
      tensor.head_size = rows / heads;
    }
    if (const auto [found, inserted] = tensors_.emplace(known, std::move(tensor)); !inserted)
      detail::refuse_tensor(this->name(), name, "is ", in_quotes(known), ", as ", in_quotes(found->second.name), " is: damaged; convert it again");
  }
  Index heads_of(std::string_view tensor) const {
    constexpr std::string_view grouped = "llama.attention.head_count_kv";
    return file_.integer(tensor.find(".attn_k.") != tensor.npos && file_.has(grouped) ? grouped : "llama.attention.head_count");
  }
  std::string gguf_name(std::string_view name) const {
    for (const detail::GgufPart& part : parts_)
      if (auto found = detail::renamed(name, part.hugging_face, part.gguf)) return *found;
    return std::string(name);
  }
  /// Where the value at (row, column) in the file goes.
  static Index place(const Tensor& tensor, Index row, Index column) {
    const Index rows = tensor.stored->rows(), columns = tensor.stored->columns();
    if (tensor.layout == GgufLayout::transposed) return column * rows + row;
    if (tensor.layout == GgufLayout::same) return row * columns + column;
    return tensor.shape.size() == 1 ? detail::rotary_row(column, tensor.head_size) : detail::rotary_row(row, tensor.head_size) * columns + column;
  }

  const Gguf& file_;
  std::span<const detail::GgufPart> parts_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

/// Whether two tensors of a file hold the same.
inline bool same_values(const GgufWeights::Tensor& a, const GgufWeights::Tensor& b) {
  return a.stored->type == b.stored->type && a.shape == b.shape && std::ranges::equal(a.stored->bytes, b.stored->bytes);
}

}  // namespace terse::io
