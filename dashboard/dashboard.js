// The script of the live page. It receives frames, keeps what a page shows of
// each source, and draws it. Texts of tasks are only ever inserted as text
// nodes, never as HTML.
"use strict";

(() => {
  const byID = id => document.getElementById(id);
  const token = document.querySelector('meta[name="concert-token"]').content;
  const mayCancel = document.body.dataset.cancel === "true";
  const mayReplay = document.body.dataset.replay === "true";

  const maxSpans = 8000, maxPoints = 1200;
  const ranges = [[10, "10 s"], [60, "1 min"], [600, "10 min"]];

  const sources = new Map(); // by id: what is known of a source
  let chosen = 0;            // the id of the source that is shown
  let seconds = 10;          // the time range of the charts
  let isRangeChosen = false; // whether the user has chosen it
  let now = 0;               // the time of the last frame, in ms
  let paused = false, ended = false;
  let process = null;
  let picked = null;         // the span that the keyboard or the pointer has chosen

  // ---- Elements ----

  // make returns a new element. Strings among the children become text nodes.
  function make(tag, attributes, ...children) {
    const e = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
      else if (value === true) e.setAttribute(name, "");
      else if (value !== false && value != null) e.setAttribute(name, value);
    }
    e.append(...children);
    return e;
  }

  // setText changes a text only if it differs, so that a selection stays.
  function setText(e, text) {
    if (e.textContent !== text) e.textContent = text;
  }

  function draw(tag, attributes, text) {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    if (text !== undefined) e.textContent = text;
    return e;
  }

  // ---- Numbers ----

  function digits(x) { // three digits
    if (x >= 100 || x === Math.round(x)) return Math.round(x).toLocaleString("en-US");
    return x.toFixed(x >= 10 ? 1 : 2).replace(/\.?0+$/, "");
  }

  function count(n) {
    if (n < 1e6) return Math.round(n).toLocaleString("en-US");
    if (n < 1e9) return digits(n / 1e6) + " M";
    return digits(n / 1e9) + " G";
  }

  function amount(n, one, many) { return count(n) + " " + (n === 1 ? one : many || one + "s"); }

  function rate(x) { return (x < 1000 ? digits(x) : count(x)) + "/s"; }

  function bytes(n) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let i = 0;
    for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
    return digits(n) + " " + units[i];
  }

  function duration(us) {
    if (us < 1000) return digits(us) + " µs";
    if (us < 1e6) return digits(us / 1e3) + " ms";
    const s = us / 1e6;
    if (s < 60) return digits(s) + " s";
    if (s < 3600) return Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
    return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  }

  function clock(ms) {
    return new Date(ms).toLocaleTimeString("en-GB") + "." + String(Math.floor(ms % 1000)).padStart(3, "0");
  }

  // ---- Frames ----

  function receive(frame) {
    if (frame.full) {
      const before = sources.get(chosen);
      sources.clear();
      if (before) chosen = 0; // found again by its name
      for (const part of frame.sources || []) {
        addSource(part);
        if (before && part.name === before.name && !chosen) chosen = part.id;
      }
    } else {
      for (const part of frame.sources || []) addSource(part);
    }
    now = frame.time;
    paused = frame.paused;
    process = frame.process || null;
    if (frame.ended) end();
    else setState("live", "live");
    if (!sources.has(chosen)) chosen = sources.size ? sources.keys().next().value : 0;
    show();
  }

  function addSource(part) {
    let s = sources.get(part.id);
    if (!s) sources.set(part.id, s = { points: [], spans: [], details: new Map() });
    const points = s.points, spans = s.spans;
    Object.assign(s, part);
    for (const p of part.points || []) {
      points.push({ time: p[0], rate: p[1], failed: p[2], queued: p[3], running: p[4], waiting: p[5], shown: p[6], of: p[7] });
    }
    for (const x of part.spans || []) {
      spans.push({ task: x[0], worker: x[1], start: x[2] / 1e3, took: x[3], name: x[4], input: x[5], failed: x[6], group: x[7] });
    }
    if (points.length > maxPoints) points.splice(0, points.length - maxPoints);
    if (spans.length > maxSpans) spans.splice(0, spans.length - maxSpans);
    s.points = points;
    s.spans = spans;
    s.running = part.running || [];
    s.functions = part.functions || [];
    s.failures = part.failures || { groups: [], other: 0 };
    for (const g of s.failures.groups) if (g.detail) s.details.set(g.group, g.detail); // later frames leave it out
    s.processes = part.processes || [];
    s.tables = part.tables || [];
  }

  // ---- Connection ----

  let stream = null, retry = 0, hidden = 0, silence = 0;

  function connect() {
    clearTimeout(retry);
    if (stream || ended) return;
    stream = new EventSource("events");
    stream.onopen = () => { setState("live", "live"); };
    stream.onmessage = e => {
      receive(JSON.parse(e.data));
      clearTimeout(silence);
      silence = setTimeout(() => setState("lost", "nothing received since " + clock(now).slice(0, 8)), 5000);
    };
    stream.onerror = () => {
      clearTimeout(silence);
      if (ended) return;
      setState("lost", "connection lost, trying again");
      if (stream.readyState === EventSource.CLOSED) { // the browser does not try again itself
        stream = null;
        retry = setTimeout(connect, 3000);
      }
    };
  }

  function disconnect() {
    clearTimeout(silence);
    if (stream) stream.close();
    stream = null;
  }

  function end() {
    ended = true;
    disconnect();
    setState("", "ended at " + clock(now).slice(0, 8));
    for (const b of document.querySelectorAll("#pause, #running button, #failures button")) b.disabled = true;
  }

  function setState(kind, text) {
    if (ended && kind !== "") return;
    if (kind === "live" && paused) { kind = "paused"; text = "paused: no task starts"; }
    byID("state").className = kind;
    setText(byID("state"), text);
  }

  // A page that is not visible for a minute costs nothing.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(disconnect, 60000);
    else connect();
  });

  // ---- Actions ----

  async function act(button, body, question) {
    if (question && !confirm(question)) return;
    button.disabled = true;
    let text, ok = false;
    try {
      const reply = await fetch("action", {
        method: "POST",
        headers: { "Content-Type": "application/json", "Concert-Token": token },
        body: JSON.stringify(body),
      });
      ok = reply.ok;
      text = (await reply.text()).trim();
    } catch (e) {
      text = "no answer: " + e.message;
    }
    button.disabled = ended;
    const m = byID("message");
    m.hidden = false;
    m.className = ok ? "" : "bad";
    setText(m, (ok ? "" : body.do + " failed: ") + text);
  }

  const pause = byID("pause");
  if (pause) pause.addEventListener("click", () => act(pause, { do: paused ? "resume" : "pause", task: "0" }));

  // ---- Everything ----

  function show() {
    if (pause) setText(pause, paused ? "Resume" : "Pause");
    const s = sources.get(chosen);
    showSources();
    if (process) {
      byID("process").hidden = false;
      setText(byID("process"), "This process: " + digits(process.cpu) + "% of a processor, " + bytes(process.memory) + " of memory");
    }
    if (!s) return;
    showNumbers(s);
    showRange(s);
    showCharts(s);
    showStream(s);
    showRunning(s);
    showFunctions(s);
    showFailures(s);
    showWorkers(s);
    showTables(s);
  }

  function showSources() {
    const nav = byID("sources");
    nav.hidden = sources.size < 2;
    const ids = [...sources.keys()].join();
    if (nav.dataset.ids !== ids) {
      nav.dataset.ids = ids;
      nav.replaceChildren(...[...sources].map(([id, s]) =>
        make("button", { type: "button", "data-id": id, title: s.name, onclick: () => { chosen = id; picked = null; show(); } }, s.name)));
    }
    for (const b of nav.children) b.setAttribute("aria-pressed", String(Number(b.dataset.id) === chosen));
  }

  const kinds = { workerDeaths: "worker deaths" }; // the others are words already

  function showNumbers(s) {
    const t = s.stats, p = s.points[s.points.length - 1] || { rate: 0 };
    const tiles = [
      ["Workers", count(t.workers), t.workers ? amount(t.busy, "busy", "busy") : ""],
      ["Running", count(t.running), t.runTime ? "median run " + duration(t.runTime.p50) : ""],
      ["Queued", count(t.queued), t.waiting ? amount(t.waiting, "submitter waits", "submitters wait") : t.queueTime ? "median wait " + duration(t.queueTime.p50) : ""],
      ["Finished", count(t.done), rate(p.rate)],
      ["Failed", count(t.failed), Object.entries(t.kinds).filter(([, n]) => n).map(([k, n]) => count(n) + " " + (kinds[k] || k)).join(", ") ||
        (t.done ? "of " + count(t.done) : ""), t.failed > 0 && "bad"],
    ];
    if (t.restarts) tiles.push(["Restarts", count(t.restarts), "of workers", "bad"]);
    if (t.sent || t.received) tiles.push(["Sent", bytes(t.sent), "to workers"], ["Received", bytes(t.received), "from workers"]);
    const box = byID("numbers");
    while (box.children.length > tiles.length) box.lastChild.remove();
    tiles.forEach(([name, value, note, kind], i) => {
      let tile = box.children[i];
      if (!tile) box.append(tile = make("div", {}, make("dt"), make("dd", {}, make("span"), make("small"))));
      tile.className = kind || "";
      setText(tile.querySelector("dt"), name);
      setText(tile.querySelector("dd span"), value);
      setText(tile.querySelector("small"), note || "");
    });
  }

  // ---- Lines over time ----

  const rangeBox = byID("range");
  for (const [n, text] of ranges) {
    rangeBox.append(make("button", { type: "button", onclick: () => {
      seconds = n;
      isRangeChosen = true;
      show();
    } }, text));
  }

  // showRange marks the time range. Until the user has chosen one, it follows
  // the length of the history.
  function showRange(s) {
    if (!isRangeChosen && s.points.length) seconds = now - s.points[0].time > 12000 ? 60 : 10;
    ranges.forEach(([n], i) => rangeBox.children[i].setAttribute("aria-pressed", String(n === seconds)));
  }

  function showCharts(s) {
    const from = now - seconds * 1000;
    const points = s.points.filter(p => p.time >= from - 1000);
    chart(byID("rate"), points, [["main", p => p.rate], ["failed", p => p.failed]], rate);
    chart(byID("queue"), points, [["main", p => p.queued], ["running", p => p.running]], count);
  }

  // ceiling returns the next higher number of 1, 2 and 5 times a power of ten.
  function ceiling(x) {
    if (!(x > 0)) return 1;
    const power = Math.pow(10, Math.floor(Math.log10(x)));
    for (const f of [1, 2, 5, 10]) if (x <= f * power * 1.0001) return f * power;
    return x;
  }

  function chart(box, points, series, text) {
    const width = Math.max(box.clientWidth, 200), height = 150;
    const left = 58, right = width - 6, top = 8, bottom = height - 20;
    let highest = 0;
    for (const p of points) for (const [, get] of series) highest = Math.max(highest, get(p));
    const most = ceiling(Math.max(highest, 1e-9) < 1 && text === count ? 1 : highest);
    const x = ms => right - (now - ms) / (seconds * 1000) * (right - left);
    const y = v => bottom - v / most * (bottom - top);
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
    const last = points[points.length - 1];
    svg.setAttribute("aria-label", last ? "now " + text(series[0][1](last)) + ", highest " + text(highest) : "no data yet");
    const half = most / 2;
    for (const v of text === count && half !== Math.round(half) ? [0, most] : [0, half, most]) {
      svg.append(draw("line", { class: "rule", x1: left, x2: right, y1: y(v), y2: y(v) }));
      svg.append(draw("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, text(v)));
    }
    for (const f of [1, 0.5, 0]) {
      const label = f === 0 ? "now" : "−" + (seconds * f >= 120 ? seconds * f / 60 + " min" : seconds * f + " s");
      svg.append(draw("text", { x: f === 1 ? left : f === 0 ? right : x(now - f * seconds * 1000), y: height - 4,
        "text-anchor": f === 1 ? "start" : f === 0 ? "end" : "middle" }, label));
    }
    const clip = p => Math.max(left, x(p.time));
    for (const [kind, get] of series) {
      const line = points.map(p => clip(p).toFixed(1) + "," + y(get(p)).toFixed(1)).join(" ");
      if (kind === "main" && points.length > 1) {
        svg.append(draw("polygon", { class: "area", points: clip(points[0]).toFixed(1) + "," + bottom + " " + line + " " + clip(last).toFixed(1) + "," + bottom }));
      }
      svg.append(draw("polyline", { class: "line " + kind, points: line }));
    }
    box.replaceChildren(svg);
  }

  // ---- Tasks by worker ----

  const canvas = byID("stream");
  let rows = [], boxes = []; // the workers that are drawn, and the spans with their places

  const colored = 4; // functions with a color of their own

  function colorOf(s, name) {
    const i = s.functions.findIndex(f => f.name === name);
    return i >= 0 && i < colored ? i + 1 : 0;
  }

  // showLegend names the colors of the functions whose tasks are drawn.
  function showLegend(s, tasks) {
    const names = new Set(tasks.map(t => t.name)), list = [];
    s.functions.slice(0, colored).forEach((f, i) => { if (names.delete(f.name)) list.push(["s" + (i + 1), f.name]); });
    if (names.size) list.push(["s0", names.size === 1 ? [...names][0] : amount(names.size, "other function")]);
    if (tasks.some(t => t.failed)) list.push(["failed", "failed"]);
    const box = byID("legend"), key = list.join("\n");
    if (box.dataset.key === key) return;
    box.dataset.key = key;
    box.replaceChildren(...list.map(([kind, name]) => make("li", {}, make("span", { class: "swatch " + kind }), name)));
  }

  // tasksOf returns the spans and the running tasks in the time range.
  function tasksOf(s) {
    const from = now - seconds * 1000;
    const all = s.spans.filter(t => t.start + t.took / 1e3 >= from);
    for (const t of s.running) {
      const start = t.start / 1e3;
      all.push({ task: t.task, worker: t.worker, start, took: Math.max(0, now - start) * 1e3, name: t.name, input: t.input, runs: true, done: t.done, total: t.total });
    }
    return all.sort((a, b) => a.start - b.start || b.took - a.took);
  }

  function showStream(s) {
    const tasks = s.hasTasks ? tasksOf(s) : [];
    const from = now - seconds * 1000;
    let shown = 0, of = 0;
    for (const p of s.points) if (p.time >= from) { shown += p.shown; of += p.of; }
    let text;
    if (!s.hasTasks) text = "This source reports no single tasks.";
    else if (!tasks.length && s.stats.running) text = "No task has started since this page was opened. Tasks that ran before are not shown.";
    else if (!tasks.length) text = "No task ran in this time.";
    else if (of > shown && shown) text = "Shows 1 of " + digits(of / shown) + " tasks: they are too many to draw all of them.";
    else text = "Shows all tasks that started since this page was opened.";
    setText(byID("sample"), text);
    canvas.hidden = byID("legend").hidden = !tasks.length;
    showLegend(s, tasks);
    if (canvas.hidden) {
      pick(null);
      return;
    }
    const workers = new Set(tasks.map(t => t.worker));
    if (s.stats.workers <= 64) for (let i = 0; i < s.stats.workers; i++) if (workers.size < 64) workers.add(i);
    rows = [...workers].sort((a, b) => a - b);
    const rowHeight = Math.max(4, Math.min(22, Math.floor(420 / rows.length)));
    const width = canvas.parentElement.clientWidth, height = rows.length * rowHeight + 20;
    const scale = devicePixelRatio || 1;
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const c = canvas.getContext("2d");
    c.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const color = name => style.getPropertyValue(name).trim();
    const left = 34, right = width - 4;
    const x = ms => right - (now - ms) / (seconds * 1000) * (right - left);
    c.font = "11px system-ui, sans-serif";
    c.textBaseline = "middle";
    const every = Math.ceil(13 / rowHeight);
    rows.forEach((w, i) => {
      c.fillStyle = color("--panel");
      c.fillRect(left, i * rowHeight + 1, right - left, rowHeight - 2);
      c.fillStyle = color("--faint");
      c.textAlign = "right";
      if (i % every === 0) c.fillText(w < 0 ? "?" : String(w), left - 6, i * rowHeight + rowHeight / 2);
    });
    c.fillStyle = color("--faint");
    for (const [f, align] of [[1, "left"], [0.5, "center"], [0, "right"]]) {
      c.textAlign = align;
      const t = seconds * f;
      c.fillText(f === 0 ? "now" : "−" + (t >= 120 ? t / 60 + " min" : t + " s"), left + (1 - f) * (right - left), height - 8);
    }
    const place = new Map(rows.map((w, i) => [w, i]));
    const ends = rows.map(() => []); // of the tasks that contain the next one
    boxes = [];
    for (const t of tasks) {
      const i = place.get(t.worker), stack = ends[i], end = t.start + t.took / 1e3;
      while (stack.length && stack[stack.length - 1] <= t.start) stack.pop();
      const inset = Math.min(stack.length * 3, Math.max(0, rowHeight / 2 - 3));
      stack.push(end);
      const x1 = Math.max(left, x(t.start)), x2 = Math.max(x1 + 1, Math.min(right, x(end)));
      const y1 = i * rowHeight + 1 + inset, h = Math.max(2, rowHeight - 2 - 2 * inset);
      boxes.push({ t, x1, x2, y1, h, row: i });
      c.globalAlpha = t.runs ? 0.55 : 1;
      c.fillStyle = t.failed ? color("--bad") : color("--c" + colorOf(s, t.name));
      c.fillRect(x1, y1, x2 - x1, h);
      c.globalAlpha = 1;
      if (x2 - x1 > 3) {
        c.strokeStyle = color("--paper");
        c.lineWidth = 0.5;
        c.strokeRect(x1, y1, x2 - x1, h);
      }
      if (t.failed && x2 - x1 > 5) { // a mark besides the color
        c.beginPath();
        c.moveTo(x1 + 1, y1 + h - 1);
        c.lineTo(Math.min(x2, x1 + 1 + h) - 1, y1 + 1);
        c.lineWidth = 1.5;
        c.stroke();
      }
    }
    showPicked(s);
    const b = picked && boxes.find(b => b.t.task === picked.task);
    if (b) {
      c.strokeStyle = color("--ink");
      c.lineWidth = 2;
      c.strokeRect(b.x1 - 1, b.y1 - 1, b.x2 - b.x1 + 2, b.h + 2);
    }
    const failed = tasks.filter(t => t.failed).length;
    canvas.setAttribute("aria-label", "Tasks by worker: " + amount(tasks.length, "task") + " on " + amount(rows.length, "worker") + ", " + failed +
      " failed. Arrow keys choose a task.");
  }

  function pick(t) {
    picked = t;
    const s = sources.get(chosen);
    if (t && s) showStream(s);
    else byID("picked").hidden = true;
  }

  function showPicked(s) {
    const box = byID("picked"), t = picked;
    box.hidden = !t;
    if (!t) return;
    const parts = ["Task " + t.task + ": " + t.name];
    if (t.input) parts.push("input " + t.input);
    parts.push(t.worker < 0 ? "worker unknown" : "worker " + t.worker, "started " + clock(t.start));
    parts.push(t.runs ? "runs for " + duration(t.took) : "took " + duration(t.took));
    if (t.failed) {
      const g = s.failures.groups.find(g => g.group === t.group);
      parts.push("failed" + (g ? ": " + g.text : ""));
    }
    setText(box, parts.join(", "));
  }

  canvas.addEventListener("pointerdown", e => {
    const at = canvas.getBoundingClientRect(), x = e.clientX - at.left, y = e.clientY - at.top;
    let best = null;
    for (const b of boxes) { // the last one is on top
      if (y >= b.y1 - 1 && y <= b.y1 + b.h + 1 && x >= b.x1 - 3 && x <= b.x2 + 3) best = b;
    }
    pick(best && best.t);
    const s = sources.get(chosen);
    if (!best && s) showStream(s);
  });

  canvas.addEventListener("keydown", e => {
    if (!boxes.length) return;
    const at = picked ? boxes.findIndex(b => b.t.task === picked.task) : -1;
    let next = null;
    switch (e.key) {
      case "ArrowLeft": case "ArrowRight": {
        const step = e.key === "ArrowLeft" ? -1 : 1;
        if (at < 0) next = boxes[boxes.length - 1];
        else for (let i = at + step; i >= 0 && i < boxes.length; i += step) if (boxes[i].row === boxes[at].row) { next = boxes[i]; break; }
        break;
      }
      case "ArrowUp": case "ArrowDown": {
        const step = e.key === "ArrowUp" ? -1 : 1, from = at < 0 ? boxes[boxes.length - 1] : boxes[at];
        if (at < 0) next = from;
        for (let row = from.row + step; !next && row >= 0 && row < rows.length; row += step) {
          for (const b of boxes) if (b.row === row && (!next || Math.abs(b.x1 - from.x1) < Math.abs(next.x1 - from.x1))) next = b;
        }
        break;
      }
      case "Home": next = boxes[0]; break;
      case "End": next = boxes[boxes.length - 1]; break;
      case "Escape": pick(null); show(); return;
      default: return;
    }
    e.preventDefault();
    if (next) pick(next.t);
  });

  // ---- Tables ----

  // table shows rows. It reuses elements, so that the focus and a selection
  // stay. A column has a heading, a class and either a text or a node of a row.
  function table(box, columns, list, key, empty) {
    if (!list.length) {
      if (box.empty !== empty || box.rows) box.replaceChildren(make("p", { class: "faint" }, empty));
      box.empty = empty;
      box.rows = null;
      return;
    }
    if (!box.rows || box.heads !== columns.map(c => c.head).join()) {
      box.rows = new Map();
      box.heads = columns.map(c => c.head).join();
      box.replaceChildren(make("div", { class: "scroll" }, make("table", {},
        make("thead", {}, make("tr", {}, ...columns.map(c => make("th", { class: c.kind, scope: "col" }, c.head)))), make("tbody"))));
    }
    const body = box.querySelector("tbody"), seen = new Set(list.map(row => String(key(row))));
    for (const [id, tr] of box.rows) if (!seen.has(id)) { tr.remove(); box.rows.delete(id); } // first: a row that moves loses the focus
    list.forEach((row, i) => {
      const id = String(key(row));
      let tr = box.rows.get(id);
      if (!tr) {
        tr = make("tr", {}, ...columns.map(c => make("td", { class: c.kind }, ...(c.node ? [c.node(row)] : []))));
        box.rows.set(id, tr);
      }
      if (body.children[i] !== tr) body.insertBefore(tr, body.children[i] || null);
      columns.forEach((c, n) => { if (!c.node) setText(tr.children[n], c.text(row)); });
    });
  }

  const maxRows = 50;

  function more(all, shown, what) { return all > shown ? "and " + amount(all - shown, "more " + what, "more " + what + "s") : ""; }

  function note(box, text) { // below a table
    let p = box.querySelector("p.more");
    if (!text) { if (p) p.remove(); return; }
    if (!p) box.append(p = make("p", { class: "more faint" }));
    setText(p, text);
  }

  function showRunning(s) {
    const box = byID("running"), list = s.running.slice(0, maxRows);
    const columns = [
      { head: "Function", kind: "name", text: t => t.name },
      { head: "Input", kind: "name", text: t => t.input || "–" },
      { head: "Worker", kind: "wide", text: t => t.worker < 0 ? "–" : String(t.worker) },
      { head: "For", kind: "", text: t => duration(Math.max(0, now * 1e3 - t.start)) },
      { head: "Progress", kind: "wide", text: t => t.total ? digits(100 * t.done / t.total) + "%" : t.done ? count(t.done) : "–" },
    ];
    if (mayCancel && !ended) {
      columns.push({ head: "", kind: "", node: t => make("button", { type: "button", "aria-label": "Cancel task " + t.task,
        onclick: e => act(e.currentTarget, { do: "cancel", source: s.id, task: t.task }, // the rows move, so the question names the task
          "Cancel task " + t.task + "?\n" + t.name + " " + t.input) }, "Cancel") });
    }
    const empty = !s.hasTasks ? "This source reports no single tasks." : s.sampled ? "Too many tasks start to list those that run." :
      s.stats.running ? amount(s.stats.running, "task runs", "tasks run") + " since before this page was opened." : "No task is running.";
    table(box, columns, list, t => s.id + " " + t.task, empty);
    note(box, list.length ? more(s.stats.running, list.length, "task") : "");
  }

  function showFunctions(s) {
    const about = s.estimated ? "≈ " : "";
    const box = byID("functions"), list = s.functions.slice(0, maxRows);
    table(box, [
      { head: "Function", kind: "name", text: f => f.name },
      { head: "Finished", kind: "", text: f => about + count(f.done) },
      { head: "Failed", kind: "", text: f => f.failed ? about + count(f.failed) : "0" },
      { head: "Median", kind: "", text: f => f.max ? about + duration(f.p50) : "–" },
      { head: "95%", kind: "wide", text: f => f.max ? about + duration(f.p95) : "–" },
      { head: "99%", kind: "", text: f => f.max ? about + duration(f.p99) : "–" },
      { head: "Longest", kind: "wide", text: f => f.max ? about + duration(f.max) : "–" },
    ], list, f => f.name, s.hasTasks ? "No task has ended since this page was opened." : "This source reports no single tasks.");
    note(box, list.length ? more(s.functions.length, list.length, "function") : "");
  }

  function showFailures(s) {
    const box = byID("failures"), groups = s.failures.groups.slice(0, maxRows);
    if (box.source !== s.id) {
      box.source = s.id;
      box.groups = new Map();
      box.replaceChildren();
    }
    const numbers = new Set(groups.map(g => g.group));
    for (const [n, d] of box.groups) if (!numbers.has(n)) { d.remove(); box.groups.delete(n); }
    let text = "";
    const seen = groups.reduce((n, g) => n + g.count, 0);
    if (!groups.length) text = s.stats.failed ? "The failed tasks ended before this page was opened, or while it looked at other tasks." : "No task has failed.";
    else if (s.failures.other) text = amount(s.failures.other, "further failure was", "further failures were") + " seen and not grouped: there were too many.";
    groups.forEach((g, i) => {
      let d = box.groups.get(g.group);
      if (!d) {
        d = make("details", {},
          make("summary", {}, make("b"), " ", make("span", { class: "where" }), make("span", { class: "cause" })),
          make("div", {}, make("p", { class: "when faint" }), make("ul", { class: "examples" }), make("pre", { tabindex: "0", hidden: true, "aria-label": "Traceback" })));
        if (mayReplay) {
          d.lastChild.append(make("button", { type: "button", class: "replay",
            onclick: e => act(e.currentTarget, { do: "replay", source: s.id, group: g.group, task: "0" }, "Run the failed tasks of this group again?") }));
        }
        box.groups.set(g.group, d);
      }
      if (box.children[i] !== d) box.insertBefore(d, box.children[i] || null);
      setText(d.querySelector("b"), count(g.count) + "×");
      setText(d.querySelector(".where"), g.name);
      setText(d.querySelector(".cause"), g.text);
      setText(d.querySelector(".when"), g.count === 1 ? "at " + clock(g.last) : "first at " + clock(g.first) + ", last at " + clock(g.last));
      const list = d.querySelector("ul");
      while (list.children.length > g.examples.length) list.lastChild.remove();
      g.examples.forEach((e, i) => {
        const item = list.children[i] || list.appendChild(make("li"));
        setText(item, "task " + e.task + (e.index != null ? ", input " + e.index : "") + (e.label ? ": " + e.label : ""));
      });
      const pre = d.querySelector("pre");
      pre.hidden = !s.details.has(g.group);
      setText(pre, s.details.get(g.group) || "");
      const replay = d.querySelector(".replay");
      if (replay) {
        replay.hidden = !g.replay || ended;
        setText(replay, "Replay " + amount(g.replay, "task"));
      }
    });
    note(box, text);
    if (groups.length && seen < s.stats.failed && !s.failures.other) {
      note(box, amount(s.stats.failed, "task has", "tasks have") + " failed in total. The groups have those that ended while the page observed the tasks.");
    }
  }

  function showWorkers(s) {
    const used = new Map(s.processes.map(p => [p.worker, p]));
    const ids = new Set(s.processes.map(p => p.worker));
    const running = new Map(), busy = new Map(); // busy: milliseconds in the time range
    const first = s.points.length ? s.points[0].time : now;
    const from = Math.max(now - seconds * 1000, first), span = now - from;
    let shown = 0, of = 0;
    for (const p of s.points) if (p.time > from) { shown += p.shown; of += p.of; }
    const use = (worker, start, end, factor) => {
      ids.add(worker);
      busy.set(worker, (busy.get(worker) || 0) + Math.max(0, Math.min(end, now) - Math.max(start, from)) * factor);
    };
    for (const t of s.spans) use(t.worker, t.start, t.start + t.took / 1e3, shown ? of / shown : 1);
    for (const t of s.running) {
      use(t.worker, t.start / 1e3, now, 1);
      running.set(t.worker, t);
    }
    const list = [...ids].filter(w => w >= 0).sort((a, b) => a - b);
    const columns = [
      { head: "Worker", kind: "", text: w => String(w) },
      { head: "Busy", kind: "", text: w => span > 0 ? (s.estimated ? "≈ " : "") + Math.min(100, Math.round(100 * (busy.get(w) || 0) / span)) + "%" : "–" },
      { head: "Runs", kind: "name", text: w => { const t = running.get(w); return t ? t.name + (t.input ? " " + t.input : "") : "–"; } },
    ];
    if (used.size) {
      columns.push(
        { head: "Process", kind: "wide", text: w => used.has(w) ? String(used.get(w).pid) : "–" },
        { head: "CPU", kind: "", text: w => used.has(w) ? digits(used.get(w).cpu) + "%" : "–" },
        { head: "Memory", kind: "", text: w => used.has(w) ? bytes(used.get(w).memory) : "–" });
    }
    const box = byID("workers"), rows = list.slice(0, maxRows);
    table(box, columns, rows, w => s.id + " " + w, s.stats.workers ? amount(s.stats.workers, "worker") + ", and no task since this page was opened." : "No worker.");
    note(box, rows.length ? more(list.length, rows.length, "worker") : "");
  }

  // showTables shows the tables of a source. Such a source has no tasks of its
  // own, so the sections of tasks are left out.
  function showTables(s) {
    const own = s.tables.length > 0;
    for (const id of ["s-stream", "s-running", "s-functions", "s-workers"]) byID(id).hidden = own;
    const box = byID("tables");
    while (box.children.length > s.tables.length) box.lastChild.remove();
    s.tables.forEach((t, i) => {
      let section = box.children[i];
      if (!section) box.append(section = make("section", {}, make("h2"), make("div")));
      setText(section.firstChild, t.title);
      table(section.lastChild, t.header.map((head, n) => ({ head, kind: n === 0 ? "name" : "text short", text: row => row[n] })), t.rows || [],
        row => row.join("\u0000"), "none");
    });
  }

  addEventListener("resize", show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  connect();
})();
