"use strict";
// The score against what a student costs: candidates of the stages that decide, the front, controls, the teacher.
function frontSection(parent) {
  const decided = study.results.filter((result) => result.stage);
  if (!decided.length) return;
  const points = [];
  for (const result of decided) {
    const stage = stageNamed(result.stage), digits = digitsOf(stage.trials);
    for (const trial of stage.trials.filter(isComplete)) points.push({stage, result, trial, digits, role: roleOf(trial, result)});
  }
  const known = (key) => points.some(({trial}) => has(trial[key]));
  const keys = [known("latency_ms") ? "latency_ms" : "multiply_adds", "parameters"].filter(known);
  const metrics = [...new Set(points.flatMap(({trial}) => metricsOf(trial).map(([name]) => name)))];
  const state = {y: "score", teacher: true};
  const valueOf = (trial) => state.y === "score" ? trial.score : (trial.metrics || {})[state.y];
  const errorOf = (trial) => state.y === "score" ? trial.standard_error || 0 : 0;
  const teacherY = () => state.y === "score" ? study.teacher.score : ((study.teacher.metrics || {})[state.y] || {}).value;

  parent.append("h2").text("What a student costs and what it is worth");
  parent.append("p").attr("class", "quiet").text(`Up and to the left is better. Score: ${study.score}; bars are one standard error. The line joins the Pareto front of ` +
    decided.map((result) => result.stage).join(", ") + "." + (decided[0].latency_of ? ` Latency: ${decided[0].latency_of}, the sum of measured parts.` : ""));
  const bar = parent.append("div"), keyed = parent.append("div");
  const made = parent.append("div").attr("class", keys.length > 1 ? "grid" : null);
  const redraw = () => made.selectAll("figure").each(function () { this.redraw(); });
  choice(bar, "up: ", [["score", "score"], ...metrics.map((name) => [name, name])], state.y, (value) => { state.y = value; redraw(); });
  const present = new Set(points.map(({role}) => role));
  const teacher = study.teacher;
  if (keys.some((key) => has(teacher[key])) && (has(teacher.score) || teacher.metrics)) {
    present.add("teacher");
    choice(bar, "show: ", [[true, "teacher and students"], [false, "students alone"]], true, (value) => { state.teacher = value; redraw(); });
  }
  legend(keyed, Object.keys(roles).filter((role) => present.has(role)).map((role) => [role]));

  for (const key of keys) figure(made, "", (width) => {
    const shown = points.filter(({trial}) => has(trial[key]) && has(valueOf(trial)));
    if (!shown.length) return null;
    const xs = shown.map(({trial}) => trial[key]), ys = shown.flatMap(({trial}) => [valueOf(trial) - errorOf(trial), valueOf(trial) + errorOf(trial)]);
    const withTeacher = has(teacher[key]) && has(teacherY()) && state.teacher;
    if (withTeacher) { xs.push(teacher[key]); ys.push(teacherY()); }
    const height = Math.round(Math.min(460, Math.max(300, width * 0.62)));
    const {root, x, y, inner} = frame(width, height, "score against cost of all candidates", {domain: padded(xs, 0.06), name: costs[key].name, format: amount},
      {domain: padded(ys, 0.06), name: state.y});
    // The front by these two, whatever goals were asked for; of each target.
    for (const result of decided) {
      const best = [];
      let most = -Infinity;
      for (const point of shown.filter((point) => point.result === result && point.role !== "ready").sort((a, b) => a.trial[key] - b.trial[key] || valueOf(b.trial) - valueOf(a.trial)))
        if (valueOf(point.trial) > most) { most = valueOf(point.trial); best.push(point); }
      root.append("path").attr("fill", "none").style("stroke", colour("front")).attr("stroke-width", 1.5)
        .attr("d", d3.line().x(({trial}) => x(trial[key])).y(({trial}) => y(valueOf(trial))).curve(d3.curveStepAfter)(best));
    }
    const order = Object.keys(roles);
    shown.sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
    const marks = root.append("g").selectAll("g").data(shown).join("g").attr("transform", ({trial}) => `translate(${x(trial[key])},${y(valueOf(trial))})`);
    marks.filter(({trial}) => errorOf(trial) > 0).append("line").attr("y1", ({trial}) => y(valueOf(trial) - errorOf(trial)) - y(valueOf(trial)))
      .attr("y2", ({trial}) => y(valueOf(trial) + errorOf(trial)) - y(valueOf(trial))).style("stroke", ({role}) => colour(role)).attr("stroke-opacity", 0.55);
    marks.append("path").attr("d", ({role}) => symbol(role)).style("fill", ({role}) => colour(role)).style("stroke", "var(--paper)");
    marks.append("circle").attr("r", 11).attr("fill", "transparent").call(withTip, ({stage, trial, digits}) => trialText(stage, trial, digits));
    // Of several of a kind, as a stage may propose them, the best is named.
    const leads = (point) => !shown.some((other) => other.role === point.role && other.result === point.result && other.trial.score > point.trial.score);
    const named = shown.filter((point) => !["other", "front"].includes(point.role) && leads(point)).reverse().map(({trial, role, result}) => ({x: x(trial[key]), y: y(valueOf(trial)), role,
      text: (role === "found" ? "found" : role) + (decided.length > 1 ? " " + result.target : "")}));
    if (withTeacher) {
      root.append("path").attr("transform", `translate(${x(teacher[key])},${y(teacherY())})`).attr("d", symbol("teacher")).style("fill", colour("teacher"))
        .call(withTip, () => `teacher ${teacher.model}\n${state.y} ${teacherY().toPrecision(4)}\n${costs[key].name} ${costs[key].text(teacher[key])}`);
      named.unshift({x: x(teacher[key]), y: y(teacherY()), text: "teacher", role: "teacher"});
    }
    labels(root, inner, named, shown.map(({trial}) => [x(trial[key]), y(valueOf(trial))]));
    return root.node();
  });
  compared(parent, decided);
}

