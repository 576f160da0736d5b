"use strict";
// What all drawings share: numbers as text, roles of trials, a frame with axes, legends, the box beside the pointer.
const study = JSON.parse(document.getElementById("study").textContent);

const has = (value) => value !== undefined && value !== null && Number.isFinite(value);

function digitsOf(trials) {
  const errors = trials.map((trial) => trial.standard_error).filter((error) => error > 0).sort((a, b) => a - b);
  const values = trials.map((trial) => Math.abs(trial.score)).filter((value) => value > 0).sort((a, b) => a - b);
  const decimals = (value, digits) => Math.min(12, Math.max(4, digits - 1 - Math.floor(Math.log10(value))));
  if (errors.length) return decimals(errors[Math.floor(errors.length / 2)], 2);
  return values.length ? decimals(values[0], 3) : 4;
}

function amount(value) {
  if (!has(value)) return "";
  for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(value) >= unit) return (value / unit).toPrecision(3).replace(/\.?0+$/, (zeros) => zeros.startsWith(".") ? "" : zeros) + name;
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
}

const costs = {
  parameters: {name: "parameters", short: "parameters", text: amount},
  multiply_adds: {name: "multiply-adds of 128 tokens", short: "multiply-adds", text: amount},
  latency_ms: {name: "latency, ms", short: "latency", text: (value) => has(value) ? value.toFixed(value < 10 ? 2 : 1) + " ms" : ""},
  bytes: {name: "bytes of the file", short: "file", text: (value) => has(value) ? (value / 1e6).toFixed(1) + " MB" : ""},
};

// What a trial is in its stage; in the order in which they are drawn, the last on top.
const roles = {
  other: {name: "candidate", shape: "circle", size: 30},
  front: {name: "on the Pareto front", shape: "diamond", size: 60},
  ready: {name: "ready checkpoint", shape: "cross", size: 60},
  random: {name: "random student", shape: "triangle", size: 60},
  uniform: {name: "uniform student", shape: "square", size: 60},
  found: {name: "found student", shape: "star", size: 110},
  teacher: {name: "teacher", shape: "wye", size: 90},
};
const symbols = {circle: d3.symbolCircle, diamond: d3.symbolDiamond, cross: d3.symbolCross, triangle: d3.symbolTriangle,
  square: d3.symbolSquare, star: d3.symbolStar, wye: d3.symbolWye};
const symbol = (role) => d3.symbol().type(symbols[roles[role].shape]).size(roles[role].size)();
const colour = (role) => `var(--${role})`;

const stageNamed = (name) => study.stages.find((stage) => stage.name === name);
const isComplete = (trial) => trial.state === "complete" && has(trial.score);

function roleOf(trial, result) {
  if (trial.origin === "uniform" || trial.origin === "random") {
    if (result && trial.number === result.found) return "found";
    return trial.origin;
  }
  if (trial.origin === "ready checkpoint") return "ready";
  if (result && trial.number === result.found) return "found";
  return result && result.front && result.front.trials.includes(trial.number) ? "front" : "other";
}

const metricsOf = (trial) => Object.entries(trial.metrics || {}).filter(([name, value]) => !name.startsWith("loss") && has(value));

function trialText(stage, trial, digits) {
  const lines = [`${stage.name}/${trial.number}` + (trial.origin ? `, ${trial.origin}` : "")];
  if (has(trial.score)) lines.push(`score ${trial.score.toFixed(digits)}` + (trial.standard_error > 0 ? ` ± ${trial.standard_error.toFixed(digits)}` : "") +
      (trial.runs > 1 ? `, mean of ${trial.runs}` : ""));
  for (const [name, value] of metricsOf(trial)) lines.push(`${name} ${value.toFixed(3)}`);
  for (const key of Object.keys(costs)) if (has(trial[key])) lines.push(`${costs[key].short} ${costs[key].text(trial[key])}`);
  if (trial.state === "left") lines.push(`left after ${trial.left_after} of its round's epochs`);
  if (trial.state === "failed") lines.push(`failed: ${trial.reason || "no reason given"}`);
  return lines.join("\n");
}

function withTip(selection, text) {
  const tip = d3.select("#tip");
  const move = () => {
    const box = tip.node().getBoundingClientRect(), event = d3.event;
    tip.style("left", Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 4)) + "px")
      .style("top", (event.clientY + box.height + 20 < innerHeight ? event.clientY + 14 : event.clientY - box.height - 10) + "px");
  };
  selection.attr("aria-label", text)
    .on("pointerenter", (datum) => { tip.text(text(datum)).attr("hidden", null); move(); })
    .on("pointermove", move)
    .on("pointerleave", () => tip.attr("hidden", true));
}

// A figure that draws itself anew where its width changes. `draw(width)` returns an SVG node, or nothing.
function figure(parent, caption, draw) {
  const made = parent.append("figure");
  if (caption) made.append("figcaption").text(caption);
  const place = made.append("div");
  let last = 0;
  const again = () => {
    const width = Math.floor(place.node().getBoundingClientRect().width);
    if (width < 1 || width === last) return;
    last = width;
    place.selectAll("*").remove();
    const node = draw(width);
    if (node) place.node().appendChild(node);
  };
  made.node().redraw = () => { last = 0; again(); };
  new ResizeObserver(again).observe(place.node());
  again();
  return made;
}

function svg(width, height, label) {
  return d3.create("svg").attr("class", "chart").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height)
    .attr("role", "img").attr("aria-label", label);
}

