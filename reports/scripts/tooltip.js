// Figures beside a cell that is pointed at, or that the keyboard has come to.

const tip = element("div", { id: "tip", role: "tooltip", hidden: "" });
document.body.append(tip);

function figuresOf(r) {
  const { worst } = r, i = worst.at, input = digest.inputs[r.input[i]];
  const rows = [["strongest on", input.name]];
  if (worst.problem) {
    rows.push(["", worst.problem]);
  } else {
    rows.push(
      ["noise ratio", `${precise(r.ratio[i])} of limit ${r.limit}`],
      ["of one token", `${precise(r.token_ratio[i])} of limit ${r.token_limit}, token ${worst.token.join(", ")}`],
      ["floor", `${exponent(worst.floor)}, set by ${worst.floor_setter}`],
      ["max |Δ| to Meta", `${exponent(r.max_abs[i])} at ${worst.max_abs_index.join(", ")}`],
      ["max |Δ| / rms", exponent(worst.rel_max)],
      ["cosine", infinite(worst.cosine) ? "–" : worst.cosine.toFixed(12)],
    );
  }
  if (r.known && !infinite(worst.ceiling)) rows.push(["known", `on ${r.known} of ${r.input.length}, ceiling ${worst.ceiling}`]);
  rows.push(["over its limit", `${r.failed} of ${r.input.length}`], ["layer, run by", `${r.layer}, ${r.runtime}`]);
  return rows;
}

function tell(anchor, place) {
  const [r] = rowsAt(place);
  if (!r) return;
  tip.replaceChildren(
    element("b", {}, `${place.stage}, ${placeName(place)}`),
    element("table", {}, element("tbody", {}, ...figuresOf(r).map(([name, value]) => row(element("th", { scope: "row" }, name), value)))),
  );
  tip.hidden = false;
  const box = anchor.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const below = box.bottom + own.height + 12 < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - own.width - 12))}px`;
  tip.style.top = `${below ? box.bottom + 6 : Math.max(8, box.top - own.height - 6)}px`;
}

function untell() { tip.hidden = true; }

/** Tell of the places that links below `root` lead to. */
function telling(root) {
  for (const kind of ["mouseover", "focusin"]) {
    root.addEventListener(kind, (event) => {
      const link = event.target.closest?.("a[href*='tap=']");
      if (link && tapOf(link)) tell(link, placeOf(tapOf(link)));
    });
  }
  for (const kind of ["mouseout", "focusout"]) root.addEventListener(kind, untell);
}
addEventListener("keydown", (event) => { if (event.key === "Escape") untell(); });
