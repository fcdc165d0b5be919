// The overview: filters, map, heatmaps and charts follow the address.

const all = (query, root = document) => [...root.querySelectorAll(query)];

/** Arrow keys move inside a heatmap; the tab key comes to it once. */
function roving(table) {
  const links = all("td a", table);
  links.forEach((link, i) => { link.tabIndex = i ? -1 : 0; });
  table.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const cell = event.target.closest("td");
    if (!step || !cell) return;
    event.preventDefault();
    let [y, x] = [cell.parentElement.rowIndex + step[0], cell.cellIndex + step[1]];
    for (; table.rows[y]?.cells[x]; y += step[0], x += step[1]) {
      const link = table.rows[y].cells[x].querySelector("a");
      if (!link) continue;
      links.forEach((other) => { other.tabIndex = -1; });
      link.tabIndex = 0;
      link.focus();
      return;
    }
  });
}

function filterSections() {
  for (const part of all("[data-variant]")) part.hidden = Boolean(state.variant) && part.dataset.variant !== state.variant;
  for (const figure of all("figure[data-stage]")) {
    figure.hidden = Boolean((state.stage && figure.dataset.stage !== state.stage) || (state.mode && figure.dataset.mode !== state.mode)
      || (state.verdict && figure.dataset.verdict !== state.verdict && state.verdict !== "holds"));
  }
  for (const edge of all(".edges li")) {
    const word = ["holds", "known"].includes(edge.dataset.verdict) ? edge.dataset.verdict : "departs";
    edge.hidden = Boolean((state.stage && edge.dataset.stage !== state.stage) || (state.verdict && word !== state.verdict));
  }
}

/** Cells that the text or the verdict does not ask for step back. */
function dimCells() {
  const asks = Boolean(state.q || state.verdict);
  for (const table of all("table.heat")) {
    if (table.closest("[hidden]")) continue;
    const dim = table.dataset.dim === "yes";
    if (!asks && !dim) continue;
    table.dataset.dim = asks ? "yes" : "no";
    for (const link of all("td a", table)) {
      link.parentElement.classList.toggle("dimmed", asks && !rowsAt(placeOf(tapOf(link))).some(wanted));
    }
  }
}

function recolourMap(maps) {
  const variant = maps.dataset.map, caption = document.querySelector(`[data-map-caption="${CSS.escape(variant)}"]`);
  const first = maps.dataset.stage ??= placeOf(tapOf(maps.querySelector("a"))).stage;
  const stage = state.stage || first, mode = state.mode || "isolated";
  const strongest = new Map();
  for (const r of digest.rows) {
    if (r.variant !== variant || r.stage !== stage || r.mode !== mode) continue;
    if (!strongest.has(r.tap) || byShare(r, strongest.get(r.tap)) < 0) strongest.set(r.tap, r);
  }
  for (const node of all("[data-tap]", maps)) {
    const r = strongest.get(node.dataset.tap);
    node.setAttribute("class", r ? colourOf(r) : "absent");
    node.setAttribute("href", linkTo(r ?? { variant, stage, mode, block: null, tap: node.dataset.tap }));
    node.classList.toggle("dimmed", Boolean(r && (state.q || state.verdict) && !wanted(r)));
  }
  caption.textContent = `Coloured by the strongest ratio of ${stage}, ${mode}, over blocks and inputs. A dashed tap is not shown by the stage${mode === "chained" ? " or not compared in chains" : ""}.`;
}

const charts = { growth: (figure) => growth(figure.dataset.of, Number(figure.querySelector("select").value)), scatter: (figure) => scatter(figure.dataset.of, figure.querySelector("select").value) };

function drawChart(figure) {
  figure.querySelector(".plot").replaceChildren(charts[figure.dataset.chart](figure));
  figure.dataset.drawn = "yes";
}

const coming = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting && !entry.target.dataset.drawn) drawChart(entry.target);
  }
}, { rootMargin: "300px" });

function prepareCharts() {
  for (const figure of all("[data-chart]")) {
    const choice = figure.querySelector("select");
    if (figure.dataset.chart === "growth") {
      for (const input of growthInputs(figure.dataset.of)) choice.append(element("option", { value: input }, digest.inputs[input].name));
    }
    choice.addEventListener("change", () => drawChart(figure));
    coming.observe(figure);
  }
}

function drawInside() {
  for (const box of all("[data-inside]")) {
    const place = placeOf(box.dataset.inside);
    const [r] = rowsAt(place);
    if (!r?.worst.breakdown) continue;
    const input = digest.inputs[r.input[r.worst.at]];
    box.replaceChildren(element("h3", {}, `Inside it, on ${input.name}`), element("p", { class: "dim small" }, "Each token's error over its own floor."), tokens(place, r.worst.breakdown, input));
  }
}

function fillForm(form) {
  for (const field of form.elements) if (field.name && field.value !== (state[field.name] ?? "")) field.value = state[field.name] ?? "";
}

/** Where the reader was before a tap's page took the place of the overview. */
let left = 0;

function turn(fill, form) {
  const section = document.getElementById("tap"), overview = document.getElementById("overview");
  const opened = Boolean(state.tap), changed = section.dataset.tap !== (state.tap ?? "");
  if (form) fillForm(form);
  filterSections();
  if (opened && changed) {
    if (section.hidden) left = scrollY;
    untell();
    section.replaceChildren(...tapPage(placeOf(state.tap)));
  }
  section.dataset.tap = state.tap ?? "";
  const returns = section.hidden === false && !opened;
  section.hidden = !opened;
  for (const part of [overview, document.getElementById("verdict"), ...all(".card.departs, .filters")]) if (part) part.toggleAttribute("data-away", opened);
  if (opened && changed) { scrollTo(0, 0); section.querySelector("h2").focus({ preventScroll: true }); }
  if (returns) scrollTo(0, left);
  if (opened) return;
  for (const maps of all("[data-map]")) recolourMap(maps);
  dimCells();
  for (const figure of all("[data-chart=scatter][data-drawn]")) drawChart(figure);
  if (fill) {
    const rows = fill();
    document.getElementById("shown").textContent = `${grouped(rows.length)} of ${grouped(digest.rows.length)} places, ${grouped(rows.filter((r) => r.failed).length)} over their limit`;
  }
}

async function begin() {
  await load();
  const form = document.getElementById("filters"), table = document.getElementById("all");
  const fill = table && placesTable(table, document.getElementById("more"));
  if (form) {
    const changed = () => show({ ...Object.fromEntries(new FormData(form)), tap: "" }, true);
    form.addEventListener("input", changed);
    form.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
    document.getElementById("reset").addEventListener("click", () => show(Object.fromEntries(KEYS.map((key) => [key, ""])), true));
    copying(document.getElementById("link"), () => location.href);
  }
  for (const heat of all("table.heat")) roving(heat);
  telling(document.getElementById("main"));
  document.getElementById("main").addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    const hash = link?.getAttribute("href");
    if (!hash || hash === "#main" || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    location.hash = tapOf(link) || link.closest("#tap") ? hash : merged(hash);
  });
  prepareCharts();
  drawInside();
  listeners.push(() => turn(fill, form));
  readAddress();
  document.documentElement.dataset.ready = "yes";
}

if (document.getElementById("digest")) {
  begin().catch((error) => {
    document.getElementById("main").prepend(element("p", { class: "word departs" }, `The charts cannot be drawn: ${error.message}. The tables below are complete.`));
    throw error;
  });
}
