// Charts: each a function from rows of the digest to a figure, drawn by Observable Plot.

const COLOURS = ["s0", "s1", "s2", "s3", "s4", "s5", "s6"];

function colour(stages) {
  return { domain: stages, range: stages.map((_, i) => `var(--${COLOURS[i % COLOURS.length]})`) };
}

/** The stages in the order of their tree. */
function allStages() { return digest.stages; }

const FONT = { background: "transparent", color: "inherit", fontFamily: "inherit", fontSize: "12px" };

/** One picture with one name: its groups of marks have classes in place of names of their own. */
function draw(options) {
  const made = Plot.plot({ width: 590, height: 300, marginLeft: 56, marginBottom: 40, style: FONT, ...options });
  const svg = made.matches("svg") ? made : [...made.querySelectorAll("svg")].find((one) => one.hasAttribute("aria-label"));
  svg.setAttribute("role", "img");
  for (const group of svg.querySelectorAll("g[aria-label]")) {
    group.classList.add(group.getAttribute("aria-label").replaceAll(" ", "-"));
    group.removeAttribute("aria-label");
  }
  return made;
}

/** Ticks of a logarithmic axis: 0.2, 1, 30, 1e5. */
const power = (value) => (value >= 1e-2 && value < 1e4 ? String(Number(value.toPrecision(3))) : value.toExponential(0).replace("e+", "e"));

const note = (words) => element("p", { class: "dim" }, words);

/** Rms errors of chained outputs by block, of each stage on one input, and the floor. */
function growthOf(variant, input) {
  const points = [], floors = new Map();
  for (const r of digest.rows) {
    if (r.variant !== variant || r.mode !== "chained" || r.tap !== "output" || r.layer === "runtime") continue;
    const i = r.input.indexOf(input);
    if (i < 0) continue;
    floors.set(r.block, r.floor[i]);
    if (!infinite(r.ratio[i]) && !digest.references.includes(r.stage)) points.push({ stage: r.stage, block: r.block, error: r.ratio[i] * r.floor[i], ratio: r.ratio[i] });
  }
  return { points, floors: [...floors].map(([block, floor]) => ({ block, floor })).sort((a, b) => a.block - b.block) };
}

/** The inputs that a variant's chains were fed, the one with the largest error first. */
function growthInputs(variant) {
  const found = new Map();
  for (const r of digest.rows) {
    if (r.variant !== variant || r.mode !== "chained" || r.tap !== "output" || r.layer === "runtime" || digest.references.includes(r.stage)) continue;
    r.input.forEach((input, i) => found.set(input, Math.max(found.get(input) ?? 0, strengthAt(r, i))));
  }
  return [...found].sort((a, b) => b[1] - a[1]).map(([input]) => input);
}

function growth(variant, input) {
  const { points, floors } = growthOf(variant, input);
  if (!points.length) return note("No chained outputs were compared.");
  return draw({
    ariaLabel: `Error by block of ${variant}`,
    x: { label: "block", ticks: Math.min(floors.length, 12), tickFormat: "d" },
    y: { type: "log", label: "rms error", grid: true, ticks: 5, tickFormat: power },
    color: colour(allStages()),
    symbol: { domain: allStages(), legend: true },
    marks: [
      Plot.ruleY([1e-5], { stroke: "var(--fail)", strokeDasharray: "2 3" }),
      Plot.line(floors, { x: "block", y: "floor", stroke: "currentColor", strokeDasharray: "6 4" }),
      Plot.line(points, { x: "block", y: "error", stroke: "stage", strokeWidth: 1.6 }),
      Plot.dot(points, { x: "block", y: "error", stroke: "stage", symbol: "stage", r: 3.5, channels: { ratio: "ratio" }, tip: TIP }),
    ],
  });
}

const TIP = { fill: "var(--card)", stroke: "var(--dim)" };

const AXES = {
  patches: { label: "patches of an image", of: (input) => input.grid[0] * input.grid[1], type: "log" },
  aspect: { label: "columns over rows", of: (input) => input.grid[1] / input.grid[0], type: "log" },
  scale: { label: "scale of the pixels", of: (input) => input.scale, type: "log" },
  batch: { label: "images in the batch", of: (input) => input.batch, type: "linear" },
};

