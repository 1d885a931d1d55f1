// Ticks, zoom, and the values at a moment, for the plots that stand in the page. All of them share one time axis and move together.
"use strict";
const LEAST = 20; // ms: the closest look
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500]; // ms, then whole seconds, minutes, hours, days
for (const [unit, times] of [[1e3, [1, 2, 5, 10, 15, 30]], [6e4, [1, 2, 5, 10, 15, 30]], [36e5, [1, 2, 3, 6, 12]],
  [864e5, [1, 2, 7, 14, 28, 91, 364]]]) STEPS.push(...times.map(n => n * unit));

const plots = [...document.querySelectorAll(".equity")].map(read);
const axis = plots.length ? plots[0].axis : {begin: 0, unit: 1, span: 1};
let low = 0, high = axis.span; // what is seen of the time, in units
const ms = x => axis.begin + x * axis.unit;

function read(root) {
  const find = what => root.querySelector(what);
  const panes = [...root.querySelectorAll(".pane")].map(pane => {
    const scale = 10 ** pane.dataset.exp, top = +pane.dataset.top;
    const lines = [...pane.querySelectorAll("path")].map(path => ({name: path.classList[0], ...steps(path.getAttribute("d"))}));
    for (const line of lines) line.dot = put(pane, "dot " + line.name);
    return {pane, svg: pane.querySelector("svg"), scale, top, lines, exp: +pane.dataset.exp};
  });
  const shown = {at: find(".read .at"), base: find(".read .base b"), other: find(".read .other b"), apart: find(".read .apart b")};
  const ends = Object.fromEntries(Object.entries(shown).map(([name, element]) => [name, element.textContent]));
  const area = find(".panes");
  const whole = find(".read").appendChild(document.createElement("button"));
  whole.textContent = "show all";
  const {begin, unit, span} = root.dataset;
  return {area, panes, shown, ends, whole, axis: {begin: +begin, unit: +unit, span: +span},
    times: find(".times"), parted: find(".parted"), cursor: put(area, "cursor"), chosen: put(area, "chosen")};
}

function put(parent, name) {
  const element = parent.appendChild(document.createElement("div"));
  element.className = name;
  element.hidden = true;
  return element;
}

// The changes of a line from its path: when, and what it is from then on.
function steps(path) {
  const [, first] = path.match(/^M0 (-?\d+)/);
  let x = 0, y = +first;
  const line = {x: [x], y: [y]};
  for (const [, way, by] of path.matchAll(/([hv])(-?\d+)/g)) {
    if (way === "h") x += +by;
    else { y += +by; line.x.push(x); line.y.push(y); }
  }
  return line;
}

// Index of what a line is at x: its last change up to then.
function held(line, x) {
  let a = 0, b = line.x.length;
  while (b - a > 1) {
    const middle = (a + b) >> 1;
    if (line.x[middle] <= x) a = middle; else b = middle;
  }
  return a;
}

const part = x => 100 * (x - low) / (high - low); // of the width, in percent

function draw() {
  for (const plot of plots) {
    for (const p of plot.panes) {
      let from = Infinity, to = -Infinity;
      for (const line of p.lines) {
        for (let i = held(line, low), last = held(line, high); i <= last; i++) {
          from = Math.min(from, line.y[i]);
          to = Math.max(to, line.y[i]);
        }
      }
      if (p.pane.classList.contains("apart")) { from = Math.min(from, p.top); to = Math.max(to, p.top); }
      const room = Math.max((to - from) * 0.06, to === from ? Math.max(0.05 / p.scale, 1) : 0);
      p.from = from - room;
      p.height = to - from + 2 * room;
      p.svg.setAttribute("viewBox", `${low} ${p.from} ${high - low} ${p.height}`);
      values(p);
    }
    times(plot);
    if (plot.parted) {
      const x = part(+plot.parted.dataset.x);
      plot.parted.hidden = x < 0 || x > 100;
      plot.parted.style.left = x + "%";
      plot.parted.className = "parted " + (x > 50 ? "left" : "right");
    }
    plot.whole.hidden = low === 0 && high === axis.span;
  }
}

function ticks(parent, all) {
  for (const old of parent.querySelectorAll("i")) old.remove();
  for (const [place, text, name] of all) {
    const tick = document.createElement("i");
    tick.style.cssText = place;
    tick.className = name || "";
    const label = tick.appendChild(document.createElement("b"));
    label.textContent = text;
    parent.prepend(tick);
  }
}

