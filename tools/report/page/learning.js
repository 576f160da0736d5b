"use strict";
// How students learn: loss and score after each epoch, what of the teacher they are compared with, and whether cheap scores foretold it.
function curvesSection(parent, result) {
  if (!result.compared) return;
  const stage = stageNamed(result.compared.stage);
  const trained = stage.trials.filter((trial) => (trial.epochs || []).length);
  if (!trained.length) return;
  parent.append("h3").text("Training curves");
  const role = (trial) => { const of = roleOf(trial, {...result, found: result.compared.found}); return of === "front" ? "other" : of; };
  const order = Object.keys(roles);
  trained.sort((a, b) => order.indexOf(role(a)) - order.indexOf(role(b)));
  legend(parent, order.filter((each) => trained.some((trial) => role(trial) === each)).map((each) => [each]));
  const grid = parent.append("div").attr("class", "grid"), digits = digitsOf(stage.trials);
  for (const [key, name] of [["loss", "training loss, mean over the epoch"], ["score", "score on held-out rows"]]) {
    const lines = trained.map((trial) => ({trial, points: trial.epochs.map((epoch, i) => [i + 1, epoch[key]]).filter((point) => has(point[1]))})).filter(({points}) => points.length);
    if (!lines.length || (key === "score" && d3.max(lines, ({points}) => points.length) < 2)) continue;
    figure(grid, name, (width) => {
      const last = d3.max(lines, ({points}) => points[points.length - 1][0]);
      const {root, x, y} = frame(width, 240, name, {domain: padded([1, Math.max(2, last)], 0.04), name: "epoch", format: String, whole: true}, {domain: padded(lines.flatMap(({points}) => points.map((point) => point[1])), 0.06), name: key});
      const groups = root.append("g").selectAll("g").data(lines).join("g");
      const plain = ({trial}) => role(trial) === "other";
      groups.append("path").attr("fill", "none").style("stroke", ({trial}) => colour(role(trial))).attr("stroke-opacity", (line) => plain(line) ? 0.45 : 1).attr("stroke-width", (line) => plain(line) ? 1 : 2)
        .attr("d", ({points}) => d3.line().x((point) => x(point[0])).y((point) => y(point[1]))(points));
      groups.selectAll("circle").data(({trial, points}) => points.map((point) => ({trial, point}))).join("circle").attr("cx", ({point}) => x(point[0])).attr("cy", ({point}) => y(point[1])).attr("r", 3).style("fill", ({trial}) => colour(role(trial)))
        .call(withTip, ({trial, point}) => `${stage.name}/${trial.number}, epoch ${point[0]}\n${key} ${point[1].toFixed(digits)}`);
      return root.node();
    });
  }
}

