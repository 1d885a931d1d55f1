// Draws the plots of the page's JSON with Plotly, in the page's colours.
"use strict";
const plots = JSON.parse(document.getElementById("plots").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
function color(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); }
// Colours are names of the page's variables in the data, so that one figure serves light and dark.
function painted(value) {
  if (Array.isArray(value)) return value.map(painted);
  if (value && typeof value === "object") {
    const out = {};
    for (const key in value) out[key] = painted(value[key]);
    return out;
  }
  return typeof value === "string" && value.startsWith("var:") ? color(value.slice(4)) : value;
}
// A finger on a plot scrolls the page, a mouse zooms. Nothing is offered that would send the data anywhere.
const touch = matchMedia("(pointer: coarse)").matches;
const config = {displaylogo: false, responsive: true, scrollZoom: false, showSendToCloud: false, plotlyServerURL: "",
  displayModeBar: touch ? false : "hover", modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["resetScale2d"]]};
function draw() {
  for (const plot of plots) {
    const layout = painted(plot.layout);
    if (touch) layout.dragmode = false;
    Plotly.react(plot.id, painted(plot.data), layout, config);
  }
}
draw();
dark.addEventListener("change", draw);
