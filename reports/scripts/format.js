// Numbers and elements as the page writes them.

const infinite = (value) => value === null || value === undefined;

function short(value) {
  if (infinite(value)) return "∞";
  if (value < 9.95) return value.toFixed(2);
  return value < 999.5 ? value.toFixed(0) : exponent(value, 0);
}

/** Three digits: `0.973`, `580`, `1.61e6`. */
function precise(value) {
  if (infinite(value)) return "∞";
  return value < 9999.5 ? String(Number(value.toPrecision(3))) : exponent(value, 2);
}

function exponent(value, digits = 2) {
  return infinite(value) ? "–" : value.toExponential(digits).replace("e+", "e");
}

function grouped(value) {
  return value.toLocaleString("en-US");
}

/** A number with its noun: `1 input`, `2 inputs`. */
function counted(number, noun) {
  return `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** An element with attributes and children; text stays text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function row(...cells) {
  return element("tr", {}, ...cells.map((cell) => (cell instanceof Element ? cell : element("td", {}, String(cell)))));
}

const blockName = (block) => (block === null ? "–" : String(block));
const placeName = (place) => (place.block === null ? place.tap : `block ${place.block}, ${place.tap}`);