function layerMapSection(parent, result) {
  const rows = result.layer_map || [];
  if (!rows.length) return;
  parent.append("h3").text("What the found student learns from");
  const losses = [...new Set(rows.flatMap((row) => row.losses.split(", ")))];
  const palette = ["--accent", "--found", "--uniform", "--random", "--teacher", "--front", "--ready"];
  const colourOf = (loss) => `var(${palette[losses.indexOf(loss) % palette.length]})`;
  const list = parent.append("ul").attr("class", "legend");
  for (const loss of losses) {
    const item = list.append("li");
    item.append("svg").attr("width", 18).attr("height", 10).attr("aria-hidden", "true").append("rect").attr("y", 3).attr("width", 18).attr("height", 4).style("fill", colourOf(loss));
    item.append("span").text(loss);
  }
  const number = (name) => Number((name.match(/\d+/) || [NaN])[0]);
  const depth = (name) => name === "embedding" ? -1 : name === "head" ? 1e6 : name === "labels" ? 1e7 : number(name);
  const places = (side, all) => {
    const names = new Set(rows.map((row) => row[side]));
    for (let i = 1; i <= all; ++i) names.add("layer " + i);
    return [...names].sort((a, b) => depth(a) - depth(b));
  };
  const stage = stageNamed(result.stage), found = stage.trials.find((trial) => trial.number === result.found);
  const student = places("student", found ? found.architecture.layers.length : 0), teacher = places("teacher", study.teacher.architecture ? study.teacher.architecture.layers.length : 0);
  figure(parent, "", (whole) => {
    const width = Math.min(whole, 520), step = 22, height = Math.max(student.length, teacher.length) * step + 30;
    const root = svg(width, height, "which layers of the teacher the student's learn from");
    const at = (list) => (name) => 34 + list.indexOf(name) * step * (Math.max(student.length, teacher.length) - 1) / Math.max(1, list.length - 1);
    const left = at(student), right = at(teacher), x0 = 92, x1 = width - 92;
    root.append("text").attr("x", x0 - 8).attr("y", 12).attr("text-anchor", "end").attr("font-weight", 600).text("student");
    root.append("text").attr("x", x1 + 8).attr("y", 12).attr("font-weight", 600).text("teacher");
    root.selectAll("text.left").data(student).join("text").attr("class", "left").attr("x", x0 - 8).attr("y", (name) => left(name) + 4).attr("text-anchor", "end").text(String);
    root.selectAll("text.right").data(teacher).join("text").attr("class", "right").attr("x", x1 + 8).attr("y", (name) => right(name) + 4).text(String);
    rows.forEach((row) => {
      const of = row.losses.split(", ");
      of.forEach((loss, i) => {
        const shift = (i - (of.length - 1) / 2) * 3.5;
        root.append("path").attr("fill", "none").style("stroke", colourOf(loss)).attr("stroke-width", 2).attr("d", d3.linkHorizontal()({source: [x0, left(row.student) + shift], target: [x1, right(row.teacher) + shift]}))
          .call(withTip, () => `${row.student} from ${row.teacher}: ${loss}`);
      });
    });
    root.selectAll("circle.left").data(student).join("circle").attr("class", "left").attr("cx", x0).attr("cy", left).attr("r", 3.5).style("fill", "var(--quiet)");
    root.selectAll("circle.right").data(teacher).join("circle").attr("class", "right").attr("cx", x1).attr("cy", right).attr("r", 3.5).style("fill", "var(--quiet)");
    return root.node();
  });
}

function cheapSection(parent) {
  const cheapOf = (trial) => has(trial.cheap) ? trial.cheap : trial.untrained;
  const stages = study.stages.map((stage) => ({stage, trials: stage.trials.filter((trial) => isComplete(trial) && has(cheapOf(trial)) && trial.origin !== "ready checkpoint")})).filter(({trials}) => trials.length >= 3);
  if (!stages.length) return;
  parent.append("h2").text("Scores without training against scores");
  parent.append("p").attr("class", "quiet").text("Whether what candidates were thinned or proposed by ranks them as the stage does. Kendall's tau: 1 the same order, 0 none.");
  const grid = parent.append("div").attr("class", "grid");
  for (const {stage, trials} of stages) {
    const result = study.results.find((each) => each.stage === stage.name), digits = digitsOf(stage.trials);
    const tau = (stage.cheap || {}).kendall_tau;
    figure(grid, `${stage.name}: ` + (has(tau) ? `tau ${tau.toFixed(2)}, ` : "") + `${trials.length} trials`, (width) => {
      const {root, x, y} = frame(width, 260, `scores without training against scores of stage ${stage.name}`, {domain: padded(trials.map(cheapOf), 0.06), name: "without training"},
        {domain: padded(trials.map((trial) => trial.score), 0.08), name: "score"});
      const marks = root.append("g").selectAll("g").data(trials).join("g").attr("transform", (trial) => `translate(${x(cheapOf(trial))},${y(trial.score)})`);
      const role = (trial) => { const of = roleOf(trial, result); return of === "front" ? "other" : of; };
      marks.append("path").attr("d", (trial) => symbol(role(trial))).style("fill", (trial) => colour(role(trial))).style("stroke", "var(--paper)");
      marks.append("circle").attr("r", 10).attr("fill", "transparent").call(withTip, (trial) => `without training ${cheapOf(trial).toPrecision(4)}\n` + trialText(stage, trial, digits));
      return root.node();
    });
  }
}
