/** The report's style: the system's light or dark, no fonts or pictures from elsewhere. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1c1c1a; --soft: #6b6a66; --rule: #e4e3df;
  --first: #2a6fd6; --second: #d9641e; --muted: #a3a19b; --bad: #c93a3a; --heat: 42, 111, 214;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #161615; --card: #1f1f1d; --ink: #ececea; --soft: #a2a09a; --rule: #343431;
    --first: #5b9bf3; --second: #f08a45; --muted: #7b7973; --bad: #ef7070; --heat: 91, 155, 243;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 32px 24px 64px; max-width: 1240px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; font-weight: 650; }
h1, .lead { overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 12px; font-weight: 650; }
p { margin: 0 0 12px; }
.lead, .note { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0; }
.tile, .chart, .card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px; }
.tile b { display: block; font-size: 24px; line-height: 1.3; font-weight: 600; }
.tile span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 12px; }
.chart { margin: 0; }
.chart svg { display: block; width: 100%; height: auto; }
figcaption { font-weight: 600; margin-bottom: 6px; display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; }
.legend { font-weight: 400; font-size: 13px; color: var(--soft); display: flex; flex-wrap: wrap; gap: 0 14px; }
.key { white-space: nowrap; }
.key::before { content: ""; display: inline-block; width: 16px; height: 3px; border-radius: 2px; margin: 0 6px 3px 0; background: var(--tone); }
.muted { --tone: var(--muted); } .first { --tone: var(--first); } .second { --tone: var(--second); }
.line { fill: none; stroke: var(--tone); stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
.grid { stroke: var(--rule); }
.tick { fill: var(--soft); font-size: 12.5px; }
.reading rect { fill: transparent; }
.reading line { stroke: transparent; pointer-events: none; }
.reading:hover line { stroke: var(--soft); stroke-dasharray: 3 3; }
.scroll { overflow-x: auto; }
.fit { width: fit-content; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: middle; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; } td.number { white-space: nowrap; }
.bar { width: 34%; min-width: 48px; }
.bar i { display: block; height: 8px; border-radius: 4px; background: var(--first); min-width: 2px; }
.matrix { width: auto; font-size: 13px; border-collapse: separate; border-spacing: 2px; }
.matrix td, .matrix th { border: 0; padding: 0; }
.matrix td { width: 38px; height: 32px; text-align: center; border-radius: 4px; background: rgba(var(--heat), calc(var(--share) * .85)); }
.matrix td.none { background: color-mix(in srgb, var(--rule) 45%, transparent); color: transparent; }
.matrix td.wrong { background: color-mix(in srgb, var(--bad) calc(var(--share) * 100%), transparent); }
.matrix td.strong { color: #fff; }
.matrix th.row { text-align: right; padding-right: 8px; white-space: nowrap; max-width: 220px; overflow: hidden; text-overflow: ellipsis; }
.matrix th.column { vertical-align: bottom; padding-bottom: 6px; }
.matrix th.column div { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 92px; overflow: hidden; margin: 0 auto; text-align: left; white-space: nowrap; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; }
.mistake { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; overflow: hidden; }
.mistake img, .mistake .blank { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: color-mix(in srgb, var(--rule) 50%, transparent); }
.mistake img.small { image-rendering: pixelated; }
.mistake div.text { padding: 8px 10px 10px; font-size: 13px; line-height: 1.4; }
.mistake .guess { color: var(--bad); font-weight: 600; }
.mistake .name { color: var(--soft); font-size: 12px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); }
.settings { columns: 2 380px; column-gap: 32px; }
.settings div { break-inside: avoid; display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 12px; justify-content: space-between; border-bottom: 1px solid var(--rule); padding: 4px 0; }
.settings span { color: var(--soft); } .settings code { text-align: right; font-size: 13px; margin-left: auto; }
.settings span, .settings code { overflow-wrap: anywhere; min-width: 0; }
/* On a phone the numbers have to do without their bars. */
@media (max-width: 520px) {
  body { padding: 24px 14px 48px; } .card { padding: 12px; } .bar { display: none; } .settings { columns: auto; }
  table { font-size: 14px; } th { font-size: 12px; } th, td { padding-right: 7px; } th:last-child, td:last-child { padding-right: 0; }
}
@media print { body { max-width: none; } .chart, .mistake { break-inside: avoid; } }
`;
