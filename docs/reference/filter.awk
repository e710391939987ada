# Turns a header's docstrings, written to be read as they stand, into what Doxygen renders. A line stays a line, so messages keep their places.
#
#   /// text under #pragma once        the file's docstring
#   /// Shapes     x (T, C)            a titled paragraph
#   ///   y = x w + b                  indented after an empty line: a formula or code, kept as it stands
#   terse::inline TERSE_ISA            the outer namespace: the inline one's name depends on the compiler's options

{ gsub(/::inline TERSE_ISA/, "") }

/^#pragma once/ { begins_file = 1; print; next }

/^ *\/\/\/( |$)/ {
  match($0, /^ *\/\/\//)
  start = substr($0, 1, RLENGTH)
  text = substr($0, RLENGTH + 1)
  if (begins_file) start = start " @header"
  begins_file = 0
  in_formula = text ~ /^   / && (in_formula || after_empty)
  after_empty = text ~ /^ *$/
  if (in_formula) {
    text = "  " text  # Markdown's code
  } else {
    sub(/^ +/, " ", text)
    if (match(text, /^ [A-Z][a-z]+  +/)) {
      title = substr(text, 2, RLENGTH - 1)
      sub(/ +$/, "", title)
      text = " @field{" title "} " substr(text, RLENGTH + 1)
    }
    gsub(/et al\. /, "et al.\\ ", text)  # neither ends a sentence
    gsub(/e\.g\. /, "e.g.\\ ", text)
  }
  print start text
  next
}

{
  in_formula = after_empty = 0
  if ($0 !~ /^ *$/) begins_file = 0
  print
}
