#include "terse/text/csv.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace terse;
using Fields = std::vector<std::string>;

namespace {

text::Csv parse(const std::string& text) { return text::parse_csv(text, "train.csv"); }

/// The message without the folder.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.exit_code() == 3);
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    const auto name = message.find("train.csv");
    return name == std::string::npos ? message : message.substr(name);
  }
  return "no error";
}

std::string parse_refusal(const std::string& text) { return refusal([&] { parse(text); }); }

}  // namespace

TEST_CASE("fields, rows and the lines rows begin at") {
  const auto csv = parse("id,dialogue,summary\na,b,c\n\"d\",\"e\r\nf,\"\"g\"\"\n\",h\n\n i , j ,\n");
  CHECK(csv.columns == Fields{"id", "dialogue", "summary"});
  REQUIRE(csv.rows.size() == 3);
  CHECK(csv.rows[0].fields == Fields{"a", "b", "c"});
  CHECK(csv.rows[0].line == 2);
  CHECK(csv.rows[1].fields == Fields{"d", "e\r\nf,\"g\"\n", "h"});
  CHECK(csv.rows[1].line == 3);
  CHECK(csv.rows[2].fields == Fields{" i ", " j ", ""});
  CHECK(csv.rows[2].line == 7);
  CHECK(csv.column("summary") == 2);
}

TEST_CASE("line ends, byte order mark and a missing last newline") {
  for (const std::string text : {"id,x\r\n1,2\r\n", "id,x\n1,2", "id,x\r1,2\r", "\xEF\xBB\xBFid,x\n1,2\n", "\"id\",\"x\"\n\"1\",\"2\""}) {
    INFO(text);
    const auto csv = parse(text);
    CHECK(csv.columns == Fields{"id", "x"});
    REQUIRE(csv.rows.size() == 1);
    CHECK(csv.rows[0].fields == Fields{"1", "2"});
  }
  CHECK(parse("id\n").rows.empty());
  CHECK(parse("id\n\"\"\n").rows.size() == 1);
}

TEST_CASE("what is wrong is said with file and line") {
  CHECK(refusal([] { text::read_csv("no-such/train.csv"); }) == "train.csv: cannot be read: No such file or directory; is the name right, and is it a CSV file?");
  CHECK(refusal([] { text::read_csv(source_dir()); }).find("cannot be read: Is a directory") != std::string::npos);
  CHECK(parse_refusal("") == "train.csv: is empty; its first line must name the columns");
  CHECK(parse_refusal("\xEF\xBB\xBF") == "train.csv: is empty; its first line must name the columns");
  CHECK(parse_refusal("\n\n") == "train.csv: is empty; its first line must name the columns");
  CHECK(parse_refusal("id,dialogue,summary\n\"a\nb\",c,d\ne,f\n") == "train.csv:4: \"summary\" is missing: 2 fields, 3 expected");
  CHECK(parse_refusal("id,x\na,b,c\n") == "train.csv:2: 3 fields, 2 expected (id, x); put fields that hold commas in quotes");
  CHECK(parse_refusal("id,x\ra,b\rc\r") == "train.csv:3: \"x\" is missing: 1 field, 2 expected");
}

TEST_CASE("a quote that is wrong is found where it was opened") {
  const std::string close = " is never closed; close it, or write \"\" for a quote inside quotes";
  const std::string mend = "; write \"\" for a quote inside quotes, or close the one that isn't closed before line 2";
  CHECK(parse_refusal("id,x\na,b\nc,\"d\ne,f\n") == "train.csv:3: the quote opened at byte 3" + close);
  CHECK(parse_refusal("id,x\n\"a\n\"\"b\n\",\"c \"\"d\n\ne,f\n") == "train.csv:4: the quote opened at byte 3" + close);  // the row begins at line 2
  CHECK(parse_refusal("id,x\na,b \"c\" d\n") ==
        "train.csv:2: byte 5: a quote inside a field without quotes; put the field in quotes and write \"\" for each quote in it");
  CHECK(parse_refusal("id,x\na,\"b\" c\n") == "train.csv:2: byte 6: text after a closing quote, which was opened at line 2" + mend);
  CHECK(parse_refusal("id,x\na,\"b\nc,d\ne,\"f\"\n") == "train.csv:4: byte 4: text after a closing quote, which was opened at line 2" + mend);
}

