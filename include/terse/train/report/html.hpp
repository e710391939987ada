#pragma once
/// Writes HTML, and SVG inside it, so that every element is closed and every text escaped.

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <terse/text/utf8.hpp>

namespace terse::train::report {

/// `raw` as a page shows it, in a text or a quoted attribute: markup escaped, malformed UTF-8 and control characters as U+FFFD.
inline std::string escape(std::string_view raw) {
  std::string escaped;
  for (const char c : text::replace_malformed(raw)) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      case '\n': case '\t': escaped += c; break;
      default: static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? escaped += "\xEF\xBF\xBD" : escaped += c;
    }
  }
  return escaped;
}

class Html {
 public:
  using Attributes = std::initializer_list<std::pair<std::string_view, std::string>>;

  /// An element around what `body` writes.
  template <std::invocable Body>
  void element(std::string_view name, Attributes attributes, Body&& body) {
    open(name, attributes);
    body();
    out_.append("</").append(name).append(">");
  }
  /// An element that holds one text.
  void element(std::string_view name, Attributes attributes, std::string_view content = "") {
    element(name, attributes, [&] { text(content); });
  }
  /// An element that has no end, such as meta.
  void open(std::string_view name, Attributes attributes) {
    out_.append("<").append(name);
    for (const auto& [key, value] : attributes) out_.append(" ").append(key).append("=\"").append(escape(value)).append("\"");
    out_ += '>';
  }
  void text(std::string_view content) { out_ += escape(content); }
  /// As it is: for what the program itself holds, a doctype or a style sheet, never for what it has read.
  void verbatim(std::string_view content) { out_ += content; }

  const std::string& page() const { return out_; }

 private:
  std::string out_;
};

}  // namespace terse::train::report
