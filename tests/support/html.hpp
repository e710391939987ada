#pragma once
// A reader of HTML as strict as XML's: every element closed in order, attributes quoted, markup in texts escaped.
#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

struct ParsedHtml {
  std::string mistake;                ///< the first one; empty if the page is well-formed
  std::string text;                   ///< of all elements but style, unescaped as far as this test needs: &lt; &gt; &amp; &quot; &#39;
  std::multiset<std::string> elements;
  std::vector<std::string> ids, names; ///< values of id; names of all attributes
};

inline std::string unescaped(std::string text) {
  const std::pair<const char*, const char*> entities[] = {{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};
  for (const auto& [entity, character] : entities)
    for (std::size_t at = 0; (at = text.find(entity, at)) != text.npos; ++at) text.replace(at, std::string(entity).size(), character);
  return text;
}

inline ParsedHtml parse_html(std::string_view page) {
  ParsedHtml parsed;
  std::vector<std::string> open;
  const auto refuse = [&](const std::string& what, std::string_view where) {
    if (parsed.mistake.empty()) parsed.mistake = what + ": " + std::string(where.substr(0, 80));
  };
  const auto check_text = [&](std::string_view text) {
    for (std::size_t at = text.find('&'); at != text.npos; at = text.find('&', at + 1)) {
      bool known = false;
      for (const char* entity : {"&lt;", "&gt;", "&amp;", "&quot;", "&#39;"}) known = known || text.substr(at).starts_with(entity);
      if (!known) refuse("a bare &", text.substr(at));
    }
  };
  if (!page.starts_with("<!doctype html>\n")) refuse("no doctype", page);
  else page.remove_prefix(16);
  while (!page.empty() && parsed.mistake.empty()) {
    const std::size_t tag = std::min(page.find('<'), page.size());
    const auto text = page.substr(0, tag);
    if (!open.empty() && open.back() == "style") {
      // a style sheet is no text
    } else {
      if (text.find('>') != text.npos) refuse("a bare >", text);
      check_text(text);
      parsed.text += text;
    }
    page.remove_prefix(tag);
    if (page.empty()) break;
    const bool closes = page.starts_with("</");
    std::size_t at = closes ? 2 : 1;
    std::string name;
    while (at < page.size() && (std::isalnum(static_cast<unsigned char>(page[at])) || page[at] == '-')) name += page[at++];
    if (name.empty()) refuse("a bare <", page);
    if (closes) {
      if (open.empty() || open.back() != name) refuse("closed out of order", page);
      else open.pop_back();
    } else {
      parsed.elements.insert(name);
      if (name != "meta") open.push_back(name);
      while (at < page.size() && page[at] == ' ') {
        const std::size_t equals = page.find("=\"", at), end = equals == page.npos ? page.npos : page.find('"', equals + 2);
        if (end == page.npos) {
          refuse("an attribute without quotes", page.substr(at));
          return parsed;
        }
        const auto value = page.substr(equals + 2, end - equals - 2);
        parsed.names.emplace_back(page.substr(at + 1, equals - at - 1));
        if (parsed.names.back() == "id") parsed.ids.emplace_back(value);
        if (value.find('<') != value.npos) refuse("a bare < in an attribute", value);
        check_text(value);
        at = end + 1;
      }
    }
    if (at >= page.size() || page[at] != '>') refuse("a tag without its end", page);
    page.remove_prefix(std::min(at + 1, page.size()));
    if (name == "p" || name == "div") parsed.text += '\n';
  }
  if (!open.empty()) refuse("never closed", open.back());
  parsed.text = unescaped(parsed.text);
  return parsed;
}

/// What of the page would ask for something outside of it; empty if nothing would.
inline std::string asks_outside(const std::string& page) {
  for (const char* reference : {"http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "<object", "<image"})
    if (const auto at = page.find(reference); at != page.npos) return page.substr(at, 60);
  return "";
}