TEST_CASE("semicolons or tabs in the place of commas are seen, whatever comes of them") {
  for (const std::string text : {"id;dialogue;summary\n1;\"a\";\"b\"\n", "\"id\";\"dialogue\"\n1;a\n", "id;dialogue\n1;a, b\n", "\xEF\xBB\xBFid;x\n1;\"a\n"})
    CHECK(parse_refusal(text) == "train.csv:1: fields are separated by semicolons; save the file with commas");
  CHECK(parse_refusal("id\tx\n1\t\"a\"\n") == "train.csv:1: fields are separated by tabs; save the file with commas");
  CHECK(refusal([] { parse("id;x\n1;a\n").column("id"); }) == "train.csv:1: fields are separated by semicolons; save the file with commas");
  CHECK(parse("a;b\n1\n").column("a;b") == 0);  // a name may be anything
  CHECK(refusal([] { parse("text\n1\n").column("id"); }) == "train.csv:1: no column \"id\"; the columns are: text; name it so in the first line");
}

TEST_CASE("only UTF-8 text goes on; the place of what isn't is said") {
  CHECK(parse_refusal(std::string("id,x\na,b\nb\0,c\n", 14)) == "train.csv:3: byte 2: a NUL byte; save the file as CSV in UTF-8");
  CHECK(parse_refusal("id,x\n\"\n\",caf\xE9\n") == "train.csv:3: byte 6: not UTF-8; save the file as CSV in UTF-8, e.g. iconv -f WINDOWS-1252 -t UTF-8");
  for (const std::string& utf16 : {std::string("\xFF\xFEi\0d\0", 6), std::string("\xFE\xFF\0i\0d", 6), std::string("i\0d\0", 4), std::string("\0i\0d", 4)})
    CHECK(parse_refusal(utf16) == "train.csv: is UTF-16; save it as CSV in UTF-8, e.g. iconv -f UTF-16 -t UTF-8");
}

TEST_CASE("a field of a whole file's size is a quote that is missing") {
  const std::string most(text::longest_text, 'a');
  CHECK(parse("id,x\n1,\"" + most + "\"\n").rows[0].fields[1].size() == most.size());
  CHECK(parse_refusal("id,x\n1,2\n2,\"" + most + "a\"\n") == "train.csv:3: a field of 16777217 bytes, 16777216 are the most; is a quote missing at its end?");
}

TEST_CASE("columns are named where one is missing or doubled") {
  const auto csv = parse("id,text,text\n1,a,b\n");
  CHECK(refusal([&] { csv.column("dialogue"); }) == "train.csv:1: no column \"dialogue\"; the columns are: id, text, text; name it so in the first line");
  CHECK(refusal([&] { csv.column("text"); }) == "train.csv:1: column \"text\" is there twice: id, text, text; rename one");
}

TEST_CASE("names of columns can't break the one line of a message") {
  const auto csv = parse("\"a\nb\",\"" + std::string(5000, 'c') + "\",d,e\n");
  const std::string message = refusal([&] { csv.column("id"); });
  CHECK(message.find("\"a\\nb\"") != std::string::npos);
  CHECK(message.size() < 400);
}

TEST_CASE("ids that come twice are refused where asked") {
  const auto csv = parse("id,x\na,1\nb,2\na,3\n");
  CHECK(refusal([&] { csv.require_unique("id"); }) == "train.csv:4: id \"a\" is already at line 2; each row needs its own");
  CHECK_NOTHROW(csv.require_unique("x"));
}

TEST_CASE("what is written is read back") {
  const std::vector<Fields> rows = {{"a", "b, c", "say \"hi\""}, {"", " spaces ", "two\r\nlines"}, {"\"", "\n", ","}, {"é", "日本", "x"}};
  std::string text = text::csv_line({"id", "x", "y"});
  CHECK(text == "id,x,y\n");
  for (const auto& row : rows) text += text::csv_line({row[0], row[1], row[2]});
  const auto csv = parse(text);
  REQUIRE(csv.rows.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) CHECK(csv.rows[i].fields == rows[i]);
  CHECK(text::csv_line({""}) == "\"\"\n");
  CHECK(parse(text::csv_line({"\xEF\xBB\xBFid", "x"})).columns == Fields{"\xEF\xBB\xBFid", "x"});
}
