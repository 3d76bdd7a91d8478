// Plots of a board, drawn with Observable Plot when they come into view.
"use strict";
(() => {
  const { el, number } = hm;
  const room = document.getElementById("plots");
  if (!room) return;
  let board = null, seen = false;
  const ink = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const base = extra => ({
    style: { background: "transparent", color: ink("--ink"), fontFamily: "inherit", fontSize: "12px", overflow: "visible" },
    ...extra,
  });
  const figure = (id, plot, label) => {
    const place = document.getElementById(id);
    if (!plot) { place.replaceChildren(el("p", { class: "dim" }, label)); return; }
    const svgs = plot.tagName === "svg" ? [plot] : [...plot.querySelectorAll(":scope > svg")];
    // the label of the whole says it all; groups without a role must have none
    for (const g of plot.querySelectorAll("g[aria-label]")) { g.dataset.mark = g.getAttribute("aria-label"); g.removeAttribute("aria-label"); }
    svgs.at(-1)?.setAttribute("role", "img");
    svgs.at(-1)?.setAttribute("aria-label", label);
    place.replaceChildren(plot);
  };
  // names of models are strangers' and may be long: axes and legends show so much of them, hovering shows all
  const cut = (name, most = 26) => name.length > most ? `${name.slice(0, most - 1)}…` : name;
  const margin = names => Math.min(190, 24 + 7 * Math.max(0, ...names.map(n => cut(n).length)));

  const wide = (id, most = 760) => Math.max(280, Math.min(most, document.getElementById(id).clientWidth));

  function choose(id, groups, now) {
    const select = document.getElementById(id);
    select.replaceChildren(...groups.filter(([, o]) => o.length).map(([name, options]) => el("optgroup", { label: name },
      ...options.map(([v, t]) => el("option", { value: v }, t)))));
    select.value = now;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  }

  // Bounds and untrained models stand far from the others and squeeze them: they are drawn when asked for.
  const asked = id => document.getElementById(id).checked || board.models.every(m => !m.ranked);

  // Black or white, whichever is easier to read on a colour.
  const onto = colour => {
    const [r, g, b] = [1, 3, 5].map(k => (parseInt(colour.slice(k, k + 2), 16) / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
  };

  // Either a metric ("m:3") or a number of the models themselves ("c:0").
  function axis(code) {
    const [kind, k] = [code[0], Number(code.slice(2))];
    if (kind === "c") return { label: cut(board.costs[k][0], 40), of: i => board.costs[k][1][i] === null ? null : [board.costs[k][1][i], null, null], cost: true };
    const m = board.metrics[k];
    return { label: `${cut(m.name, 40)}${m.unit ? ` (${cut(m.unit)})` : ""}${m.arrow ? ` ${m.arrow}` : ""}`, of: i => board.summary[k][i], unit: m.unit };
  }

  function scatter() {
    const x = axis(document.getElementById("x-axis").value), y = axis(document.getElementById("y-axis").value);
    const points = board.models.map((m, i) => ({ m, i, x: x.of(i), y: y.of(i) }))
      .filter(p => p.m.ranked || asked("scatter-bounds")).filter(p => p.x && p.y && p.x[0] !== null && p.y[0] !== null)
      .map(p => ({ name: p.m.name, ranked: p.m.ranked, x: p.x[0], x1: p.x[1], x2: p.x[2], y: p.y[0], y1: p.y[1], y2: p.y[2], colour: hm.modelColour(p.i), shape: hm.modelShape(p.i) }));
    if (!points.length) return figure("scatter", null, "No model has both numbers.");
    const log = x.cost && points.every(p => p.x > 0) && Math.max(...points.map(p => p.x)) > 20 * Math.min(...points.map(p => p.x));
    const told = { channels: { model: "name" }, tip: { format: { stroke: false, fill: false, x: v => number(v), y: v => number(v) } } };
    // a name where there is room for it; the others are told by colour, and on hover
    const far = key => { const ends = points.flatMap(p => [p[key], p[key + "1"], p[key + "2"]]).filter(v => v !== null); return Math.max(...ends) - Math.min(...ends) || 1; };
    const [wx, wy] = [far("x") / (wide("scatter") - 150), far("y") / 360], named = [];
    for (const p of points) if (named.every(q => Math.abs(p.y - q.y) > 15 * wy || Math.abs(p.x - q.x) > (8 * Math.max(cut(p.name).length, cut(q.name).length)) * wx)) named.push(p);
    figure("scatter", Plot.plot(base({
      width: wide("scatter"), height: 420, marginLeft: 56, marginBottom: 44, marginRight: Math.min(190, 30 + 6 * Math.max(...points.map(p => cut(p.name).length))), grid: true,
      color: { domain: points.map(p => p.name), range: points.map(p => p.colour) },
      symbol: { domain: points.map(p => p.name), range: points.map(p => p.ranked ? p.shape : "diamond"), legend: true, tickFormat: n => cut(n) },
      x: { label: x.label, type: log ? "log" : "linear", nice: true, labelAnchor: "center" }, y: { label: y.label, nice: true },
      marks: [
        Plot.ruleY(points.filter(p => p.x1 !== null), { y: "y", x1: "x1", x2: "x2", stroke: "name", strokeWidth: 1.5, strokeOpacity: 0.55 }),
        Plot.ruleX(points.filter(p => p.y1 !== null), { x: "x", y1: "y1", y2: "y2", stroke: "name", strokeWidth: 1.5, strokeOpacity: 0.55 }),
        Plot.dot(points.filter(p => p.ranked), { x: "x", y: "y", fill: "name", symbol: "name", r: 5.5, ...told }),
        Plot.dot(points.filter(p => !p.ranked), { x: "x", y: "y", fill: "name", symbol: "name", r: 6.5, ...told }),
        Plot.text(named, { x: "x", y: "y", text: p => cut(p.name), dx: 10, dy: -9, textAnchor: "start", fill: ink("--ink"), stroke: ink("--page"), strokeWidth: 3 }),
      ],
    })), `${y.label} against ${x.label}, a point a model, lines are 95 % intervals`);
  }

  function verdicts() {
    const { words, counts, colours } = board.verdicts;
    const bars = board.models.flatMap((m, i) => {
      const sum = counts[i].reduce((a, b) => a + b, 0);
      return sum ? words.map((w, k) => ({ model: m.name, word: w, count: counts[i][k], share: counts[i][k] / sum })) : [];
    }).filter(b => b.count);
    if (!bars.length) return figure("verdicts", null, "No event of these models has a verdict here.");
    const names = board.models.map(m => m.name).filter(n => bars.some(b => b.model === n));
    figure("verdicts", Plot.plot(base({
      width: wide("verdicts"), height: 60 + 34 * names.length, marginLeft: margin(names), marginBottom: 40,
      x: { label: "share of events", percent: true, labelAnchor: "center" }, y: { label: null, domain: names, tickSize: 0, tickFormat: n => cut(n) },
      color: { domain: words, range: colours, legend: true, tickFormat: w => cut(w) },
      marks: [
        Plot.barX(bars, Plot.stackX({ y: "model", x: "share", fill: "word", order: words, insetTop: 4, insetBottom: 4, insetRight: 1,
          channels: { events: "count" }, tip: true })),
        // every bar is stacked, also those too narrow for a number: else the numbers would stand in others' bars
        Plot.text(bars, Plot.stackX({ y: "model", x: "share", z: "word", order: words, text: b => b.share > 0.05 ? `${b.count}` : "",
          fill: b => onto(colours[words.indexOf(b.word)]) })),
      ],
    })), `Verdicts of each model's events: ${names.map(n => `${n}: ${bars.filter(b => b.model === n).map(b => `${b.count} ${b.word}`).join(", ")}`).join("; ")}`);
  }

  async function hidden() {
    const k = Number(document.getElementById("hidden-metric").value.slice(2)), metric = board.metrics[k];
    const clips = await hm.load(`${board.file}/clips`), columns = await hm.load(`${board.file}/values-${k}`);
    const known = clips.hidden.map((h, c) => [h, c]).filter(([h]) => h !== null && h > 0).sort((a, b) => a[0] - b[0]);
    if (!columns.some(c => c && c.some(v => v !== null))) return figure("hidden", null, "No model has a value.");
    if (known.length < 6) return figure("hidden", null, "Too few clips with a known hidden time.");
    const count = Math.max(2, Math.min(5, Math.floor(known.length / 6))), bins = [];
    for (let b = 0; b < count; b++) bins.push(known.slice(Math.round(b * known.length / count), Math.round((b + 1) * known.length / count)));
    const drawn = board.models.filter(m => m.ranked || asked("hidden-bounds")), names = drawn.map(m => m.name);
    const points = board.models.flatMap((m, i) => columns[i] && names.includes(m.name) ? bins.map(bin => {
      const found = hm.summarise(bin.map(([, c]) => columns[i][c]), bin.map(([, c]) => clips.scene[c]), board.fewScenes, metric.bounds);
      return found && { model: m.name, i, x: bin.reduce((s, [h]) => s + h, 0) / bin.length, y: found[0], y1: found[1], y2: found[2],
        clips: found[3], span: `${bin[0][0]} to ${bin.at(-1)[0]}` };
    }).filter(Boolean) : []);
    // models stand a little beside each other, so that their intervals can be told apart
    const far = Math.max(...points.map(p => p.x)) - Math.min(...points.map(p => p.x));
    const beside = p => p.x + (names.indexOf(p.model) - (names.length - 1) / 2) * Math.min(0.012, 0.12 / names.length) * far;
    figure("hidden", Plot.plot(base({
      width: wide("hidden", 1160), height: 360, marginLeft: 56, marginBottom: 44, grid: true,
      x: { label: "longest time out of sight, frames (mean of the bin)", labelAnchor: "center", nice: true },
      y: { label: `${cut(metric.name, 40)}${metric.unit ? ` (${cut(metric.unit)})` : ""} ${metric.arrow}`, nice: true },
      color: { domain: names, range: drawn.map(m => hm.modelColour(board.models.indexOf(m))) },
      symbol: { domain: names, range: drawn.map(m => hm.modelShape(board.models.indexOf(m))), legend: true, tickFormat: n => cut(n) },
      marks: [
        Plot.ruleX(points.filter(p => p.y1 !== null && document.getElementById("hidden-intervals").checked), { x: beside, y1: "y1", y2: "y2", stroke: "model", strokeOpacity: 0.4, strokeWidth: 2 }),
        Plot.lineY(points, { x: beside, y: "y", stroke: "model", strokeWidth: 2 }),
        Plot.dot(points, { x: beside, y: "y", fill: "model", symbol: "model", r: 4.5,
          channels: { model: "model", clips: "clips", "hidden frames": "span" }, tip: { format: { x: false, fill: false, symbol: false } } }),
      ],
    })), `${metric.name} by hidden time, a line a model`);
  }

  async function places() {
    const events = (await hm.load(`${board.file}/events`)).filter(e => e[5] !== null);
    if (!events.length) return figure("places", null, "The events of these models do not say where the subject returns.");
    const points = events.map(e => ({ model: board.models[e[0]].name, x: e[5], y: e[6], success: e[3], verdict: board.verdicts.words[e[2]] ?? "none" }));
    const names = board.models.map(m => m.name).filter(n => points.some(p => p.model === n));
    const across = Math.max(1, Math.min(names.length, 5, Math.floor(wide("places", 1160) / 210)));
    const width = wide("places", 1160), rows = Math.ceil(names.length / across);
    const at = name => names.indexOf(name);
    figure("places", Plot.plot(base({
      width, height: rows * (width / across * 0.6 + 18) + 30, marginLeft: 10, marginRight: 10, marginTop: 20,
      fx: { axis: null }, fy: { axis: null }, x: { domain: [0, 1], axis: null }, y: { domain: [1, 0], axis: null },
      color: { domain: board.verdicts.words, range: board.verdicts.colours, legend: true, tickFormat: w => cut(w) },
      marks: [
        Plot.frame({ stroke: ink("--line"), fill: ink("--soft"), rx: 4 }),
        Plot.dot(points, { x: "x", y: "y", fx: p => at(p.model) % across, fy: p => Math.floor(at(p.model) / across), fill: "verdict",
          fillOpacity: 0.85, r: 4.5, stroke: ink("--page"), strokeWidth: 0.8, tip: true, channels: { success: "success" } }),
        Plot.text(names, { text: d => cut(d, Math.max(12, Math.floor(width / across / 8))), fx: d => at(d) % across, fy: d => Math.floor(at(d) / across), frameAnchor: "top-left", dy: -14, fontWeight: 600 }),
      ],
    })), "Where on the screen subjects return, coloured by what became of them");
  }

  async function draw() {
    if (!board || !seen) return;
    await hm.script("assets/vendor/d3.min.js");
    await hm.script("assets/vendor/plot.umd.min.js");
    scatter(); verdicts();
    await hidden();
    if (board.hasEvents) await places(); else figure("places", null, "No events are known here.");
    room.dataset.drawn = board.file;
  }

  document.addEventListener("board", e => {
    board = e.detail;
    const metrics = board.metrics.map((m, k) => [`m:${k}`, m.name]), costs = board.costs.map(([name], k) => [`c:${k}`, name]);
    const code = name => `m:${board.metrics.findIndex(m => m.name === name)}`;
    const second = board.columns.find(c => c !== board.rankBy);
    const kept = (key, usual) => [...metrics, ...costs].find(([, name]) => name === hm.state.read().get(key))?.[0] ?? usual;
    choose("x-axis", [["metrics", metrics], ["the model's own numbers", costs]], kept("x", second ? code(second) : "m:0"));
    choose("y-axis", [["metrics", metrics]], kept("y", code(board.rankBy)));
    choose("hidden-metric", [["metrics", metrics]], kept("over", code(board.rankBy)));
    document.getElementById("hidden-intervals").checked = board.models.filter(m => m.ranked).length <= 6;
    draw();
  });
  // what is drawn is kept in the address too, by name: numbers of metrics change from version to version
  const keys = { "x-axis": "x", "y-axis": "y", "hidden-metric": "over" };
  for (const [id, key] of Object.entries(keys)) document.getElementById(id).addEventListener("change", e => {
    hm.state.write({ [key]: e.target.selectedOptions[0].text });
    if (id !== "hidden-metric") scatter();
  });
  document.getElementById("scatter-bounds").addEventListener("change", scatter);
  for (const id of ["hidden-metric", "hidden-bounds", "hidden-intervals"]) document.getElementById(id).addEventListener("change", hidden);
  document.addEventListener("themechange", () => draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  let later; addEventListener("resize", () => { clearTimeout(later); later = setTimeout(draw, 200); });
  new IntersectionObserver((found, watch) => {
    if (found.some(f => f.isIntersecting)) { seen = true; watch.disconnect(); draw(); }
  }, { rootMargin: "200px" }).observe(room);
})();