// The same in numbers: the teacher, and of each target the found student and the controls.
function compared(parent, decided) {
  const rows = [{what: "teacher", trial: study.teacher, digits: 4}];
  for (const result of decided) {
    const stage = stageNamed(result.stage), digits = digitsOf(stage.trials);
    const add = (number, role) => {
      const trial = stage.trials.find((each) => each.number === number);
      if (trial) rows.push({what: `${roles[role].name} ${stage.name}/${number}`, trial, digits});
    };
    add(result.found, "found");
    if (result.compared && result.compared.stage === result.stage)
      for (const control of result.compared.with || []) if (control.number !== result.found) add(control.number, control.origin === "ready checkpoint" ? "ready" : control.origin);
  }
  const valueOf = (trial, name) => { const value = (trial.metrics || {})[name]; return has(value) ? value : value && value.value; };
  const metrics = [...new Set(rows.flatMap(({trial}) => Object.keys(trial.metrics || {})))].filter((name) => !name.startsWith("loss"));
  const columns = [{name: "", kind: "text", text: (row) => row.what},
    {name: "score", text: ({trial, digits}) => has(trial.score) ? trial.score.toFixed(digits) : ""},
    {name: "±", text: ({trial, digits}) => trial.standard_error > 0 ? trial.standard_error.toFixed(digits) : ""},
    ...metrics.map((name) => ({name, text: ({trial}) => has(valueOf(trial, name)) ? valueOf(trial, name).toFixed(3) : ""}))];
  for (const key of Object.keys(costs).filter((key) => rows.some(({trial}) => has(trial[key])))) {
    const less = (trial) => has(study.teacher[key]) && trial !== study.teacher ? ` (${(study.teacher[key] / trial[key]).toFixed(1)}x less)` : "";
    columns.push({name: costs[key].short, text: ({trial}) => has(trial[key]) ? costs[key].text(trial[key]) + less(trial) : ""});
  }
  table(parent, columns, rows);
}
