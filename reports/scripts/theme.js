// Before the first paint: the colours that the reader chose here before, or the system's.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("parity-theme"); } catch { /* storage may be refused */ }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const set = () => { document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light"); };
  set();
  dark.addEventListener("change", set);
  document.documentElement.classList.add("scripted");
})();
