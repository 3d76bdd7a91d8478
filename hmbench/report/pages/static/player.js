// Videos of one clip in step: one clock, one line of time, boxes on request, keys.
//
// The clock counts frames of the whole clip: the context's first, then the target's. Each video plays by itself and is
// held to the clock: a little off, it plays a little slower or faster; more than a frame off, it is set anew. The clock
// waits for videos that are not ready, so a slow machine plays slowly and still in step.
"use strict";
(() => {
  const player = document.getElementById("player");
  if (!player) return;
  const { el } = hm;
  const fps = Number(player.dataset.fps), total = Number(player.dataset.total), before = Number(player.dataset.before);
  const loops = JSON.parse(player.dataset.loops || "[]");
  const panels = [...player.querySelectorAll("figure.panel")].map(figure => ({
    figure, video: figure.querySelector("video"), canvas: figure.querySelector("canvas"),
    begins: Number(figure.dataset.begins), title: figure.dataset.title, number: Number(figure.dataset.number),
  })).filter(p => p.video);
  const scrub = document.getElementById("scrub"), playButton = document.getElementById("play");
  const where = document.getElementById("where"), speed = document.getElementById("speed");
  const loop = document.getElementById("loop"), boxes = document.getElementById("boxes");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let frame = 0, playing = false, last = 0, span = null, tracks = null, waited = 0;

  const length = p => Math.max(1, Math.round((p.video.duration || 0) * fps));
  const local = p => Math.min(Math.max(Math.floor(frame) - p.begins, 0), length(p) - 1);
  const active = p => frame >= p.begins && frame < p.begins + length(p);
  const shown = p => Math.floor(p.video.currentTime * fps + 1e-3);

  function put(p) {
    const time = (local(p) + 0.5) / fps;
    if (Math.abs(p.video.currentTime - time) > 0.25 / fps) p.video.currentTime = time;
  }

  function go(to) {
    frame = Math.min(Math.max(to, 0), total - 1);
    for (const p of panels) put(p);
    paint();
  }

  function set(play) {
    playing = play;
    last = performance.now();
    if (play && frame >= total - 1) frame = span ? span[0] : 0;
    for (const p of panels) {
      put(p);
      if (play && active(p)) p.video.play().catch(() => {}); else p.video.pause();
    }
    playButton.textContent = play ? "❚❚ Pause" : "▶ Play";
    playButton.setAttribute("aria-pressed", String(play));
    if (play) requestAnimationFrame(tick); else go(Math.floor(frame));
  }

  function tick(now) {
    if (!playing) return;
    const rate = Number(speed.value), busy = panels.filter(p => active(p) && (p.video.seeking || p.video.readyState < 3));
    const passed = Math.min(now - last, 100);
    last = now;
    waited = busy.length ? waited + passed : 0;
    if (!busy.length || waited > 1500) frame += passed / 1000 * fps * rate; // a broken video holds nobody up for long
    const end = span ? span[1] : total;
    if (frame >= end) {
      if (!span) { frame = total - 1; set(false); return; }
      frame = span[0];
      for (const p of panels) put(p);
    }
    for (const p of panels) hold(p, rate);
    paint();
    requestAnimationFrame(tick);
  }

  function hold(p, rate) {
    const video = p.video;
    if (!active(p)) { if (!video.paused) video.pause(); put(p); return; }
    if (video.seeking) return;
    const off = video.currentTime * fps - (frame - p.begins);
    if (Math.abs(off) > 0.9) video.currentTime = (frame - p.begins + 0.1) / fps;
    video.playbackRate = rate * (off > 0.2 ? 0.9 : off < -0.2 ? 1.1 : 1);
    if (video.paused) video.play().catch(() => {});
  }

  function paint() {
    const f = Math.floor(frame);
    scrub.value = f;
    scrub.setAttribute("aria-valuetext", says(f));
    where.textContent = says(f);
    player.style.setProperty("--at", `${100 * (f + 0.5) / total}%`);
    document.querySelectorAll(".timeline.live").forEach(t => t.style.setProperty("--at", `${100 * (f + 0.5) / total}%`));
    for (const p of panels) {
      p.figure.classList.toggle("waiting", !active(p) && f < p.begins);
      draw(p);
    }
  }

  const says = f => `frame ${f} of ${total - 1} · ${f < before ? "context" : "target"} · ${(f / fps).toFixed(2)} s`;

  function draw(p) {
    const canvas = p.canvas, on = boxes.checked && tracks, g = canvas.getContext("2d");
    if (!on) { if (canvas.width > 1) { canvas.width = 1; canvas.height = 1; } return; }
    const own = tracks.find(t => t.panel === p.number), [h, w] = own ? own.size : [p.video.videoHeight, p.video.videoWidth];
    const scale = Math.max(1, canvas.clientWidth * (devicePixelRatio || 1) / w);
    if (canvas.width !== Math.round(w * scale)) { canvas.width = Math.round(w * scale); canvas.height = Math.round(h * scale); }
    g.clearRect(0, 0, canvas.width, canvas.height);
    if (!own || !active(p)) return;
    const at = local(p);
    for (const [name, colour, first, list] of own.tracks) {
      const box = list[at - first];
      if (!box) continue;
      const [x0, y0, x1, y1] = box.map(v => v * scale);
      const ink = colour ? hm.modelColour(colour - 1) : "#dddddd";
      g.lineWidth = (colour ? 2 : 1) * Math.max(1, scale * 0.75);
      g.setLineDash(colour ? [] : [4, 3]);
      g.strokeStyle = "#000a";
      g.strokeRect(x0 + 1, y0 + 1, x1 - x0, y1 - y0);
      g.strokeStyle = ink;
      g.strokeRect(x0, y0, x1 - x0, y1 - y0);
      g.font = `600 ${Math.round(7 * Math.max(1.4, scale))}px system-ui, sans-serif`;
      const wide = g.measureText(name).width + 6, tall = Math.round(9 * Math.max(1.4, scale));
      const top = y0 - tall < 0 ? y0 : y0 - tall;
      g.fillStyle = ink;
      g.fillRect(x0, top, wide, tall);
      g.fillStyle = "#000";
      g.fillText(name, x0 + 3, top + tall * 0.78);
    }
  }

  async function overlays() {
    if (!player.dataset.tracks) boxes.checked = false; // there are none: the key does nothing
    else if (boxes.checked && !tracks) tracks = await hm.load(player.dataset.tracks);
    paint();
  }

  function looping(which) {
    span = which === "" ? null : loops[Number(which)];
    if (span && (frame < span[0] || frame >= span[1])) go(span[0]);
  }

  playButton.addEventListener("click", () => set(!playing));
  scrub.addEventListener("input", () => { const was = playing; if (was) set(false); go(Number(scrub.value)); });
  document.getElementById("back").addEventListener("click", () => { set(false); go(Math.floor(frame) - 1); });
  document.getElementById("forth").addEventListener("click", () => { set(false); go(Math.floor(frame) + 1); });
  loop.addEventListener("change", () => looping(loop.value));
  boxes.addEventListener("change", overlays);
  speed.addEventListener("change", () => { last = performance.now(); });
  document.querySelectorAll(".timeline.live").forEach(line => line.addEventListener("click", e => {
    const track = line.querySelector(".lane") || line, box = track.getBoundingClientRect();
    go(Math.floor(total * (e.clientX - box.left) / box.width));
  }));
  document.querySelectorAll("button.seek").forEach(b => b.addEventListener("click", () => {
    set(false); go(Number(b.dataset.frame)); player.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  }));
  document.addEventListener("keydown", e => {
    if (e.altKey || e.ctrlKey || e.metaKey || /^(input|select|textarea|button|a|summary)$/i.test(e.target.tagName) && e.target !== scrub) {
      if (!(e.key === "k" && !/^(input|select|textarea)$/i.test(e.target.tagName))) return;
    }
    const act = {
      " ": () => set(!playing), k: () => set(!playing),
      ArrowLeft: () => { set(false); go(Math.floor(frame) - (e.shiftKey ? 10 : 1)); },
      ArrowRight: () => { set(false); go(Math.floor(frame) + (e.shiftKey ? 10 : 1)); },
      Home: () => go(0), End: () => go(total - 1),
      b: () => { boxes.checked = !boxes.checked; overlays(); },
      l: () => { loop.value = loop.value === "" && loops.length ? "0" : ""; looping(loop.value); },
      r: () => { if (loops.length) go(loops[0][0]); },
      ",": () => { speed.selectedIndex = Math.max(0, speed.selectedIndex - 1); },
      ".": () => { speed.selectedIndex = Math.min(speed.options.length - 1, speed.selectedIndex + 1); },
    }[e.key];
    if (act) { e.preventDefault(); act(); }
  });
  addEventListener("resize", paint);
  for (const p of panels) p.video.addEventListener("loadeddata", () => { put(p); paint(); });
  for (const p of panels) p.video.addEventListener("seeked", () => { if (!playing) paint(); });
  player.querySelectorAll("input.pick").forEach(box => box.addEventListener("change", () => {
    const figure = player.querySelector(`figure.panel[data-number="${CSS.escape(box.value)}"]`);
    figure.hidden = !box.checked;
    paint();
  }));
  const asked = hm.state.read().get("frame");
  go(asked !== null && /^\d+$/.test(asked) ? Number(asked) : loops.length ? loops[0][0] : 0);
  document.getElementById("cite").addEventListener("click", () => hm.state.write({ frame: Math.floor(frame) }));
  // what tests and the curious ask: the clock, and the frame that each video shows
  hm.player = { get frame() { return Math.floor(frame); }, get playing() { return playing; },
    shows: () => panels.filter(active).map(p => [p.title, shown(p) + p.begins]) };
})();
