// The page works without this script but for the charts: tables, pictures and stories are plain HTML.
"use strict";

const CONFIG = { displayModeBar: false, responsive: true };
const charts = JSON.parse(document.getElementById("charts").textContent);

for (const place of document.querySelectorAll("[data-chart]")) {
  const figure = charts[place.dataset.chart];
  Plotly.newPlot(place, figure.data, figure.layout, CONFIG);
}

// One trial: its losses and its story.
const which = document.getElementById("which");
if (which) {
  const show = () => {
    for (const story of document.querySelectorAll(".story")) {
      story.hidden = story.dataset.trial !== which.value;
    }
    const text = document.querySelector(".story:not([hidden]) script").textContent;
    const place = document.getElementById("losses");
    place.hidden = !text.trim();
    if (!place.hidden) {
      const figure = JSON.parse(text);
      Plotly.react(place, figure.data, figure.layout, CONFIG);
    }
  };
  which.addEventListener("change", show);
  show();
}

// Pictures: the best few are shown, the others on demand; without the script all are.
const more = document.getElementById("more-pictures");
if (more) {
  const others = document.querySelectorAll(".gallery [data-more]");
  const show = (shown) => {
    for (const figure of others) figure.hidden = !shown;
    more.setAttribute("aria-expanded", String(shown));
    more.textContent = shown ? "Show fewer trials" : `Show ${others.length} more trials`;
  };
  more.addEventListener("click", () => show(more.getAttribute("aria-expanded") !== "true"));
  show(false);
}

// Tables: a click on a column's name sorts by it, a second one the other way; empty cells stay last.
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.children[head.cellIndex].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const numbers = !Number.isNaN(Number(x)) && !Number.isNaN(Number(y));
      const order = numbers ? Number(x) - Number(y) : x.localeCompare(y);
      return up ? order : -order;
    };
    body.append(...[...body.rows].sort(compare));
  });
}

// Paper has another width than the window.
window.addEventListener("beforeprint", () => {
  for (const place of document.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(place);
});
