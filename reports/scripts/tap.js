// The page of one tap: every figure of it, where inside it errs, and what the published gate says.

function gateSays(place) {
  const lines = [];
  for (const tap of digest.gate.taps) {
    for (const r of rowsAt({ ...place, mode: "chained", block: null, tap })) {
      if (r.layer === "runtime") continue;
      const passed = r.max_abs.filter((value) => !infinite(value) && value < digest.gate.max_abs).length;
      lines.push(`${tap} (${r.layer}): max |Δ| below 1e-5 on ${passed} of ${counted(r.max_abs.length, "input")}, at most ${exponent(Math.max(...r.max_abs.map((value) => value ?? Infinity)))}`);
    }
  }
  return lines;
}

function inputsTable(rows) {
  const body = [];
  for (const r of rows) {
    r.input.forEach((input, i) => body.push([strengthAt(r, i), row(
      digest.inputs[input].name, precise(r.ratio[i]), precise(r.token_ratio[i]), exponent(r.floor[i]), exponent(r.max_abs[i]),
      infinite(r.max_abs[i]) ? "–" : r.max_abs[i] < digest.gate.max_abs ? "would pass" : "would not",
      r.layer, r.runtime)]));
  }
  body.sort((a, b) => b[0] - a[0]);
  const names = ["input", "ratio", "of one token", "floor", "max |Δ|", "max |Δ| < 1e-5", "layer", "run by"];
  const table = element("table", { class: "text" },
    element("thead", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...body.slice(0, 300).map(([, line]) => line)));
  sortableTable(table);
  return element("div", { class: "scroll", tabindex: 0 }, table);
}

function siblings(place) {
  const others = allStages().filter((stage) => stage !== place.stage && rowsAt({ ...place, stage }).length);
  return others.map((stage) => element("a", { href: linkTo({ ...place, stage }) }, stage));
}

function neighbour(place, step) {
  if (place.block === null) return null;
  const next = { ...place, block: place.block + step };
  return rowsAt(next).length ? element("a", { href: linkTo(next) }, `block ${next.block}`) : null;
}

function spaced(...nodes) {
  return nodes.filter((node) => node !== null).flatMap((node, i) => (i ? [" · ", node] : [node]));
}

/** What the page of a place says; none where nothing of that name was compared. */
function tapPage(place) {
  const rows = rowsAt(place), back = element("a", { href: address({ ...state, tap: "" }) }, "← Back to the overview");
  if (!rows.length) {
    return [element("p", {}, back), element("h2", { tabindex: "-1" }, "No such tap"), note(`Nothing was compared at ${[place.variant, place.stage, place.mode, blockName(place.block), place.tap].join(", ")}.`)];
  }
  const [r] = rows, { worst } = r, input = digest.inputs[r.input[worst.at]];
  const word = rows.some((one) => one.failed) ? "departs" : rows.some((one) => one.known) ? "known" : "holds";
  const failed = rows.reduce((sum, one) => sum + one.failed, 0), count = rows.reduce((sum, one) => sum + one.input.length, 0);
  const said = worst.problem || `${precise(r.ratio[worst.at])} times the floor, limit ${r.limit}; at one token ${precise(r.token_ratio[worst.at])}, limit ${r.token_limit}`;
  const parts = [
    element("p", {}, ...spaced(back, neighbour(place, -1), neighbour(place, 1), ...siblings(place))),
    element("h2", { tabindex: "-1" }, `${place.variant}, ${place.stage}: ${placeName(place)}, ${place.mode} `, element("span", { class: `word ${word}` }, word)),
    element("p", {}, `${digest.taps[place.tap]?.meaning ?? ""}. Strongest of ${counted(count, "comparison")}, ${failed} over ${count === 1 ? "its" : "their"} limit: ${said}, on ${input.name}.`),
    element("div", { class: "scroll", tabindex: 0 }, element("table", { class: "text" }, element("tbody", {}, ...figuresOf(r).map(([name, value]) => row(element("th", { scope: "row" }, name), value))))),
  ];
  if (worst.breakdown) {
    parts.push(element("h3", {}, `Where inside it, on ${input.name}`),
      element("p", { class: "dim small" }, "Each token's error over its own floor; along heads and channels the rms error over the floor of the whole tensor, of all tokens."),
      element("div", { class: "figures" }, tokens(place, worst.breakdown, input),
        ...Object.entries(worst.breakdown.along).map(([name, axis]) => element("figure", { class: "plot" }, along(name, axis, r.limit), element("figcaption", {}, `${name} ${axis.worst} holds ${(100 * axis.share).toFixed(0)} % of the squared error`)))));
  }
  parts.push(element("h3", {}, "Over inputs, beside the other stages"),
    element("p", { class: "dim small" }, "Dashed: 1, Meta's own float32. Solid: the limit."),
    element("div", { class: "plot" }, distribution(place)),
    element("h3", {}, "The published gate"));
  const gate = gateSays(place);
  parts.push(gate.length ? element("ul", {}, ...gate.map((line) => element("li", {}, line))) : note("This run did not compare cls and pooled patches of the whole model."),
    element("h3", {}, "Every comparison"), inputsTable(rows));
  return parts;
}
