// The leaderboard: sorted, filtered and cut to the columns that the reader wants, all of it kept in the address.
"use strict";
(() => {
  const { el, bdi, number, state } = hm;
  const place = document.getElementById("board");
  if (!place) return;
  const boards = [...document.querySelectorAll("#boards option")].map(o => o.value);
  let board, clips, chosen, shownFor = 0, exported = () => [];

  function read() {
    const now = state.read(), names = board.metrics.map(m => m.name);
    const cols = now.getAll("col").filter(n => names.includes(n));
    const filters = {};
    for (const [kind, values] of board.kinds) {
      const asked = now.get(`f.${kind}`);
      if (values.includes(asked)) filters[kind] = asked;
    }
    const sort = names.includes(now.get("sort")) || now.get("sort") === "model" ? now.get("sort") : board.rankBy;
    return {
      cols: cols.length ? cols : board.columns,
      filters,
      sort,
      turned: now.get("dir") === "turned",
      find: now.get("find") || "",
    };
  }

  const standard = cols => cols.length === board.columns.length && cols.every((c, i) => c === board.columns[i]);

  function change(update) {
    Object.assign(chosen, update);
    const params = {
      board: board.file === boards[0] ? null : board.file,
      sort: chosen.sort === board.rankBy ? null : chosen.sort,
      dir: chosen.turned ? "turned" : null,
      col: standard(chosen.cols) ? null : chosen.cols,
      find: chosen.find || null,
    };
    for (const [kind] of board.kinds) params[`f.${kind}`] = chosen.filters[kind] ?? null;
    state.write(params);
    draw();
  }

  async function open(file) {
    place.setAttribute("aria-busy", "true");
    board = await hm.load(`${file}/board`);
    clips = null;
    chosen = read();
    controls();
    await draw();
    place.removeAttribute("aria-busy");
    document.dispatchEvent(new CustomEvent("board", { detail: board }));
  }

  function controls() {
    const filters = document.getElementById("filters");
    filters.replaceChildren(...board.kinds.map(([kind, values]) => {
      const select = el("select", { "data-kind": kind, onchange: e => {
        const next = { ...chosen.filters };
        if (e.target.value) next[kind] = e.target.value; else delete next[kind];
        change({ filters: next });
      } }, el("option", { value: "" }, "all"), ...values.map(v => el("option", { value: v }, v)));
      select.value = chosen.filters[kind] || "";
      return el("label", null, el("span", null, kind), select);
    }));
    const find = document.getElementById("find");
    find.value = chosen.find;
    const columns = document.getElementById("columns");
    columns.replaceChildren(...board.metrics.map(m => {
      const box = el("input", { type: "checkbox", value: m.name });
      box.checked = chosen.cols.includes(m.name);
      box.addEventListener("change", () => {
        const wanted = new Set(chosen.cols);
        if (box.checked) wanted.add(m.name); else wanted.delete(m.name);
        change({ cols: board.metrics.map(x => x.name).filter(n => wanted.has(n)) });
      });
      return el("label", null, box, " ", bdi(m.name));
    }));
    const about = document.getElementById("about");
    about.replaceChildren(...board.about.map(([k, v]) => el("span", null, el("b", null, k), " ", bdi(v))));
  }

  // Means of each shown metric: those of the run, or, under a filter, of the clips that match.
  async function numbers() {
    const at = new Map(board.metrics.map((m, i) => [m.name, i]));
    const wanted = [...new Set([...chosen.cols, ...(chosen.sort === "model" ? [] : [chosen.sort])])];
    const filters = Object.entries(chosen.filters);
    if (!filters.length)
      return { matching: null, cells: new Map(wanted.map(n => [n, board.summary[at.get(n)]])),
        standing: new Map(wanted.map(n => [n, board.standing[at.get(n)]])) };
    clips = clips || await hm.load(`${board.file}/clips`);
    const facts = new Map(clips.facts);
    const matching = clips.files.map((_, i) => i).filter(i =>
      filters.every(([kind, value]) => facts.get(kind)?.values[facts.get(kind).of[i]] === value));
    const scenes = matching.map(i => clips.scene[i]);
    const cells = new Map(), standing = new Map();
    await Promise.all(wanted.map(async name => {
      const columns = await hm.load(`${board.file}/values-${at.get(name)}`);
      const picked = columns.map(c => c === null ? null : matching.map(i => c[i]));
      cells.set(name, picked.map(c => c === null ? null : hm.summarise(c, scenes, board.fewScenes, board.metrics[at.get(name)].bounds)));
      standing.set(name, null);
    }));
    return { matching, cells, standing };
  }

  function order(cells) {
    const metric = board.metrics.find(m => m.name === chosen.sort);
    const up = metric ? metric.better === -1 : true;
    const value = i => metric ? cells.get(metric.name)[i]?.[0] ?? null : board.models[i].name;
    const flip = (up ? 1 : -1) * (chosen.turned ? -1 : 1);
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return flip * (typeof x === "number" ? x - y : x.localeCompare(y)) || a - b;
    };
    const all = board.models.map((_, i) => i)
      .filter(i => board.models[i].name.toLowerCase().includes(chosen.find.toLowerCase()));
    return [all.filter(i => board.models[i].ranked).sort(compare), all.filter(i => !board.models[i].ranked).sort(compare)];
  }

  // Rank by the sorted metric, best first, whatever the direction of the display; equal means share a rank.
  function ranks(cells) {
    const metric = board.metrics.find(m => m.name === (chosen.sort === "model" ? board.rankBy : chosen.sort));
    const out = new Map();
    if (!metric || !metric.better || !cells.has(metric.name)) return out;
    const found = board.models.map((m, i) => [cells.get(metric.name)[i]?.[0] ?? null, i])
      .filter(([v, i]) => v !== null && board.models[i].ranked).sort((a, b) => metric.better * (b[0] - a[0]));
    found.forEach(([v, i]) => {
      const rank = found.findIndex(([w]) => w === v) + 1;
      out.set(i, `${rank}${found.filter(([w]) => w === v).length > 1 ? "=" : ""}`);
    });
    return out;
  }

  async function draw() {
    const mine = ++shownFor;
    const { matching, cells, standing } = await numbers();
    if (mine !== shownFor) return; // the reader has gone on
    const [ranked, others] = order(cells), rank = ranks(cells);
    const metrics = chosen.cols.map(n => board.metrics.find(m => m.name === n));
    const head = el("tr", null, el("th", { scope: "col", class: "rank" }, "#"), header("model", "model", "", "", "text"),
      ...metrics.map(m => header(m.name, m.name, m.arrow, m.tip, "", m.unit, m.page, same(cells.get(m.name)))));
    // bounds that saw the truth would squeeze everybody else's bars
    const drawn = ranked.length ? ranked : others;
    const scale = metrics.map(m => extent(drawn.map(i => cells.get(m.name)[i])));
    const rows = [...ranked, ...others].map(i => row(i, metrics, cells, standing, scale, rank.get(i)));
    if (others.length && ranked.length) rows[ranked.length].classList.add("apart");
    exported = () => [["rank", "model", ...metrics.flatMap(m => [m.name, `${m.name} low`, `${m.name} high`, `${m.name} clips`])],
      ...[...ranked, ...others].map(i => [board.models[i].ranked ? rank.get(i) : "", board.models[i].name,
        ...metrics.flatMap(m => { const c = cells.get(m.name)[i]; return c ? [c[0], c[1], c[2], c[3]] : ["", "", "", ""]; })])];
    document.getElementById("csv").hidden = false;
    const table = el("table", { class: "board" },
      el("caption", { class: "hidden" }, `${board.title}. Sorted by ${chosen.sort}.`),
      el("thead", null, head), el("tbody", null, ...rows));
    const focused = document.activeElement?.dataset?.sort;
    place.replaceChildren(table);
    if (focused) [...place.querySelectorAll("[data-sort]")].find(b => b.dataset.sort === focused)?.focus();
    document.getElementById("count").textContent = matching === null
      ? `${board.clips} clips.`
      : `${matching.length} of ${board.clips} clips match. Means and intervals are computed in this page from these clips, by the` +
        ` same rules; ties are not tested.`;
    document.getElementById("none").hidden = rows.length > 0;
    document.dispatchEvent(new CustomEvent("drawn", { detail: { board, chosen, cells, matching } }));
  }

  // How many clips have a value, if that is the same for every model: then the head says it once.
  function same(column) {
    const found = new Set(column.filter(c => c && c[0] !== null).map(c => `${c[3]} of ${c[4]}`));
    return found.size === 1 ? [...found][0] : null;
  }

  function header(key, label, arrow, tip, kind, unit, page, clips) {
    const now = chosen.sort === key;
    const better = board.metrics.find(m => m.name === key)?.better;
    const falling = (key === "model" ? false : better !== -1) !== chosen.turned;
    const button = el("button", { type: "button", class: "sort", "data-sort": key, title: tip || null,
      onclick: () => change({ sort: key, turned: now ? !chosen.turned : false }) },
    bdi(label), arrow ? el("span", { class: "arrow", title: arrow === "↑" ? "higher is better" : "lower is better" }, ` ${arrow}`) : null,
    unit ? el("small", null, ` ${unit}`) : null);
    const link = page ? el("a", { class: "what", href: page, "aria-label": `What ${label} is`, title: tip || null }, "?") : null;
    return el("th", { scope: "col", class: kind, "aria-sort": now ? (falling ? "descending" : "ascending") : null },
      el("span", { class: "head" }, button, link),
      partly(clips) ? el("small", { class: "part", title: "clips with a value, of every model" }, `${clips} clips`) : null);
  }

  const partly = clips => clips && clips.split(" of ")[0] !== clips.split(" of ")[1];

  const extent = column => {
    const ends = column.flatMap(c => c ? [c[0], c[1], c[2]] : []).filter(v => v !== null);
    return ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
  };

  function row(i, metrics, cells, standing, scale, rank) {
    const m = board.models[i];
    const name = el("th", { scope: "row", class: "text name" },
      el("a", { href: m.page, title: m.description || null }, bdi(m.name)),
      m.tag ? el("span", { class: "tag", title: m.notice }, m.tag) : null);
    return el("tr", { class: m.ranked ? null : "unranked" },
      el("td", { class: "rank" }, m.ranked ? rank || "–" : "–"), name,
      ...metrics.map((metric, k) =>
        cell(cells.get(metric.name)[i], metric, standing.get(metric.name)?.[i], scale[k], same(cells.get(metric.name)))));
  }

  function cell(found, metric, standing, [low, high], clips) {
    if (!found || found[0] === null)
      return el("td", { "data-value": "", title: found ? `no value on any of ${found[4]} clips` : "not measured" }, "–");
    const [mean, from, to, scored, total] = found;
    const at = v => Math.min(100, Math.max(0, 100 * (v - low) / (high - low || 1)));
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    if (from !== null) bar.append(el("i", { style: { left: `${at(from)}%`, width: `${at(to) - at(from)}%` } }));
    if (mean >= low && mean <= high) bar.append(el("b", { style: { left: `${at(mean)}%` } }));
    const value = el(standing?.[1] ? "strong" : "span", standing?.[1] ? { title: "not told from the first by a paired test" } : null,
      number(mean, metric.unit));
    return el("td", { "data-value": mean }, value,
      el("small", null, from === null ? "" : `${number(from, metric.unit)} to ${number(to, metric.unit)}`),
      scored < total && !clips ? el("small", { class: "part", title: "clips with a value" }, `${scored} of ${total}`) : null, bar);
  }

  document.getElementById("boards")?.addEventListener("change", e => {
    state.write({ board: e.target.value === boards[0] ? null : e.target.value, sort: null, dir: null, col: null });
    open(e.target.value);
  });
  document.getElementById("find").addEventListener("input", e => change({ find: e.target.value }));
  document.getElementById("standard").addEventListener("click", () => { change({ cols: board.columns }); controls(); });
  document.getElementById("every").addEventListener("click", () => { change({ cols: board.metrics.map(m => m.name) }); controls(); });
  document.getElementById("clear").addEventListener("click", () => {
    change({ filters: {}, find: "", sort: board.rankBy, turned: false, cols: board.columns });
    controls();
  });
  document.getElementById("csv").addEventListener("click", () => hm.saveCsv("table.csv", exported()));
  window.addEventListener("hashchange", () => start());

  function start() {
    const asked = state.read().get("board");
    const file = boards.includes(asked) ? asked : boards[0];
    document.getElementById("boards").value = file;
    open(file);
  }
  start();
})();
