// Tables that sort: by a button in each header, numbers as numbers.

function number(text) {
  const value = parseFloat(text.replace(/,/g, ""));
  return /^[\s≤>]*[-+\d.]/.test(text) && !Number.isNaN(value) ? value : null;
}

function compare(a, b) {
  const [x, y] = [number(a), number(b)];
  if (x !== null && y !== null) return x - y;
  if (x !== null || y !== null) return x !== null ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}

/** Give a header a button that calls `sort(ascending)`; the first click sorts as `first` says. */
function sortable(header, first, sort) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  header.append(button);
  header.setAttribute("aria-sort", "none");
  button.addEventListener("click", () => {
    const now = header.getAttribute("aria-sort");
    const ascending = now === "none" ? first : now !== "ascending";
    for (const other of header.parentElement.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    sort(ascending);
  });
}

function sortableTable(table) {
  const headers = [...table.tHead.rows].at(-1).cells;
  [...headers].forEach((header, column) => sortable(header, true, (ascending) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, index) => [row, row.cells[column]?.textContent.trim() ?? "", index]);
    rows.sort((a, b) => (ascending ? 1 : -1) * compare(a[1], b[1]) || a[2] - b[2]);
    body.append(...rows.map(([row]) => row));
  }));
}
