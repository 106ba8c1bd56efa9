/** The system's light or dark; nothing from elsewhere. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f6f7fb, #12141b); --card: light-dark(#fff, #1b1e28); --ink: light-dark(#1b1e28, #eceef5);
  --soft: light-dark(#5c6274, #a2a9bc); --rule: light-dark(#e0e3ec, #2f3443);
  --c1: light-dark(#3f51c7, #93a1ff); --c2: light-dark(#0f8a74, #4fd1b5); --c3: light-dark(#c2571a, #f5a35c);
  --c4: light-dark(#a3329a, #ec8be2); --c5: light-dark(#7a7f8f, #8d94a6);
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: clamp(1rem, 4vw, 2.5rem); max-width: 76rem; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: clamp(1.6rem, 4vw, 2.2rem); line-height: 1.2; letter-spacing: -.02em; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .3rem; letter-spacing: -.01em; }
p { margin: 0 0 1rem; max-width: 52rem; }
.lead, .note, figcaption span, dt, th { color: var(--soft); }
.note { font-size: .9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 1.5rem 0; padding: 0; list-style: none; }
.tiles li, figure, .card { background: var(--card); border: 1px solid var(--rule); border-radius: .9rem; padding: 1rem 1.1rem; }
.tiles b { display: block; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.02em; }
.tiles span { color: var(--soft); font-size: .92rem; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: .8rem; }
figure { margin: 0 0 .8rem; min-width: 0; overflow-x: auto; }
figcaption { font-weight: 650; margin-bottom: .4rem; display: flex; flex-wrap: wrap; gap: .1rem 1rem; align-items: baseline; }
figcaption span { font-weight: 400; font-size: .9rem; }
figure svg { display: block; width: 100%; min-width: 27rem; height: auto; overflow: visible; }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem; color: var(--soft); margin: 0 0 .3rem; padding: 0; list-style: none; }
.keys li::before { content: ''; display: inline-block; width: .75rem; height: .75rem; border-radius: 50%; margin-right: .4rem; background: var(--key); vertical-align: -.05rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .88rem; }
th { font-weight: 500; text-align: right; vertical-align: bottom; }
td { text-align: right; white-space: nowrap; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
td.own { font-weight: 650; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .9rem; }
@media print { figure, .card { break-inside: avoid; } }
`;
