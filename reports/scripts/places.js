// The table of all places: filtered, sorted, a screenful at a time.

const STEP = 60;

/** Columns: what a row is sorted by, and what its cell holds. */
const COLUMNS = [
  (r) => r.variant, (r) => r.stage, (r) => r.mode, (r) => r.block ?? -1, (r) => r.tap, wordOf,
  (r) => r.ratio[r.worst.at] ?? Infinity, (r) => r.limit, (r) => r.token_ratio[r.worst.at] ?? Infinity, (r) => r.token_limit,
  (r) => r.max_abs[r.worst.at] ?? Infinity, (r) => r.worst.cosine ?? -1, (r) => r.failed / r.input.length,
  (r) => digest.inputs[r.input[r.worst.at]].name, (r) => `${r.layer}, ${r.runtime}`,
];

function placeRow(r) {
  const i = r.worst.at, tap = element("a", { href: linkTo(r) }, r.tap);
  const figures = r.worst.problem
    ? [element("td", { colspan: 6 }, r.worst.problem)]
    : [precise(r.ratio[i]), r.limit, precise(r.token_ratio[i]), r.token_limit, exponent(r.max_abs[i]), infinite(r.worst.cosine) ? "–" : r.worst.cosine.toFixed(9)];
  return row(r.variant, r.stage, r.mode, blockName(r.block), element("td", {}, tap), wordOf(r), ...figures,
    `${r.failed} of ${r.input.length}`, digest.inputs[r.input[i]].name, `${r.layer}, ${r.runtime}`);
}

function placesTable(table, more) {
  let shown = STEP, order = byShare;
  const fill = () => {
    const rows = digest.rows.filter(wanted).sort(order);
    table.tBodies[0].replaceChildren(...rows.slice(0, shown).map(placeRow));
    more.hidden = rows.length <= shown;
    more.textContent = `Show more: ${grouped(Math.min(shown, rows.length))} of ${grouped(rows.length)} places`;
    return rows;
  };
  [...table.tHead.rows[0].cells].forEach((header, column) => sortable(header, column < 6, (ascending) => {
    const of = COLUMNS[column];
    order = (a, b) => {
      const [x, y] = [of(a), of(b)];
      return (ascending ? 1 : -1) * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x === y ? 0 : x - y);
    };
    fill();
  }));
  more.addEventListener("click", () => { shown += 5 * STEP; fill(); });
  return () => { shown = STEP; return fill(); };
}
