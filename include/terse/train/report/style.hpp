#pragma once
#include <string_view>

namespace terse::train::report {

/// Colours are Okabe and Ito's (Color Universal Design, 2008), which colour-blind readers tell apart, darkened or lightened until
/// each stands out against its ground by 3 to 1.
inline constexpr std::string_view style = R"css(
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1c2127; --soft: #5a636e; --line: #e2e4e8;
  --blue: #0072b2; --vermilion: #cc5500; --amber: #b97c00; --green: #008a64; --pink: #b4578f; --sky: #3194cf; --grey: #7c8591; --brown: #7a5230;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --card: #1c2026; --ink: #e4e7eb; --soft: #a0a9b5; --line: #323841;
    --blue: #4ba6e3; --vermilion: #f28b45; --amber: #e6b030; --green: #35b58b; --pink: #d98fbd; --sky: #8ccbf0; --grey: #8a929d; --brown: #b98c66;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 1.125rem; margin: 48px 0 14px; }
h3 { font-size: 0.9375rem; font-weight: 600; margin: 0; }
p { margin: 0 0 0.6em; }
.soft, .note { color: var(--soft); }
.note { font-size: 0.875rem; margin: 10px 0 0; }
.warning { border-left: 3px solid var(--vermilion); padding-left: 12px; margin: 14px 0 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 18px; margin-top: 18px; }
.grid > * { min-width: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1px; margin: 26px 0 0; padding: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.tiles div { box-shadow: 0 0 0 1px var(--line); padding: 14px 18px; }
.tiles dt { font-size: 0.8125rem; color: var(--soft); }
.tiles dd { margin: 2px 0 0; font-size: 1.375rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.25; }
.tiles small { display: block; font-size: 0.8125rem; font-weight: 400; color: var(--soft); }
figure { margin: 0; }
figcaption { display: flex; flex-wrap: wrap; gap: 4px 20px; align-items: baseline; justify-content: space-between; }
.legend, .parts { list-style: none; margin: 0; padding: 0; font-size: 0.8125rem; color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; }
.legend li::before { content: ""; display: inline-block; vertical-align: middle; width: 18px; height: 0; border-top: 2.5px solid currentColor; margin-right: 7px; }
.legend li.marked::before { width: 9px; height: 9px; border: 0; border-radius: 50%; background: currentColor; }
.legend li.event::before { width: 0; height: 11px; border: 0; border-left: 2px solid var(--vermilion); }
.legend .raw::before { color: var(--blue); opacity: 0.45; border-top-width: 1.5px; }
.legend .mean::before { color: var(--blue); }
.legend .validation::before { color: var(--vermilion); }
.frame { padding: 40px 10px 44px 52px; }
.frame.rows { padding: 12px 14px 32px 104px; }
svg.plot { display: block; overflow: visible; }
svg text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.name { font-size: 13.5px; fill: var(--ink); }
svg line { stroke: var(--line); }
svg path { fill: none; vector-effect: non-scaling-stroke; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
path.mean { stroke: var(--blue); }
path.raw { stroke: var(--blue); stroke-width: 1.25; opacity: 0.4; }
path.validation { stroke: var(--vermilion); stroke-dasharray: 5 4; stroke-width: 1.5; }
circle.validation { fill: var(--vermilion); stroke: var(--card); stroke-width: 1; }
circle.mean { fill: var(--blue); stroke: var(--card); stroke-width: 1; }
line.event { stroke: var(--vermilion); stroke-width: 1.5; }
.reading rect { fill: transparent; }
.reading circle { fill: none; stroke: var(--ink); stroke-width: 1.75; }
.reading text { fill: var(--ink); }
.reading circle, .reading text { visibility: hidden; }
.reading:hover circle, .reading:hover text { visibility: visible; }
.interval .whisker { stroke: var(--blue); stroke-width: 9; opacity: 0.35; }
.interval .value { fill: var(--blue); }
.interval .baseline { stroke: var(--vermilion); stroke-width: 3; }
.legend .key-value::before { width: 10px; height: 10px; border: 0; border-radius: 50%; background: var(--blue); }
.legend .key-interval::before { color: var(--blue); border-top-width: 9px; opacity: 0.35; }
.legend .key-baseline::before { width: 0; height: 14px; border: 0; border-left: 3px solid var(--vermilion); }
table { border-collapse: collapse; width: 100%; margin-top: 8px; font-size: 0.9375rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 6px 0 6px 14px; border-top: 1px solid var(--line); font-weight: 400; }
thead th { border-top: 0; color: var(--soft); font-size: 0.8125rem; vertical-align: bottom; }
th:first-child { text-align: left; padding-left: 0; }
.parts { display: grid; gap: 5px; margin-top: 14px; font-size: 0.875rem; }
.parts li { display: grid; grid-template-columns: 12px 1fr auto 4.2em; gap: 10px; align-items: center; }
.parts li::before { content: ""; width: 12px; height: 12px; border-radius: 3px; background: currentColor; }
.parts span { color: var(--ink); overflow-wrap: anywhere; }
.parts .size, .parts .share { text-align: right; font-variant-numeric: tabular-nums; }
.parts .share { color: var(--soft); }
.bar { margin-top: 14px; }
svg rect { stroke: var(--card); stroke-width: 1.5; }
.reading rect { stroke: none; }
.part-1 { fill: var(--blue); color: var(--blue); } .part-2 { fill: var(--amber); color: var(--amber); } .part-3 { fill: var(--green); color: var(--green); }
.part-4 { fill: var(--pink); color: var(--pink); } .part-5 { fill: var(--sky); color: var(--sky); } .part-6 { fill: var(--vermilion); color: var(--vermilion); }
.part-7 { fill: var(--grey); color: var(--grey); } .part-8 { fill: var(--brown); color: var(--brown); }
.sample { display: grid; grid-template-columns: 1.35fr 1fr; gap: 8px 32px; margin-top: 14px; }
.sample header { grid-column: 1 / -1; display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 16px; font-size: 0.8125rem; color: var(--soft); }
.sample header, .text { overflow-wrap: anywhere; }
.text { white-space: pre-line; }
.text p { margin: 0 0 0.45em; }
.dialogue { max-height: 20rem; overflow: auto; padding-right: 10px; }
.speaker { font-weight: 600; color: var(--soft); }
.sample h4 { margin: 0 0 4px; font-size: 0.8125rem; font-weight: 600; color: var(--soft); }
.sample .summary h4 { color: var(--blue); }
.sample .answers > div + div { margin-top: 14px; }
details { margin-top: 48px; }
summary { cursor: pointer; font-size: 1.125rem; font-weight: 600; }
.settings { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 230px), 1fr)); gap: 0 32px; margin: 14px 0 0; font-size: 0.875rem; }
.settings div { display: flex; justify-content: space-between; gap: 16px; padding: 5px 0; border-bottom: 1px solid var(--line); }
.settings dt { color: var(--soft); }
.settings dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
footer { margin-top: 48px; padding-top: 16px; border-top: 1px solid var(--line); font-size: 0.8125rem; color: var(--soft); }
@media (max-width: 640px) {
  main { padding: 24px 14px 48px; }
  .card { padding: 16px 14px; }
  .sample { grid-template-columns: 1fr; gap: 12px; }
  .frame { padding-left: 46px; padding-right: 6px; }
  .frame.rows { padding-left: 92px; }
}
@media print {
  body { background: none; }
  .card, .tiles { break-inside: avoid; }
  .dialogue { max-height: none; }
}
)css";

}  // namespace terse::train::report
