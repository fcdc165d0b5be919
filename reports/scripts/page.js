// What every page has: copy buttons, colours, tables that sort.

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // refused, or a page without a clipboard: the old way
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function copying(button, text) {
  button.addEventListener("click", async () => {
    await copy(text());
    const words = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 1200);
  });
}

for (const button of document.querySelectorAll("[data-copy]")) copying(button, () => button.dataset.copy);
for (const table of document.querySelectorAll("table.sortable")) sortableTable(table);
for (const wide of document.querySelectorAll(".scroll")) wide.tabIndex = 0; // the keyboard scrolls it, too
document.getElementById("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = now;
  try { localStorage.setItem("parity-theme", now); } catch { /* it lasts as long as the page */ }
});
