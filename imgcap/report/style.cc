#include "imgcap/report/sections.h"

namespace imgcap::sections {

// Colours: every text has a contrast of 4.5 at least on its background, in both schemes; the series differ in
// lightness and in dashes, too, for print and for eyes that do not tell the hues apart.
const char* style() {
  return R"css(:root {
  color-scheme: light dark;
  --page: #ffffff; --card: #f5f4f1; --text: #1d1c1a; --faint: #5c5954; --rule: #d9d6d0;
  --series0: #1257a8; --series1: #b3460b; --series2: #1f7a3d; --series3: #7b3fa0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16171a; --card: #212327; --text: #ebe9e5; --faint: #b3b0aa; --rule: #3d4046;
    --series0: #7fb4f5; --series1: #f5a15c; --series2: #8fd694; --series3: #c9a0f0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
h4 { font-size: .85rem; font-weight: 600; color: var(--faint); margin: 1rem 0 .3rem; }
header p { max-width: 46rem; }
figure, dl, dd { margin: 0; }
figcaption, .note, small { color: var(--faint); font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--faint); font-size: .85rem; font-weight: 600; }
tbody th { font-weight: 600; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); }
.card { background: var(--card); border-radius: .5rem; padding: .9rem 1rem; font-size: .9rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; }
dt { color: var(--faint); }
.charts { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
.chart { display: block; width: 100%; height: auto; }
.chart text { font-size: 12px; fill: var(--text); }
.chart .label { fill: var(--faint); }
.grid { stroke: var(--rule); }
.axis { stroke: var(--faint); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.series0 { stroke: var(--series0); }
.line.series1 { stroke: var(--series1); stroke-dasharray: 6 3; }
.line.series2 { stroke: var(--series2); stroke-dasharray: 2 3; }
.line.series3 { stroke: var(--series3); stroke-dasharray: 9 3 2 3; }
.dot.series0 { fill: var(--series0); }
.dot.series1 { fill: var(--series1); }
.dot.series2 { fill: var(--series2); }
.dot.series3 { fill: var(--series3); }
article { margin: 0 0 1.5rem; padding: 1rem; background: var(--card); border-radius: .5rem; }
.pair { display: grid; gap: 1.2rem; grid-template-columns: minmax(0, 26rem) minmax(0, 1fr); }
.photo { display: block; width: 100%; height: auto; max-height: 24rem; border-radius: .35rem; }
.caption { margin: 0 0 .8rem; }
.caption b { display: block; font-size: .85rem; color: var(--series0); }
.caption q { display: block; font-size: 1.15rem; line-height: 1.35; quotes: none; }
.caption small { display: block; }
.references { margin: 0; padding: 0 1.1rem; font-size: .92rem; }
.tiles { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); }
.tile { text-align: center; break-inside: avoid; }
.tile svg { display: block; width: 100%; height: auto; border-radius: .25rem; }
.tile figcaption { color: var(--text); line-height: 1.3; padding-top: .15rem; }
.problems { margin: 0; padding-left: 1.1rem; }
@media (max-width: 42rem) {
  h1 { font-size: 1.5rem; }
  main { padding: 1rem .7rem 3rem; }
  .pair { grid-template-columns: minmax(0, 1fr); gap: .8rem; }
  .tiles { grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); }
  th, td { padding: .3rem .15rem; font-size: .75rem; }
  thead th { font-size: .7rem; white-space: normal; }
  th:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 4rem; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --card: #ffffff; --text: #000000; --faint: #444444; --rule: #bbbbbb;
    --series0: #1257a8; --series1: #b3460b; --series2: #1f7a3d; --series3: #7b3fa0;
  }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  article, .card { border: 1px solid var(--rule); }
  .pair, .charts, .card, .note, tr { break-inside: avoid; }
  .tiles { grid-template-columns: repeat(8, 1fr); }
  h2, h3, h4, h2 + p { break-after: avoid; }
}
)css";
}

}  // namespace imgcap::sections