function values(p) {
  const highest = (p.top - p.from) * p.scale, range = p.height * p.scale;
  const rough = range / Math.max(2, p.pane.clientHeight / 40), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(n => n * power >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const all = [];
  for (let n = Math.floor(highest / step); n * step >= highest - range; n--) {
    const text = number(n * step, digits, step >= 1e4 ? {notation: "compact", maximumFractionDigits: 2} : {});
    all.push([`top:${100 * (highest - n * step) / range}%`, text, n === 0 ? "zero" : ""]);
  }
  ticks(p.pane, all);
}

function times(plot) {
  const from = ms(low), range = (high - low) * axis.unit;
  const step = STEPS.find(s => range / s <= plot.area.clientWidth / 90) || STEPS.at(-1);
  const all = [];
  for (let t = Math.ceil(from / step) * step; t <= from + range; t += step) {
    const at = part((t - axis.begin) / axis.unit);
    const room = (100 - at) / 100 * plot.area.clientWidth > 24; // else the card's edge would cut the text
    all.push([`left:${at}%`, room ? clock(t, step) : ""]);
  }
  ticks(plot.times, all);
}

function clock(t, step) {
  const text = new Date(t).toISOString();
  return step < 864e5 ? text.slice(11, step < 1e3 ? 23 : step < 6e4 ? 19 : 16) : text.slice(5, 10);
}

function number(value, digits, more) {
  return value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits, ...more});
}

// What every line is at x; null: back to the ends.
function tell(x) {
  for (const plot of plots) {
    plot.cursor.hidden = x === null;
    for (const name in plot.shown) if (x === null) plot.shown[name].textContent = plot.ends[name];
    for (const p of plot.panes) for (const line of p.lines) line.dot.hidden = x === null;
    if (x === null) continue;
    const left = part(x) + "%";
    plot.cursor.style.left = left;
    plot.shown.at.textContent = moment(x, plot.area.clientWidth);
    for (const p of plot.panes) {
      const digits = Math.max(0, Math.min(-p.exp, Math.max(2, -p.exp - 2)));
      for (const line of p.lines) {
        const y = line.y[held(line, x)];
        line.dot.style.left = left;
        line.dot.style.top = 100 * (y - p.from) / p.height + "%";
        const sign = line.name === "apart" ? {signDisplay: "exceptZero"} : {};
        plot.shown[line.name].textContent = number((p.top - y) * p.scale, digits, sign);
      }
    }
  }
}

function moment(x, width) {
  const days = new Date(ms(0)).toISOString().slice(0, 10) !== new Date(ms(axis.span)).toISOString().slice(0, 10);
  const fine = (high - low) * axis.unit / width < 100; // ms a pixel
  const text = new Date(ms(x)).toISOString().replace("T", " ");
  return text.slice(days ? 0 : 11, fine ? 23 : 19);
}

function zoom(from, to) {
  [low, high] = [from, to];
  draw();
  tell(null);
}

function listen(plot) {
  let start = null;
  const at = event => {
    const box = plot.area.getBoundingClientRect();
    return low + (high - low) * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const choose = x => {
    const [a, b] = [Math.min(start, x), Math.max(start, x)].map(part);
    plot.chosen.hidden = start === null;
    plot.chosen.style.cssText = `left:${a}%;width:${b - a}%`;
  };
  const leave = () => { start = null; plot.chosen.hidden = true; tell(null); };
  plot.area.addEventListener("pointermove", event => { tell(at(event)); if (start !== null) choose(at(event)); });
  plot.area.addEventListener("pointerdown", event => {
    if (event.pointerType === "touch") return tell(at(event)); // a finger reads; a mouse zooms
    plot.area.setPointerCapture(event.pointerId);
    start = at(event);
  });
  plot.area.addEventListener("pointerup", event => {
    const x = at(event), from = Math.min(start ?? x, x), to = Math.max(start ?? x, x);
    start = null;
    plot.chosen.hidden = true;
    if ((to - from) * axis.unit >= LEAST && (to - from) / (high - low) > 0.01) { zoom(from, to); tell(x); }
  });
  plot.area.addEventListener("pointerleave", event => { if (event.pointerType !== "touch") leave(); });
  plot.area.addEventListener("pointercancel", leave);
  plot.area.addEventListener("dblclick", () => zoom(0, axis.span));
  plot.whole.addEventListener("click", () => zoom(0, axis.span));
}

document.documentElement.classList.add("scripted");
plots.forEach(listen);
draw();
addEventListener("resize", draw);