/** The strongest comparison of each stage on each input. */
function strongestByInput(variant) {
  const found = new Map();
  for (const r of digest.rows) {
    if (r.variant !== variant || !wanted(r)) continue;
    r.input.forEach((input, i) => {
      const share = r.worst.problem && i === r.worst.at ? Infinity : strengthAt(r, i), key = `${r.stage} ${input}`;
      if (share > (found.get(key)?.share ?? -1)) found.set(key, { stage: r.stage, input, share, place: placeName(r), mode: r.mode });
    });
  }
  return [...found.values()];
}

function scatter(variant, axis) {
  const { label, of, type } = AXES[axis];
  const points = strongestByInput(variant).filter((point) => Number.isFinite(point.share) && point.share > 0)
    .map((point) => ({ ...point, x: of(digest.inputs[point.input]), name: digest.inputs[point.input].name }));
  if (!points.length) return note("Nothing to show with these filters.");
  return draw({
    ariaLabel: `Strongest ratios of ${variant} against ${label}`,
    x: { type, label, ...(type === "log" ? { tickFormat: "~g", ticks: 6 } : { ticks: [1, 2, 3, 4], tickFormat: "d" }) },
    y: { type: "log", label: "ratio / limit", grid: true, ticks: 5, tickFormat: power },
    color: colour(allStages()),
    symbol: { domain: allStages(), legend: true },
    marks: [
      Plot.ruleY([1], { stroke: "var(--fail)" }),
      Plot.dot(points, { x: "x", y: "share", stroke: "stage", symbol: "stage", r: 4, channels: { place: "place", mode: "mode", input: "name" }, tip: TIP }),
    ],
  });
}

/** Ratios of one place over the inputs, a row a stage, the limits of the largest and the smallest input marked. */
function distribution(place) {
  const points = [], limits = rowsAt(place).flatMap((r) => r.limits);
  for (const r of digest.rows) {
    if (r.variant !== place.variant || r.mode !== place.mode || r.block !== place.block || r.tap !== place.tap) continue;
    r.input.forEach((input, i) => {
      if (!infinite(r.ratio[i]) && r.ratio[i] > 0) points.push({ stage: r.stage, ratio: r.ratio[i], input: digest.inputs[input].name, by: r.runtime });
    });
  }
  if (!points.length) return note("There is no finite ratio to draw.");
  const stages = allStages().filter((stage) => points.some((point) => point.stage === stage));
  return draw({
    ariaLabel: "Ratios over inputs", height: 60 + 54 * stages.length, marginLeft: 76,
    x: { type: "log", label: "noise ratio", grid: true, ticks: 6, tickFormat: power },
    y: { type: "band", domain: stages, label: null },
    color: colour(allStages()),
    marks: [
      Plot.ruleX([1], { strokeDasharray: "6 4" }),
      Plot.ruleX([Math.min(...limits), Math.max(...limits)], { stroke: "var(--fail)" }),
      Plot.dot(points, { x: "ratio", y: "stage", stroke: "stage", r: 4, strokeWidth: 1.5, channels: { input: "input", by: "by" }, tip: TIP }),
    ],
  });
}

/** The error along heads or channels, in floors; neighbours share a point where there are many. */
function along(name, axis, limit) {
  const step = axis.size / axis.ratio.length;
  const points = axis.ratio.map((ratio, i) => ({ from: i * step, to: (i + 1) * step, ratio: infinite(ratio) ? null : ratio })).filter((point) => point.ratio !== null);
  return draw({
    ariaLabel: `Error by ${name}`, height: 190, width: 460,
    x: { label: `${name} of ${axis.size}`, tickFormat: "d", domain: [0, axis.size] },
    y: { label: "rms error / floor", grid: true, zero: true, tickFormat: "~g" },
    marks: [
      Plot.rectY(points, { x1: "from", x2: "to", y: "ratio", fill: "var(--s1)" }),
      Plot.ruleY([0]),
      points.some((point) => point.ratio > limit / 2) ? Plot.ruleY([limit], { stroke: "var(--fail)" }) : null,
    ],
  });
}

