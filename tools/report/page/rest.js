"use strict";
// The rows, commands, every trial, and the page as a whole.
function rowsSection(parent) {
  const rows = study.rows;
  if (!rows) return;
  parent.append("h2").text("The rows");
  const parts = [["train", "to learn from"], ["holdout", "held out, to rank candidates"]].filter(([key]) => rows[key] && rows[key].examples);
  parent.append("p").text(`Task ${study.task}: ` + parts.map(([key, name]) => `${rows[key].examples} examples ${name}` + (rows[key].cut ? `, ${rows[key].cut} of them fill the limit of ${rows.max_length} tokens` : "")).join("; ") + ".");
  const labelled = parts.filter(([key]) => rows[key].labels);
  if (labelled.length) {
    const names = Object.keys(rows[labelled[0][0]].labels);
    const share = (key, name) => rows[key].labels[name] / Math.max(1, rows[key].examples);
    table(parent, [{name: "label", kind: "text", text: (name) => name}, ...labelled.flatMap(([key, title]) => [{name: title, text: (name) => rows[key].labels[name]}, {name: "", text: (name) => (100 * share(key, name)).toFixed(1) + "%"}])], names.slice(0, 50));
  }
  const regression = parts.filter(([key]) => has(rows[key].mean));
  if (regression.length) parent.append("p").text(regression.map(([key, title]) => `${title}: mean ${rows[key].mean.toFixed(3)}, from ${rows[key].lowest} to ${rows[key].highest}`).join("; ") + ".");
  const grid = parent.append("div").attr("class", "grid");
  for (const [key, title] of parts.filter(([key]) => (rows[key].lengths || []).length)) figure(grid, `tokens of an example, ${title}`, (width) => {
    const bins = rows[key].lengths, height = 180;
    const root = svg(width, height, `lengths, ${title}`), x = d3.scaleBand().domain(bins.map((bin) => bin[0])).range([8, width - 8]).padding(0.15), y = d3.scaleLinear().domain([0, d3.max(bins, (bin) => bin[1])]).range([height - 24, 18]);
    const groups = root.selectAll("g").data(bins).join("g").attr("transform", (bin) => `translate(${x(bin[0])},0)`);
    groups.append("rect").attr("y", (bin) => y(bin[1])).attr("height", (bin) => y(0) - y(bin[1])).attr("width", x.bandwidth()).style("fill", colour("other"));
    groups.append("text").attr("class", "axis").attr("x", x.bandwidth() / 2).attr("y", height - 8).attr("text-anchor", "middle").text((bin) => bin[0]);
    groups.append("text").attr("class", "axis").attr("x", x.bandwidth() / 2).attr("y", (bin) => y(bin[1]) - 4).attr("text-anchor", "middle").text((bin) => amount(bin[1]));
    return root.node();
  });
}

function commandsSection(parent) {
  parent.append("h2").text("Commands");
  for (const {what, command} of study.commands) {
    parent.append("p").attr("class", "quiet").text(what[0].toUpperCase() + what.slice(1));
    parent.append("pre").append("code").text(command);
  }
}

function trialsSection(parent) {
  parent.append("h2").text("Every trial");
  for (const stage of study.stages.filter((each) => each.trials.length)) {
    const digits = digitsOf(stage.trials), known = Object.keys(costs).filter((key) => stage.trials.some((trial) => has(trial[key])));
    const details = parent.append("details");
    details.append("summary").text(`${stage.name}: ${stage.trials.length} trials` + (stage.left_out ? `, and ${stage.left_out} that are left out here: thimble show --csv has all` : ""));
    // Made where it is opened: a page of thousands of rows opens slowly.
    details.on("toggle", () => {
      if (!details.node().open || details.select("table").size()) return;
      table(details, [{name: "trial", text: (trial) => trial.number}, {name: "state", kind: "text", text: (trial) => trial.state === "left" ? `left after ${trial.left_after}` : trial.state + (trial.runs > 1 ? `, mean of ${trial.runs}` : "")},
        {name: "origin", kind: "text", text: (trial) => trial.origin || ""}, {name: "score", text: (trial) => has(trial.score) ? trial.score.toFixed(digits) : ""}, {name: "±", text: (trial) => has(trial.standard_error) ? trial.standard_error.toFixed(digits) : ""},
        {name: "untrained", text: (trial) => has(trial.untrained) ? trial.untrained.toPrecision(4) : ""}, ...known.map((key) => ({name: costs[key].short, text: (trial) => costs[key].text(trial[key])})),
        {name: "layers", kind: "text", text: (trial) => `${trial.architecture.hidden} wide: ` + trial.architecture.layers.map(layerOf).map((layer) => `${layer.heads}+${layer.blocks > 1 ? layer.blocks + "x" : ""}${layer.width || 0}`).join(" ")},
        ...(stage.trials.some((trial) => trial.reason) ? [{name: "reason", kind: "reason", text: (trial) => trial.reason || ""}] : [])], stage.trials);
    });
  }
}

(function () {
  const page = d3.select("#page");
  const head = page.append("header");
  head.append("h1").text(study.name);
  head.append("p").attr("class", "quiet").text(`A search for a small BERT for ${study.task}, of ${study.teacher.model}.`);
  const several = study.results.length > 1;
  for (const result of study.results) head.append("p").attr("class", "verdict").text((result.target && several ? result.target + ": " : "") + result.headline + ".");
  frontSection(page.append("section"));
  courseSection(page.append("section"));
  for (const result of study.results.filter((each) => each.stage)) {
    const section = page.append("section");
    section.append("h2").text(result.target ? `The students of ${result.target}` : "The students");
    finalistsSection(section, result);
    curvesSection(section, result);
    layerMapSection(section, result);
  }
  cheapSection(page.append("section"));
  rowsSection(page.append("section"));
  commandsSection(page.append("section"));
  trialsSection(page.append("section"));
  document.body.dataset.drawn = "yes";
})();
