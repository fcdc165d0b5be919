// The records, as the page holds them: compressed, and unpacked after the first paint.

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

let digest = null;
const byTap = new Map();

const placeKey = (r) => [r.variant, r.stage, r.mode, r.block ?? "-", r.tap].join("\u0000");

/** A ratio in units of its limit, the larger of tensor's and token's; beyond every number if unknown. */
function strengthAt(r, i) {
  if (infinite(r.ratio[i]) || infinite(r.token_ratio[i])) return Infinity;
  return Math.max(r.ratio[i] / r.limits[i], r.token_ratio[i] / r.token_limit);
}

/** The colour of a ratio in units of its limit; as the tables were coloured when they were written. */
function level(share) {
  const { fifths, steps } = digest.colours;
  if (share <= 1) return `l${Math.min(fifths - 1, Math.floor(share * fifths))}`;
  return `o${steps.filter((step) => share > step).length - 1}`;
}

/** The verdict of a place, and its colour. */
const wordOf = (r) => (r.failed ? "departs" : r.known ? "known" : "holds");
const colourOf = (r) => (wordOf(r) === "known" ? "k" : level(r.share));

/** Rows in the order in which a place is told by them: those that fail, then the strongest. */
const byShare = (a, b) => (b.failed > 0) - (a.failed > 0) || b.share - a.share || 0;

async function load() {
  digest = await unpack(JSON.parse(document.getElementById("digest").textContent));
  for (const r of digest.rows) {
    const key = placeKey(r);
    if (!byTap.has(key)) byTap.set(key, []);
    byTap.get(key).push(r);
    r.share = r.strength ?? Infinity;
    r.words = [r.variant, r.stage, r.mode, placeName(r), r.layer, r.runtime, r.worst.problem, digest.inputs[r.input[r.worst.at]].name].join(" ").toLowerCase();
  }
}

/** The rows of one place, strongest first. */
function rowsAt(place) {
  return [...(byTap.get(placeKey(place)) ?? [])].sort(byShare);
}

/** Whether a row is among what the filters ask for. */
function wanted(r) {
  return (!state.variant || r.variant === state.variant)
    && (!state.stage || r.stage === state.stage)
    && (!state.mode || r.mode === state.mode)
    && (!state.verdict || wordOf(r) === state.verdict)
    && (!state.q || state.q.toLowerCase().split(/\s+/).every((word) => r.words.includes(word)));
}

/** A place from its words in an address. */
function placeOf(words) {
  const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  const [variant = "", stage = "", mode = "", block = "-", tap = ""] = words.split("/").map(decoded);
  return { variant, stage, mode, block: block === "-" ? null : Number(block), tap };
}
