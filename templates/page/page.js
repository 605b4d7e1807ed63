"use strict";
// Draws the charts of the page from the figures beside it. Without this script the page
// has words and tables alone.
(function () {
  var figures = JSON.parse(document.getElementById("chart-data").textContent);
  var keys = Object.keys(figures);
  var shared = {
    font: { family: "system-ui, 'DejaVu Sans', sans-serif", size: 13, color: "#1f2937" },
    margin: { l: 60, r: 16, t: 12, b: 48 },
    paper_bgcolor: "#fff",
    plot_bgcolor: "#fff",
    hoverlabel: { align: "left" },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
  };
  function axis(given) {
    return Object.assign({ gridcolor: "#e5e7eb", zerolinecolor: "#9ca3af" }, given);
  }
  function draw(key) {
    var figure = figures[key];
    var layout = Object.assign({}, shared, figure.layout);
    layout.xaxis = axis(layout.xaxis);
    layout.yaxis = axis(layout.yaxis);
    if (document.documentElement.clientWidth < 640) {
      layout.margin = { l: 44, r: 8, t: 12, b: 48 };
      layout.font = Object.assign({}, shared.font, { size: 11 });
    }
    Plotly.newPlot(key, figure.data, layout, { responsive: true, displayModeBar: false });
    waiting.splice(waiting.indexOf(key), 1);
    document.documentElement.dataset.waiting = String(waiting.length);
  }
  // One after the other, when the browser has time: the page can be read before.
  var waiting = keys.slice();
  function later() {
    if (waiting.length) {
      draw(waiting[0]);
      soon(later);
    }
  }
  function soon(work) {
    if (window.requestIdleCallback) {
      window.requestIdleCallback(work, { timeout: 300 });
    } else {
      setTimeout(work, 20);
    }
  }
  window.addEventListener("load", function () { soon(later); });
  // A printed page is as wide as the paper, and shows what is folded away on a screen.
  var folded = [];
  window.addEventListener("beforeprint", function () {
    folded = Array.prototype.slice.call(document.querySelectorAll("details:not([open])"));
    folded.forEach(function (item) { item.open = true; });
    waiting.slice().forEach(draw);
    keys.forEach(function (key) { Plotly.relayout(key, { width: 680 }); });
  });
  window.addEventListener("afterprint", function () {
    folded.forEach(function (item) { item.open = false; });
    keys.forEach(function (key) { Plotly.relayout(key, { width: null, autosize: true }); });
  });
})();
