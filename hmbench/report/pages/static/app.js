// What every page shares: data files, text-only elements, numbers, the state in the address, the theme.
// Strangers' words are only ever set as text; nothing here parses HTML.
"use strict";
window.hm = (() => {
  const parts = new Map(), waiting = new Map();
  const root = document.documentElement.dataset.root || "";

  // data files call this: a page opened from disk may load scripts, but may not fetch
  function receive(name, content) {
    parts.set(name, content);
    for (const tell of waiting.get(name) || []) tell(content);
    waiting.delete(name);
  }

  function load(name) {
    if (parts.has(name)) return Promise.resolve(parts.get(name));
    return new Promise((tell, fail) => {
      if (waiting.has(name)) { waiting.get(name).push(tell); return; }
      waiting.set(name, [tell]);
      script(`data/${name}.js`).catch(fail);
    });
  }

  const scripts = new Map();
  function script(path) {
    if (!scripts.has(path)) scripts.set(path, new Promise((tell, fail) => {
      const tag = document.createElement("script");
      tag.src = root + path;
      tag.onload = tell;
      tag.onerror = () => fail(new Error(`${path} is missing`));
      document.head.append(tag);
    }));
    return scripts.get(path);
  }

  function el(tag, options, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(options || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "class") node.className = value;
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
      else node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter(c => c !== null && c !== undefined));
    return node;
  }

  const bdi = text => el("bdi", null, text);

  function number(value, unit) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    const text = size >= 1000 ? Math.round(value).toLocaleString("en-US")
      : value.toFixed(unit || size >= 10 ? 2 : 3);
    return Number(text.replace(/,/g, "")) === 0 ? text.replace("-", "") : text.replace("-", "−");
  }

  // The address keeps what the reader chose, so that a view can be cited.
  const state = {
    read: () => new URLSearchParams(location.hash.slice(1)),
    write(change) {
      const now = state.read();
      for (const [key, value] of Object.entries(change)) {
        now.delete(key);
        for (const v of Array.isArray(value) ? value : [value])
          if (v !== null && v !== undefined && v !== "") now.append(key, v);
      }
      const text = now.toString();
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    },
  };

  // 95 % intervals of means over clips that stand in scenes: the rules of hmbench.results.intervals, for filtered views.
  // Wilson's interval with an effective number of clips between two ends; else the bootstrap-t, at least as wide as
  // Student's t. A test holds them against Python's.
  const Z = 1.959963984540054;

  function summarise(values, scenes, few, bounds = [null, null]) {
    const groups = new Map();
    let total = 0, count = 0, least = Infinity, most = -Infinity;
    values.forEach((v, i) => {
      if (v === null) return;
      const g = groups.get(scenes[i]) || [0, 0];
      g[0] += v; g[1] += 1; groups.set(scenes[i], g);
      total += v; count += 1; least = Math.min(least, v); most = Math.max(most, v);
    });
    if (!count) return null;
    const mean = total / count, k = [...groups.values()];
    const found = (low, high) => [mean, low, high, count, values.length];
    if (k.length < few) return found(null, null);
    let [low, high] = bounds;
    if ((low !== null && least < low) || (high !== null && most > high)) low = high = null;
    const size = Math.max(...k.map(g => Math.abs(g[0] / g[1])));
    let error = Math.sqrt(variance(k));
    if (error <= 1e-9 * size) error = 0;
    if (low !== null && high !== null) {
      const share = Math.min(1, Math.max(0, (mean - low) / (high - low))), e = error / (high - low);
      const n = e > 0 ? share * (1 - share) / e ** 2 * (Z / tQuantile(freedom(k))) ** 2 : k.length;
      const pull = Z * Z / n, centre = (share + pull / 2) / (1 + pull);
      const half = Math.sqrt(share * (1 - share) * pull + pull * pull / 4) / (1 + pull);
      return found(low + Math.max(0, centre - half) * (high - low), low + Math.min(1, centre + half) * (high - low));
    }
    if (error === 0) return found(null, null);
    const half = tQuantile(freedom(k)) * error, draws = 2000, random = generator(0), t = new Float64Array(draws);
    for (let d = 0; d < draws; d++) {
      const drawn = k.map(() => k[Math.floor(random() * k.length)]);
      let away = drawn.reduce((s, g) => s + g[0], 0) / drawn.reduce((s, g) => s + g[1], 0) - mean;
      let e = Math.sqrt(variance(drawn));
      if (Math.abs(away) <= 1e-9 * size) away = 0;
      if (e <= 1e-9 * size) e = 0;
      t[d] = away === 0 ? 0 : away / e;
    }
    t.sort();
    const above = t[Math.ceil(0.975 * (draws - 1))], below = t[Math.floor(0.025 * (draws - 1))];
    if (!Number.isFinite(above) || !Number.isFinite(below)) return found(null, null);
    const ends = [Math.min(mean - half, mean - above * error), Math.max(mean + half, mean - below * error)];
    return found(low === null ? ends[0] : Math.max(low, ends[0]), high === null ? ends[1] : Math.min(high, ends[1]));
  }

  function variance(groups) { // CR2, Bell and McCaffrey 2002
    const total = groups.reduce((s, g) => s + g[1], 0), mean = groups.reduce((s, g) => s + g[0], 0) / total;
    return groups.reduce((s, g) => s + (g[0] - g[1] * mean) ** 2 / (1 - g[1] / total), 0) / total ** 2;
  }

  function freedom(groups) { // Satterthwaite's degrees of freedom for independent clips
    const total = groups.reduce((s, g) => s + g[1], 0), p = groups.map(g => g[1] / total);
    const n = groups.map(g => g[1]);
    const entry = (i, j) => ((i === j ? n[i] : 0) - p[j] * n[i] - p[i] * n[j] + p[i] * p[j] * total) / (1 - p[i]);
    let trace = 0, both = 0;
    for (let i = 0; i < n.length; i++) {
      trace += entry(i, i);
      for (let j = 0; j < n.length; j++) both += entry(i, j) * entry(j, i);
    }
    return trace ** 2 / both;
  }

  function tQuantile(n) { // the 97.5 % quantile, Hill 1970 (Algorithm 396) with one step of Newton on the distribution
    const a = 1 / (n - 0.5), b = 48 / (a * a);
    let c = ((20700 * a / b - 98) * a - 16) * a + 96.36;
    const d = ((94.5 / (b + c) - 3) / b + 1) * Math.sqrt(a * Math.PI / 2) * n;
    let x = d * 0.05, y = Math.pow(x, 2 / n);
    if (y > 0.05 + a) {
      x = -Z; y = x * x;
      if (n < 5) c += 0.3 * (n - 4.5) * (x + 0.6);
      c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c;
      y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x;
      y = a * y * y;
      y = y > 0.002 ? Math.exp(y) - 1 : 0.5 * y * y + y;
    } else y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (n + 2) + 1 / y;
    return Math.sqrt(n * y);
  }

  function generator(seed) { // mulberry32
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6d2b79f5) >>> 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // Theme: the system's, unless the reader chose.
  function theme(button) {
    const order = ["auto", "light", "dark"];
    let now = "auto";
    try { now = localStorage.getItem("hmbench-theme") || "auto"; } catch { /* no storage here */ }
    const apply = () => {
      if (now === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = now;
      button.textContent = { auto: "◐ auto", light: "☀ light", dark: "☾ dark" }[now];
      button.setAttribute("aria-label", `Theme: ${now}`);
      document.dispatchEvent(new Event("themechange"));
    };
    button.addEventListener("click", () => {
      now = order[(order.indexOf(now) + 1) % 3];
      try { localStorage.setItem("hmbench-theme", now); } catch { /* no storage here */ }
      apply();
    });
    apply();
  }

  // Any table marked so can be sorted by its headers.
  function sortable(table) {
    const body = table.tBodies[0];
    table.querySelectorAll("thead th").forEach((th, column) => {
      const label = th.textContent.trim();
      if (!label) return;
      th.dataset.text = label; // what a saved table calls it
      // a header that links somewhere keeps its link, and gets a button beside it
      const linked = th.querySelector("a") !== null;
      const button = linked ? el("button", { type: "button", class: "sort", "aria-label": `Sort by ${label}` }, "↕")
        : el("button", { type: "button", class: "sort", title: th.title }, ...th.childNodes);
      if (linked) th.append(" ", button);
      else { th.removeAttribute("title"); th.replaceChildren(button); }
      button.addEventListener("click", () => {
        const down = th.getAttribute("aria-sort") !== "descending";
        table.querySelectorAll("thead th").forEach(other => other.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = row => {
          const cell = row.cells[column], value = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
          return value === "" || value === "–" ? null : isNaN(value) ? value : Number(value);
        };
        const rows = [...body.rows].sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          if (x === null || y === null) return (x === null) - (y === null);
          const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
          return down ? -order : order;
        });
        body.append(...rows);
      });
    });
  }

  // Saves rows of cells as CSV, without asking any server.
  function saveCsv(name, rows) {
    const line = row => row.map(cell => {
      const text = String(cell ?? "").trim().replace(/\s+/g, " ");
      // a cell that a spreadsheet would take for a formula stays text
      const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text;
      return `"${safe.replaceAll('"', '""')}"`;
    }).join(",");
    const blob = new Blob([rows.map(line).join("\n") + "\n"], { type: "text/csv" });
    const a = el("a", { href: URL.createObjectURL(blob), download: name });
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 1000);
  }

  function saveable(button) {
    button.addEventListener("click", () => {
      const table = document.getElementById(button.dataset.table);
      saveCsv(button.dataset.name || "table.csv", [...table.rows].map(row => [...row.cells].map(cellText)));
    });
  }

  const cellText = cell => cell.dataset.value ?? cell.dataset.text ?? cell.textContent;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (button) theme(button);
    document.querySelectorAll("table.sortable").forEach(sortable);
    document.querySelectorAll("button.save").forEach(saveable);
    document.querySelectorAll("button.copy").forEach(b => b.addEventListener("click", async () => {
      const text = document.getElementById(b.dataset.from).textContent;
      try { await navigator.clipboard.writeText(text); b.textContent = "copied"; }
      catch { getSelection().selectAllChildren(document.getElementById(b.dataset.from)); b.textContent = "selected"; }
      setTimeout(() => { b.textContent = "copy"; }, 1500);
    }));
  });

  // colours that colour-blind readers tell apart (Okabe and Ito), then some of Tol's
  const MODELS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#999933", "#882255"];
  const modelColour = i => MODELS[i % MODELS.length];
  const SHAPES = ["circle", "square", "triangle", "star", "cross", "wye"]; // of those with equal colours
  const modelShape = i => SHAPES[Math.floor(i / MODELS.length) % SHAPES.length];

  return { saveCsv, receive, load, script, el, bdi, number, state, summarise, generator, modelColour, modelShape, root };
})();
