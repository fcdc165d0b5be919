// What is shown, kept in the address: a link shows what I see.

const KEYS = ["variant", "stage", "mode", "verdict", "q", "tap"];
let state = {};
const listeners = [];

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  state = {};
  for (const key of KEYS) if (words.get(key)) state[key] = words.get(key);
  for (const listener of listeners) listener(state);
}

function address(next) {
  const words = KEYS.filter((key) => next[key]).map((key) => `${key}=${encodeURIComponent(next[key]).replace(/%2F/g, "/")}`);
  return `#${words.join("&")}`;
}

/** Change some keys; a filter replaces the entry in the history, a tap makes a new one. */
function show(changes, replace = false) {
  const hash = address({ ...state, ...changes });
  if (replace) {
    history.replaceState(null, "", hash === "#" ? location.pathname + location.search : hash);
    readAddress();
  } else {
    location.hash = hash;
  }
}

/** A link inside the page keeps the filters that it does not name. */
function merged(hash) {
  const words = Object.fromEntries(new URLSearchParams(hash.slice(1)));
  return address({ ...state, tap: "", ...words });
}

const tapAddress = (place) => [place.variant, place.stage, place.mode, place.block ?? "-", place.tap].map(encodeURIComponent).join("/");

addEventListener("hashchange", readAddress);

/** The words of the place whose page a link leads to; none of other links. */
const tapOf = (link) => new URLSearchParams((link.getAttribute("href") ?? "").slice(1)).get("tap");

/** A link to a place's page, which keeps the filters. */
const linkTo = (place) => address({ ...state, tap: tapAddress(place) });
