// The index of clips: failures first, by disagreement or any metric, with film strips around the re-entry.
"use strict";
(() => {
  const { el, bdi, number, state } = hm;
  const place = document.getElementById("clips");
  if (!place) return;
  const STEP = 40;
  let board, clips, events, facts, drawnFor = 0;

  function read() {
    const now = state.read(), names = board.metrics.map(m => m.name);
    const filters = {};
    for (const [kind, values] of board.kinds) {
      const asked = now.get(`f.${kind}`);
      if (values.includes(asked)) filters[kind] = asked;
    }
    const verdict = board.verdicts.words.includes(now.get("verdict")) ? now.get("verdict") : "";
    return {
      metric: names.includes(now.get("metric")) ? now.get("metric") : board.rankBy,
      order: ["worst", "best", "disagreement", "data"].includes(now.get("order")) ? now.get("order") : "worst",
      filters, verdict, find: now.get("find") || "", videos: now.get("videos") === "yes" && someVideos(),
    };
  }

  // whether some clips have videos and some have none: only then there is something to choose
  const someVideos = () => new Set(clips.strips.map(s => s.length > 0)).size === 2;

  function change(update) {
    const chosen = { ...read(), ...update };
    const params = {
      metric: chosen.metric === board.rankBy ? null : chosen.metric,
      order: chosen.order === "worst" ? null : chosen.order, verdict: chosen.verdict, find: chosen.find, videos: chosen.videos ? "yes" : null,
    };
    for (const [kind] of board.kinds) params[`f.${kind}`] = chosen.filters[kind] ?? null;
    state.write(params);
    draw();
  }

  const choice = (id, label, values, now, then) => {
    const select = el("select", { id, onchange: e => then(e.target.value) },
      ...values.map(([v, t]) => el("option", { value: v }, t)));
    select.value = now;
    return el("label", null, el("span", null, label), select);
  };

  function controls() {
    const now = read();
    const find = el("input", { id: "find", type: "search", value: now.find, oninput: e => change({ find: e.target.value }) });
    document.getElementById("filters").replaceChildren(
      choice("order", "order", [["worst", "worst first"], ["disagreement", "models disagree most"], ["best", "best first"],
        ["data", "as in the data"]], now.order, v => change({ order: v })),
      choice("metric", "by", board.metrics.map(m => [m.name, m.name]), now.metric, v => change({ metric: v })),
      ...(board.verdicts.words.length ? [choice("verdict", "a model's verdict",
        [["", "any"], ...board.verdicts.words.map(w => [w, w])], now.verdict, v => change({ verdict: v }))] : []),
      ...board.kinds.map(([kind, values]) => choice(`f-${kind}`, kind, [["", "all"], ...values.map(v => [v, v])],
        now.filters[kind] || "", v => { const f = { ...read().filters }; if (v) f[kind] = v; else delete f[kind]; change({ filters: f }); })),
      el("label", null, el("span", null, "id contains"), find),
      ...(someVideos() ? [choice("videos", "videos", [["", "all clips"], ["yes", "clips with videos"]], now.videos ? "yes" : "", v => change({ videos: v === "yes" }))] : []));
  }

  async function draw() {
    const mine = ++drawnFor, chosen = read();
    const metric = board.metrics.find(m => m.name === chosen.metric), at = board.metrics.indexOf(metric);
    const columns = await hm.load(`${board.file}/values-${at}`);
    if (chosen.verdict) events = events || await hm.load(`${board.file}/events`);
    if (mine !== drawnFor) return;
    const ranked = board.models.map((m, i) => i).filter(i => board.models[i].ranked && columns[i]);
    const used = ranked.length ? ranked : board.models.map((_, i) => i).filter(i => columns[i]);
    const key = clips.files.map((_, c) => {
      const found = used.map(i => columns[i][c]).filter(v => v !== null);
      if (!found.length) return null;
      if (chosen.order === "disagreement") return found.length > 1 ? Math.max(...found) - Math.min(...found) : null;
      return found.reduce((a, b) => a + b, 0) / found.length;
    });
    const up = metric.better !== -1;
    const flip = { worst: up ? 1 : -1, best: up ? -1 : 1, disagreement: -1, data: 0 }[chosen.order];
    const w = board.verdicts.words.indexOf(chosen.verdict);
    const withVerdict = chosen.verdict ? new Set(events.filter(e => e[2] === w).map(e => e[1])) : null;
    const shown = clips.files.map((_, c) => c).filter(c =>
      Object.entries(chosen.filters).every(([k, v]) => facts.get(k)?.values[facts.get(k).of[c]] === v)
      && (!withVerdict || withVerdict.has(c)) && (!chosen.videos || clips.strips[c].length > 0)
      && (clips.ids[c] ?? clips.files[c]).toLowerCase().includes(chosen.find.toLowerCase()));
    shown.sort((a, b) => {
      if (!flip) return a - b;
      if (key[a] === null || key[b] === null) return (key[a] === null) - (key[b] === null) || a - b;
      return flip * (key[a] - key[b]) || a - b;
    });
    document.getElementById("count").textContent = `${shown.length} of ${clips.files.length} clips.`;
    place.replaceChildren();
    let done = 0;
    const more = document.getElementById("more");
    const next = () => {
      place.append(...shown.slice(done, done + STEP).map(c => card(c, metric, columns)));
      done += STEP;
      more.hidden = done >= shown.length;
    };
    more.onclick = next;
    next();
  }

  function card(c, metric, columns) {
    const id = clips.ids[c] ?? clips.files[c];
    const strips = clips.strips[c] || [];
    const lines = strips.map(([who, file, verdicts]) => el("div", { class: "strip" },
      el("span", { class: "who" }, who < 0 ? "target" : bdi(board.models[who].name),
        ...(verdicts || []).map(v => chip(v))),
      el("img", { src: `${hm.root}media/${file}`, alt: "", loading: "lazy", width: 960, height: Math.round(960 / clips.aspect / 8) })));
    const values = board.models.map((m, i) => [m, columns[i]?.[c]]).filter(([, v]) => v !== undefined);
    return el("article", { class: "card" },
      el("h3", null, el("a", { href: `clips/${clips.files[c]}.html` }, bdi(id))),
      el("p", { class: "facts" }, ...[...facts].filter(([, f]) => f.of[c] >= 0)
        .map(([kind, f]) => el("span", { title: kind }, bdi(f.values[f.of[c]])))),
      lines.length ? el("div", { class: "strips" }, ...lines) : null,
      el("dl", { class: "values", "aria-label": metric.name },
        ...values.map(([m, v]) => el("div", { class: m.ranked ? null : "unranked" }, el("dt", null, bdi(m.name)), el("dd", null, number(v, metric.unit))))));
  }

  const chip = v => el("span", { class: "chip", title: board.verdicts.words[v], style: { "--c": board.verdicts.colours[v] } }, bdi(board.verdicts.words[v]));

  (async () => {
    board = await hm.load(`${place.dataset.board}/board`);
    clips = await hm.load(`${place.dataset.board}/clips`);
    facts = new Map(clips.facts);
    controls();
    await draw();
    place.removeAttribute("aria-busy");
    window.addEventListener("hashchange", () => { controls(); draw(); });
  })();
})();
