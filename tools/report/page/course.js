"use strict";
// The course of the search: each candidate's score in the order in which they came, and the best so far.
function courseSection(parent) {
  const begun = study.stages.filter((stage) => stage.trials.length);
  parent.append("h2").text("The course of the search");
  if (!begun.length) { parent.append("p").text("Nothing has been scored yet."); return; }
  table(parent, [{name: "stage", kind: "text", text: (stage) => stage.name}, {name: "proposed by", kind: "text", text: (stage) => stage.strategy || ""},
    {name: "scored by", kind: "text", text: (stage) => stage.evaluator || ""}, ...["complete", "left", "thinned", "failed"].map((state) => ({name: state, text: (stage) => stage.trials.filter((trial) => trial.state === state).length || ""})),
    {name: "wanted", text: (stage) => stage.wanted || ""}, {name: "time", text: (stage) => duration(stage.seconds)}, {name: "", kind: "text", text: (stage) => stage.end || "not finished"}], study.stages);
  const grid = parent.append("div").attr("class", "grid");
  for (const stage of begun) {
    const result = study.results.find((each) => each.stage === stage.name);
    const place = grid.append("div");
    place.append("h3").text(stage.name);
    if (stage.explanation) place.append("p").attr("class", "quiet").text("Proposed by " + stage.explanation + ".");
    figure(place, "", (width) => courseChart(stage, result, width));
    const failed = stage.trials.filter((trial) => trial.state === "failed");
    if (failed.length) place.append("p").attr("class", "quiet").text(`Failed: ${[...new Set(failed.map((trial) => trial.reason || "no reason given"))].slice(0, 3).join("; ").slice(0, 400)}`);
  }
}

function duration(seconds) {
  if (!has(seconds)) return "";
  const whole = Math.round(seconds);
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
  return whole >= 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${seconds.toFixed(1)} s`;
}

function courseChart(stage, result, width) {
  const scored = stage.trials.filter((trial) => has(trial.score)), digits = digitsOf(stage.trials);
  if (!scored.length) return null;
  const values = scored.flatMap((trial) => [trial.score - (trial.standard_error || 0), trial.score + (trial.standard_error || 0)]);
  // A few that went wrong would press all others into a line.
  const sorted = scored.map((trial) => trial.score).sort((a, b) => a - b);
  const low = Math.max(d3.min(values), d3.quantile(sorted, 0.5) - 4 * Math.max(1e-12, sorted[sorted.length - 1] - d3.quantile(sorted, 0.5)) - 4 * (d3.quantile(sorted, 0.75) - d3.quantile(sorted, 0.25)));
  const {root, x, y, inner} = frame(width, 240, `scores of stage ${stage.name} in order`, {domain: padded([0, Math.max(1, stage.trials.length - 1)], 0.03), name: "trial", format: String, whole: true},
    {domain: padded([low, d3.max(values)], 0.06), name: "score"});
  const top = (value) => y(Math.max(value, y.domain()[0]));
  let best = -Infinity;
  const course = [];
  for (const trial of stage.trials) {
    if (isComplete(trial) && trial.origin !== "ready checkpoint" && trial.score > best) best = trial.score;
    if (best > -Infinity) course.push([trial.number, best]);
  }
  root.append("path").attr("fill", "none").style("stroke", colour("found")).attr("stroke-width", 1.5).attr("stroke-opacity", 0.8)
    .attr("d", d3.line().x((each) => x(each[0])).y((each) => top(each[1])).curve(d3.curveStepAfter)(course));
  const marks = root.append("g").selectAll("g").data(scored).join("g").attr("transform", (trial) => `translate(${x(trial.number)},${top(trial.score)})`);
  const role = (trial) => { const of = roleOf(trial, result); return of === "front" ? "other" : trial.number === stage.best ? "found" : of; };
  marks.filter(isComplete).filter((trial) => trial.standard_error > 0).append("line").attr("y1", (trial) => top(trial.score - trial.standard_error) - top(trial.score))
    .attr("y2", (trial) => top(trial.score + trial.standard_error) - top(trial.score)).style("stroke", (trial) => colour(role(trial))).attr("stroke-opacity", 0.4);
  marks.append("path").attr("d", (trial) => symbol(role(trial))).attr("transform", "scale(0.75)").style("fill", (trial) => trial.state === "left" ? "none" : colour(role(trial)))
    .style("stroke", (trial) => colour(role(trial)));
  marks.append("circle").attr("r", 9).attr("fill", "transparent").call(withTip, (trial) => trialText(stage, trial, digits));
  root.append("g").selectAll("path").data(stage.trials.filter((trial) => trial.state === "failed")).join("path").attr("d", "M-3,-3L3,3M-3,3L3,-3").style("stroke", colour("teacher")).attr("stroke-width", 1.5)
    .attr("transform", (trial) => `translate(${x(trial.number)},${inner.bottom - 6})`).call(withTip, (trial) => trialText(stage, trial, digits));
  return root.node();
}