/** Colours of tokens: those of their ratios to the limit, or, where nearly all of them would have one
 * colour, shades between the smallest and the largest. */
function shading(ratios, limit) {
  const levels = ratios.map((ratio) => level((ratio ?? Infinity) / limit));
  const most = Math.max(...[...new Set(levels)].map((one) => levels.filter((other) => other === one).length));
  const known = ratios.filter((ratio) => !infinite(ratio)), low = Math.min(...known), high = Math.max(...known);
  if (most < 0.9 * ratios.length || !(high > low)) {
    return { words: `Coloured as above, by the ratio to a token's limit, ${limit}.`, paint: (box, ratio) => box.classList.add(level((ratio ?? Infinity) / limit)) };
  }
  const [from, to] = low > limit ? ["o0", "o2"] : ["l0", "l4"]; // text can be read on all of them
  return {
    words: `Shaded from the smallest ratio, ${precise(low)}, to the largest, ${precise(high)}; limit ${limit}.`,
    paint: (box, ratio) => {
      const share = infinite(ratio) ? 1 : (ratio - low) / (high - low);
      box.style.background = `color-mix(in oklab, var(--${from}), var(--${to}) ${Math.round(100 * share)}%)`;
    },
  };
}

/** Each token's ratio on the grid of patches, cls and registers above, the image beside it. */
function tokens(place, breakdown, input) {
  const words = digest.taps[place.tap]?.shape ?? [], prefix = words.includes("N") ? digest.prefix[place.variant] ?? 0 : 0;
  const [rows, columns] = input.grid, ratios = breakdown.tokens;
  const limit = rowsAt(place)[0].token_limit;
  const side = Math.max(10, Math.min(34, Math.floor(300 / Math.max(rows, columns))));
  const shade = shading(ratios, limit);
  const tile = (ratio, name) => {
    const box = element("span", { title: `${name}: ${precise(ratio)} of limit ${limit}` }, side >= 26 ? short(ratio) : "");
    box.style.width = box.style.height = `${side}px`;
    shade.paint(box, ratio);
    return box;
  };
  const grid = (across, boxes, label) => {
    const made = element("div", { class: "tokens", role: "img", "aria-label": label }, ...boxes);
    made.style.gridTemplateColumns = `repeat(${across}, ${side}px)`;
    return made;
  };
  const parts = [];
  const ends = ratios.slice(0, words.includes("R") ? ratios.length : prefix);
  if (ends.length) {
    const name = (i) => (prefix ? (i ? `register ${i}` : "cls") : `register ${i + 1}`);
    parts.push(element("figure", {}, grid(ends.length, ends.map((ratio, i) => tile(ratio, name(i))), `Ratios of ${prefix ? "cls and registers" : "registers"}`), element("figcaption", {}, prefix ? "cls, registers" : "registers")));
  }
  const patches = words.includes("P") || prefix ? ratios.slice(prefix) : [];
  if (patches.length === rows * columns) {
    const boxes = patches.map((ratio, i) => tile(ratio, `row ${Math.floor(i / columns)}, column ${i % columns}`));
    const shown = element("div", { class: "beside" }, element("figure", {}, grid(columns, boxes, `Ratios of ${rows} × ${columns} patches`), element("figcaption", {}, `patches ${rows} × ${columns}`)));
    const picture = digest.images[`${input.name} #${breakdown.image ?? 0}`];
    if (picture) {
      const image = element("img", { class: "thumb", src: picture, alt: `The input image, ${input.content}`, width: columns * (side + 1), height: rows * (side + 1) });
      shown.append(element("figure", {}, image, element("figcaption", {}, `image ${(breakdown.image ?? 0) + 1} of ${input.batch}, contrast stretched`)));
    }
    parts.push(shown);
  }
  if (parts.length) parts.push(note(shade.words));
  return parts.length ? element("div", {}, ...parts) : note("A tap without tokens.");
}
