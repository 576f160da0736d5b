"use strict";
// The students that matter, layer by layer: heads as squares, blocks as bars, expressions as trees.
const layerOf = (index) => study.layer_kinds[index];
const widthOf = (layer) => (layer.blocks || 0) * (layer.width || 0);

function finalistsOf(result) {
  const stage = stageNamed(result.stage), digits = digitsOf(stage.trials), cards = [];
  const add = (number, role) => {
    const trial = stage.trials.find((each) => each.number === number);
    if (trial && trial.architecture && !cards.some((card) => card.trial === trial)) cards.push({role, trial, digits, name: `${stage.name}/${number}`});
  };
  add(result.found, "found");
  if (result.compared && result.compared.stage === result.stage)
    for (const control of result.compared.with || []) add(control.number, control.origin === "ready checkpoint" ? "ready" : control.origin);
  for (const number of result.front.trials.slice(-4)) add(number, "front");
  if (study.teacher.architecture) cards.push({role: "teacher", trial: study.teacher, digits, name: study.teacher.model.split("/").filter(Boolean).pop()});
  return cards;
}

function finalistsSection(parent, result) {
  const cards = finalistsOf(result);
  const layers = cards.flatMap(({trial}) => trial.architecture.layers.map(layerOf));
  const most = {heads: Math.max(1, d3.max(layers, (layer) => layer.heads)), width: Math.max(1, d3.max(layers, widthOf)), hidden: d3.max(cards, ({trial}) => trial.architecture.hidden)};
  const texts = [...new Set(layers.map((layer) => layer.text).filter(Boolean))];
  const letter = new Map(texts.map((text, i) => [text, i < 26 ? String.fromCharCode(65 + i) : String(i + 1)]));
  parent.append("h3").text("Finalists, layer by layer");
  parent.append("p").attr("class", "quiet").text(`Squares: heads of a layer, ${most.heads} at most; hollow where the mixer is not self-attention. Bars: inner width of its feed-forward blocks together, ` +
    `${most.width} at most. The bar above all layers: hidden width, ${most.hidden} at most.` + (texts.length > 1 ? " Letters: what blocks compute, below." : ""));
  const place = parent.append("div").attr("class", "cards");
  for (const card of cards) {
    const {trial, role, digits, name} = card, architecture = trial.architecture;
    const box = place.append("div").attr("class", "card").style("border-top-color", colour(role));
    box.append("h4").text(`${roles[role].name}: ${name}`);
    const facts = [`${architecture.layers.length} layers, ${architecture.hidden} wide, ${architecture.embedding} embedding`];
    for (const key of Object.keys(costs)) if (has(trial[key])) facts.push(costs[key].text(trial[key]) + (key === "latency_ms" || key === "bytes" ? "" : " " + costs[key].short));
    if (has(trial.score)) facts.push(`score ${trial.score.toFixed(digits)}` + (trial.standard_error > 0 ? ` ± ${trial.standard_error.toFixed(digits)}` : ""));
    box.append("p").attr("class", "quiet").text(facts.join(" · "));
    figure(box, "", (width) => architectureChart(architecture, most, texts.length > 1 ? letter : null, role, width));
  }
  const trees = new Map();
  for (const layer of layers) if (layer.tree) trees.set(layer.text, layer.tree);
  if (!texts.length) return;
  const details = parent.append("details").attr("open", texts.length <= 8 ? true : null);
  details.append("summary").text(texts.length > 1 ? `What ${texts.length} kinds of blocks compute` : "What a block computes");
  const grid = details.append("div").attr("class", "cards");
  for (const text of texts) {
    const box = grid.append("div").attr("class", "card");
    box.append("h4").text(texts.length > 1 ? letter.get(text) : "all blocks");
    box.append("p").append("code").style("overflow-wrap", "anywhere").text(text);
    if (trees.has(text)) figure(box, "", (width) => treeChart(trees.get(text), width));
  }
}