// In pixels, in the drawings' font.
const textWidth = (() => {
  const canvas = document.createElement("canvas").getContext("2d"), family = getComputedStyle(document.body).fontFamily;
  return (text, size, weight) => { canvas.font = `${weight || 400} ${size}px ${family}`; return canvas.measureText(text).width; };
})();

function padded(values, share) {
  const [low, high] = d3.extent(values);
  const gap = (high - low) * share || Math.abs(high) * 0.05 || 1;
  return [low - gap, high + gap];
}

// Axes with names; returns what is needed to draw inside. `x`, `y`: {domain, name, format, ticks}.
function frame(width, height, label, x, y) {
  const root = svg(width, height, label);
  const inner = {left: 12, right: width - 14, top: 22, bottom: height - 42};
  const yScale = d3.scaleLinear().domain(y.domain).range([inner.bottom, inner.top]);
  const yTicks = yScale.ticks(Math.max(3, Math.floor((inner.bottom - inner.top) / 42)));
  const step = yTicks.length > 1 ? Math.abs(yTicks[1] - yTicks[0]) : 1;
  const yFormat = y.format || ((value) => value.toFixed(Math.max(0, Math.min(12, -Math.floor(Math.log10(step) + 1e-9)))));
  inner.left += d3.max(yTicks, (tick) => textWidth(yFormat(tick), 11));
  const xScale = d3.scaleLinear().domain(x.domain).range([inner.left, inner.right]);
  const xFormat = x.format || amount;
  // As many ticks as have room, none of which is cut off.
  let xTicks = [];
  for (let wanted = 10; wanted > 0; --wanted) {
    xTicks = xScale.ticks(wanted).filter((tick) => !x.whole || Number.isInteger(tick)).filter((tick) => xScale(tick) + textWidth(xFormat(tick), 11) / 2 < width - 1);
    const room = xTicks.length > 1 ? xScale(xTicks[1]) - xScale(xTicks[0]) : Infinity;
    if (room > 14 + d3.max(xTicks, (tick) => textWidth(xFormat(tick), 11))) break;
  }
  root.append("g").selectAll("line").data(yTicks).join("line").attr("class", "gridline")
    .attr("x1", inner.left).attr("x2", inner.right).attr("y1", yScale).attr("y2", yScale);
  root.append("g").attr("transform", `translate(0,${inner.bottom})`)
    .call(d3.axisBottom(xScale).tickValues(xTicks).tickFormat(xFormat).tickSizeOuter(0));
  root.append("g").attr("transform", `translate(${inner.left},0)`).call(d3.axisLeft(yScale).tickValues(yTicks).tickFormat(yFormat).tickSizeOuter(0));
  root.append("text").attr("class", "axis").attr("x", 4).attr("y", 12).text(y.name);
  root.append("text").attr("class", "axis").attr("x", inner.right).attr("y", height - 8).attr("text-anchor", "end").text(x.name);
  return {root, x: xScale, y: yScale, inner};
}

// Text beside points: of the places around a point the first that is free, of other texts and of marks; of texts alone where there is
// none; no text where there is none of those either.
function labels(root, inner, wanted, marks) {
  const taken = [], points = marks.map(([x, y]) => ({x: x - 5, y: y - 5, width: 10, height: 10}));
  const overlaps = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
  for (const {x, y, text, role} of wanted) {
    const width = textWidth(text, 12, 600) + 3, height = 15;
    const places = [[x + 10, y - 7], [x - 11 - width, y - 7], [x - width / 2, y - 24], [x - width / 2, y + 11], [x + 9, y - 20], [x + 9, y + 6],
      [x - 9 - width, y - 20], [x - 9 - width, y + 6]].map(([left, top]) => ({x: left, y: top, width, height})).filter((box) =>
      box.x >= inner.left && box.x + width <= inner.right + 10 && box.y >= inner.top - 6 && box.y + height <= inner.bottom && !taken.some((other) => overlaps(box, other)));
    const place = places.find((box) => !points.some((other) => overlaps(box, other))) || places[0];
    if (!place) continue;
    taken.push(place);
    root.append("text").attr("class", "label").attr("x", place.x + 1).attr("y", place.y + 11).attr("font-size", 12).attr("font-weight", 600)
      .style("fill", colour(role)).text(text);
  }
}

function legend(parent, used) {
  const list = parent.append("ul").attr("class", "legend");
  for (const [role, text] of used) {
    const item = list.append("li");
    item.append("svg").attr("width", 16).attr("height", 16).attr("aria-hidden", "true").append("path").attr("transform", "translate(8,8) scale(0.85)").attr("d", symbol(role)).style("fill", colour(role));
    item.append("span").text(text || roles[role].name);
  }
}

// Buttons of which one is pressed. `options`: [[value, text]].
function choice(parent, name, options, chosen, change) {
  if (options.length < 2) return;
  const group = parent.append("fieldset").attr("class", "choice").attr("aria-label", name);
  group.append("span").attr("class", "quiet").text(name);
  const id = "choice" + d3.selectAll(".choice").size();
  for (const [value, text] of options) {
    const label = group.append("label");
    label.append("input").attr("type", "radio").attr("name", id).property("checked", value === chosen).on("change", () => change(value));
    label.append("span").text(text);
  }
}

function table(parent, columns, rows) {
  const made = parent.append("div").attr("class", "wide").append("table");
  made.append("thead").append("tr").selectAll("th").data(columns).join("th").attr("scope", "col").attr("class", (column) => column.kind || null).text((column) => column.name);
  const body = made.append("tbody");
  for (const row of rows) body.append("tr").selectAll("td").data(columns).join("td").attr("class", (column) => column.kind || null).text((column) => column.text(row));
  return made;
}
