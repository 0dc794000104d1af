"use strict";
(function () {
  const root = document.documentElement;
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();
  root.classList.add("js");
  document.querySelector(".tools").hidden = false;

  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // What systems are held against is gray by day; by night the same gray would vanish.
  function traces(plot) {
    const soft = colour("--soft");
    return plot.data.map((own) => {
      if (own.meta.role !== "original" && own.meta.role !== "quiet") return { ...own };
      const trace = { ...own };
      if (own.line) trace.line = { ...own.line, color: soft };
      if (own.marker) trace.marker = { ...own.marker, color: soft };
      for (const bar of ["error_x", "error_y"])
        if (own[bar]) trace[bar] = { ...own[bar], color: soft };
      return trace;
    });
  }

  function layout(plot) {
    const ink = colour("--ink"), line = colour("--line"), paper = colour("--paper");
    const found = {
      ...plot.layout,
      font: { ...plot.layout.font, color: ink, family: getComputedStyle(document.body).fontFamily },
      hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink } },
    };
    for (const name of ["xaxis", "yaxis"])
      if (found[name])
        found[name] = { ...found[name], gridcolor: line, linecolor: line, tickcolor: line, showline: true };
    if (found.polar) {
      const spokes = { gridcolor: line, linecolor: line, tickcolor: line };
      found.polar = {
        ...found.polar,
        radialaxis: { ...found.polar.radialaxis, ...spokes },
        angularaxis: { ...found.polar.angularaxis, ...spokes },
      };
    }
    return found;
  }

  const settings = { responsive: true, displayModeBar: false, scrollZoom: false, doubleClick: false };

  function hiddenNames(place) {
    const buttons = place.closest("figure").querySelectorAll(".legend button[aria-pressed='false']");
    return new Set(Array.from(buttons, (button) => button.dataset.name));
  }

  function draw(place) {
    const plot = plots[Number(place.dataset.plot)];
    const hidden = hiddenNames(place);
    const data = traces(plot).map((own) => ({ ...own, visible: !hidden.has(own.name) }));
    drawn.set(place, true);
    return Plotly.react(place, data, layout(plot), settings);
  }

  // A folded figure has no width to be drawn in: it waits until it is unfolded.
  const waiting = Array.from(document.querySelectorAll(".plot"));
  function next() {
    const place = waiting.find((own) => !drawn.has(own) && own.clientWidth > 0);
    if (!place) {
      root.dataset.drawn = "all";
      return;
    }
    draw(place).then(() => setTimeout(next, 0));
  }
  for (const folded of document.querySelectorAll("details"))
    folded.addEventListener("toggle", () => folded.open && next());

  const redraw = () => Array.from(drawn.keys()).forEach(draw);
  const toggle = document.getElementById("theme");
  function label() {
    toggle.textContent = isDark() ? "Light" : "Dark";
    toggle.setAttribute("aria-pressed", String(isDark()));
  }
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
    redraw();
  });
  dark.addEventListener("change", () => { label(); redraw(); });
  label();

  const unfold = document.getElementById("unfold");
  function unfoldAll(open) {
    for (const folded of document.querySelectorAll("details")) folded.open = open;
    unfold.textContent = open ? "Fold all" : "Unfold all";
    unfold.setAttribute("aria-pressed", String(open));
  }
  unfold.addEventListener("click", () => unfoldAll(unfold.getAttribute("aria-pressed") !== "true"));
  document.getElementById("print").addEventListener("click", () => window.print());
  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
  });

  for (const button of document.querySelectorAll(".legend button"))
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!pressed));
      for (const place of button.closest("figure").querySelectorAll(".plot")) draw(place);
    });

  const links = new Map(
    Array.from(document.querySelectorAll("nav a"), (link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries)
      if (entry.isIntersecting) {
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id).setAttribute("aria-current", "true");
      }
  }, { rootMargin: "0px 0px -75% 0px" });
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);

  next();
})();