function architectureChart(architecture, most, letter, role, width) {
  const layers = architecture.layers.map(layerOf), row = 15, top = 20;
  const square = Math.max(2, Math.min(9, (width * 0.42 - 22) / most.heads));
  const left = 22, middle = left + square * most.heads + 8, room = width - middle - (letter ? 20 : 4);
  const root = svg(width, top + row * layers.length + 4, `${layers.length} layers`);
  root.append("rect").attr("x", left).attr("y", 4).attr("height", 7).attr("width", (width - left - 4) * architecture.hidden / most.hidden).style("fill", "var(--quiet)")
    .call(withTip, () => `${architecture.hidden} wide, ${architecture.embedding} embedding` + (architecture.bottleneck ? `, bottleneck ${architecture.bottleneck}` : ""));
  const rows = root.selectAll("g").data(layers).join("g").attr("transform", (layer, i) => `translate(0,${top + i * row})`);
  rows.append("text").attr("class", "axis").attr("x", left - 6).attr("y", 10).attr("text-anchor", "end").text((layer, i) => i + 1);
  rows.each(function (layer) {
    const here = d3.select(this), hollow = layer.mixer !== "self_attention";
    if (layer.heads === 0) here.append("line").attr("x1", left).attr("x2", left + 8).attr("y1", 6).attr("y2", 6).style("stroke", "var(--line)").attr("stroke-width", 2);
    here.selectAll("rect.head").data(d3.range(layer.heads)).join("rect").attr("class", "head").attr("x", (i) => left + i * square).attr("y", 2).attr("width", Math.max(1, square - 1.5)).attr("height", 9)
      .style("fill", hollow ? "none" : "var(--accent)").style("stroke", hollow ? "var(--accent)" : "none");
    const bar = room * widthOf(layer) / most.width, blocks = layer.blocks || 0;
    if (bar === 0) here.append("line").attr("x1", middle).attr("x2", middle + 8).attr("y1", 6).attr("y2", 6).style("stroke", "var(--line)").attr("stroke-width", 2);
    here.selectAll("rect.block").data(d3.range(blocks)).join("rect").attr("class", "block").attr("x", (i) => middle + bar * i / blocks).attr("y", 2).attr("height", 9).attr("width", Math.max(1, bar / blocks - (blocks > 1 ? 1 : 0)))
      .style("fill", colour(role)).attr("fill-opacity", 0.8);
    if (letter && layer.text) here.append("text").attr("class", "axis").attr("x", width - 4).attr("y", 10).attr("text-anchor", "end").text(letter.get(layer.text));
    here.append("rect").attr("width", width).attr("height", row).attr("fill", "transparent").call(withTip, () => `layer ${layers.indexOf(layer) + 1}: ${layer.mixer}` + (layer.heads ? `, ${layer.heads} heads of ${layer.head_width}` : "") +
      (blocks ? `\n${blocks} x ${layer.width} wide\n${layer.text}` : "\nno feed-forward block"));
  });
  return root.node();
}

function treeChart(tree, width) {
  const hierarchy = d3.hierarchy(tree, (node) => Array.isArray(node) ? node.slice(1) : null);
  const name = (node) => Array.isArray(node.data) ? node.data[0] : node.data;
  const wide = (node) => name(node).length * 6.8 + 8, step = 34;
  // In pixels, so that no box reaches into its neighbour; what is wider than the page is drawn smaller.
  d3.tree().nodeSize([1, step]).separation((a, b) => (wide(a) + wide(b)) / 2 + 10)(hierarchy);
  const nodesOf = hierarchy.descendants(), first = d3.min(nodesOf, (node) => node.x - wide(node) / 2), last = d3.max(nodesOf, (node) => node.x + wide(node) / 2);
  const scale = Math.min(1, (width - 4) / (last - first));
  const root = svg(width, (hierarchy.height * step + 32) * scale, "expression tree");
  const inside = root.append("g").attr("transform", `translate(${(width - (last - first) * scale) / 2 - first * scale},${16 * scale}) scale(${scale})`);
  inside.selectAll("path").data(hierarchy.links()).join("path").attr("fill", "none").style("stroke", "var(--line)").attr("d", d3.linkVertical().x((node) => node.x).y((node) => node.y));
  const nodes = inside.selectAll("g").data(nodesOf).join("g").attr("transform", (node) => `translate(${node.x},${node.y})`);
  nodes.append("rect").attr("x", (node) => -wide(node) / 2).attr("y", -9).attr("width", wide).attr("height", 18).attr("rx", 4).style("fill", "var(--panel)").style("stroke", "var(--line)");
  nodes.append("text").attr("text-anchor", "middle").attr("y", 4).attr("font-size", 11).text(name);
  return root.node();
}
