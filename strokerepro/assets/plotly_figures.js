// Draws the figures that strokerepro.bookext left on the page and wires their native controls.
"use strict";

(() => {
  const CONFIG = { responsive: true, displayModeBar: false, scrollZoom: false };
  const SLIDER_VISIBLE = /^sliders\[(\d+)\]\.visible$/;

  // Plotly no longer knows the sliders of this figure: showing and hiding them is done here.
  function splitLayout(changes, figure) {
    const rest = {};
    for (const [key, value] of Object.entries(changes || {})) {
      const match = SLIDER_VISIBLE.exec(key);
      if (match) {
        const input = figure.querySelector(`input[data-slider="${match[1]}"]`);
        input.closest("label").hidden = !value;
      } else {
        rest[key] = value;
      }
    }
    return rest;
  }

  function apply(graph, figure, step, args) {
    if (step.method === "restyle") {
      return Plotly.restyle(graph, ...args);
    }
    if (step.method === "relayout") {
      return Plotly.relayout(graph, splitLayout(args[0], figure));
    }
    const [data, layout, ...traces] = args;
    return Plotly.update(graph, data || {}, splitLayout(layout, figure), ...traces);
  }

  function wireSlider(graph, figure, input, steps) {
    input.addEventListener("input", () => {
      const step = steps[Number(input.value)];
      input.setAttribute("aria-valuetext", step.label);
      input.closest("label").querySelector("output").textContent = step.label;
      apply(graph, figure, step, step.args);
    });
  }

  function wireButton(graph, figure, button, action) {
    button.addEventListener("click", () => {
      if (!action.args2) {
        apply(graph, figure, action, action.args);
        return;
      }
      // As in plotly: the first click applies `args`, the next one `args2`.
      const wasOn = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!wasOn));
      apply(graph, figure, action, wasOn ? action.args : action.args2);
    });
  }

  // A click on point n of a trace means step n of a slider: `layout.meta.pick` names both.
  function wirePick(graph, figure, pick) {
    const input = figure.querySelector(`input[data-slider="${pick.slider}"]`);
    graph.on("plotly_click", (event) => {
      const point = event.points.find((candidate) => candidate.curveNumber === pick.trace);
      if (point) {
        input.value = point.pointIndex;
        input.dispatchEvent(new Event("input"));
      }
    });
  }

  function draw(figure) {
    const graph = figure.querySelector(".plotly-graph");
    const content = JSON.parse(figure.querySelector("script").textContent);
    figure.querySelectorAll("input[data-slider]").forEach((input) =>
      wireSlider(graph, figure, input, content.sliders[Number(input.dataset.slider)])
    );
    figure.querySelectorAll("select[data-menu]").forEach((select) => {
      const actions = content.menus[Number(select.dataset.menu)];
      select.addEventListener("change", () => {
        const action = actions[select.selectedIndex];
        apply(graph, figure, action, action.args);
      });
    });
    figure.querySelectorAll("button[data-menu]").forEach((button) => {
      const actions = content.menus[Number(button.dataset.menu)];
      wireButton(graph, figure, button, actions[Number(button.dataset.button)]);
    });
    const pick = content.layout.meta?.pick;
    return Plotly.newPlot(graph, content.data, content.layout, CONFIG).then(() => {
      if (pick) {
        wirePick(graph, figure, pick);
      }
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".plotly-figure").forEach(draw);
  });
})();
