# For the HTML: page.md#heading leads to page.md, and what lies outside of it is no link.
s/\.md#[a-z0-9_-]*)/.md)/g
s#\[\([^]]*\)\]([./]*\(examples\|tests\)/[^)]*)#\1#g
