"use strict";
// Rate-task curves as SVG: a panel for each quality; the legend hides curves, and each panel its networks.
// In the page one script: this file, viewer.js, page.js.

const WIDTH = 380,
  HEIGHT = 262,
  LEFT = 42,
  RIGHT = 10,
  TOP = 10,
  BOTTOM = 38;

function element(name, attributes = {}, ...children) {
  const isSvg = ["svg", "g", "path", "line", "circle", "rect", "text", "polygon"].includes(name);
  const made = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function rateTicks(low, high) {
  const steps = high / low > 8 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7],
    ticks = [];
  for (let decade = -6; decade < 5; decade++) {
    for (const step of steps) {
      const tick = Number((step * 10 ** decade).toPrecision(3));
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

function valueTicks(low, high) {
  const rough = (high - low) / 6,
    decade = 10 ** Math.floor(Math.log10(rough));
  const step = decade * [1, 2, 2.5, 5, 10].find((each) => each * decade >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) + (step / decade === 2.5 ? 1 : 0);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++)
    ticks.push([i * step, (i * step).toFixed(digits)]);
  return ticks;
}

// Scales that hold for all curves, so that hiding one moves nothing.
function scales(panel, curves) {
  const points = curves.flatMap((curve) => curve.points),
    rates = points.map((point) => point.bpp);
  const keys = [panel.quality, ...panel.networks.map(([key]) => key)];
  const values = [
    ...panel.ceilings,
    ...keys.flatMap((key) => points.flatMap((point) => [point.scores[key], ...(point.intervals[key] ?? [])])),
  ].filter((value) => value !== null);
  let low = Math.min(...rates) / 1.12,
    high = Math.max(...rates) * 1.12;
  const widen = Math.max(1, Math.sqrt((4 * low) / high));
  [low, high] = [low / widen, high * widen];
  let bottom = Math.min(...values),
    top = Math.max(...values);
  const margin = 0.06 * (top - bottom || Math.abs(top) || 1);
  [bottom, top] = [bottom - margin, top + margin];
  return {
    low,
    high,
    bottom,
    top,
    x: (bpp) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(bpp / low)) / Math.log(high / low),
    y: (value) => TOP + ((HEIGHT - TOP - BOTTOM) * (top - value)) / (top - bottom),
  };
}

function axes(panel, scale) {
  const group = element("g");
  for (const tick of rateTicks(scale.low, scale.high)) {
    const x = scale.x(tick);
    group.append(element("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, stroke: "#e6e9ec" }));
    group.append(element("text", { x, y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, String(tick)));
  }
  for (const [tick, label] of valueTicks(scale.bottom, scale.top)) {
    const y = scale.y(tick);
    group.append(element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, stroke: "#e6e9ec" }));
    group.append(element("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, label));
  }
  group.append(
    element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM, stroke: "#8a9199" }),
  );
  group.append(
    element("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 5, "text-anchor": "middle" }, "bits per pixel"),
  );
  for (const ceiling of panel.ceilings) {
    const y = scale.y(ceiling);
    group.append(
      element("line", {
        class: "ceiling",
        x1: LEFT,
        x2: WIDTH - RIGHT,
        y1: y,
        y2: y,
        stroke: "#1d2126",
        "stroke-dasharray": "7 3",
      }),
    );
    group.append(element("text", { x: LEFT + 4, y: y + 13 }, "uncompressed"));
  }
  return group;
}

// The measured points of one curve in one quality: a line, a band, and markers that a pointer finds.
function drawCurve(curve, key, isThin, scale, targets) {
  const group = element("g", { class: "curve" });
  const measured = curve.points.filter((point) => point.scores[key] !== null);
  const place = (point, value) => `${scale.x(point.bpp).toFixed(1)},${scale.y(value).toFixed(1)}`;
  const banded = measured.filter((point) => point.intervals[key]);
  if (!isThin && banded.length > 1) {
    const upper = banded.map((point) => place(point, point.intervals[key][1]));
    const lower = banded.map((point) => place(point, point.intervals[key][0])).reverse();
    group.append(element("polygon", { points: [...upper, ...lower].join(" "), fill: curve.colour, opacity: 0.14 }));
  }
  const width = isThin ? 1 : curve.isLearned ? 2.4 : 1.8;
  const dashes =
    curve.dashes &&
    curve.dashes
      .split(" ")
      .map((each) => each * width)
      .join(" ");
  group.append(
    element("path", {
      d: measured.map((point, i) => (i ? "L" : "M") + place(point, point.scores[key])).join(""),
      fill: "none",
      stroke: curve.colour,
      "stroke-width": width,
      "stroke-dasharray": dashes || null,
      "stroke-linejoin": "round",
      opacity: isThin ? 0.65 : 1,
    }),
  );
  for (const point of measured) {
    const [cx, cy] = [scale.x(point.bpp), scale.y(point.scores[key])];
    const marker = element("circle", {
      cx,
      cy,
      r: isThin ? 1.8 : curve.isLearned ? 4.2 : 3,
      fill: curve.colour,
      stroke: "#fff",
      "stroke-width": isThin ? 0 : 1,
    });
    group.append(marker);
    targets.push({ curve, key, point, cx, cy, marker });
  }
  return group;
}

function describe(panel, { curve, key, point }) {
  const score = point.scores[key].toFixed(panel.digits),
    interval = point.intervals[key];
  const network = key === panel.quality ? "" : ` (${key.slice(key.indexOf("@") + 1)})`;
  const range = interval ? ` (${interval.map((end) => end.toFixed(panel.digits)).join(" to ")})` : "";
  return [
    element("b", {}, curve.name + network),
    `${point.setting}, ${point.bpp.toFixed(3)} bpp`,
    element("br"),
    `${panel.title}: ${score}${range}`,
  ];
}

// Shows what lies nearest to the pointer, within 40 units.
function hover(figure, svg, panel, targets) {
  const tooltip = element("div", { class: "tooltip", hidden: "" });
  let marked = null;
  const leave = () => {
    tooltip.hidden = true;
    if (marked) marked.marker.setAttribute("r", marked.radius);
    marked = null;
  };
  const show = (event) => {
    const box = svg.getBoundingClientRect(),
      unit = WIDTH / box.width;
    const [x, y] = [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
    const distance = (target) => Math.hypot(target.cx - x, target.cy - y);
    const nearest = targets.reduce((best, each) => (!best || distance(each) <= distance(best) ? each : best), null);
    leave();
    if (!nearest || distance(nearest) > 40) return;
    marked = { marker: nearest.marker, radius: nearest.marker.getAttribute("r") };
    nearest.marker.setAttribute("r", 6.5);
    tooltip.replaceChildren(...describe(panel, nearest));
    tooltip.hidden = false;
    const room = figure.clientWidth - tooltip.offsetWidth;
    tooltip.style.left = `${Math.max(0, Math.min(room, nearest.cx / unit - tooltip.offsetWidth / 2))}px`;
    tooltip.style.top = `${box.top - figure.getBoundingClientRect().top + nearest.cy / unit - tooltip.offsetHeight - 12}px`;
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
  svg.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") leave(); // a finger leaves when it is lifted: what it showed stays
  });
  figure.append(tooltip);
}

function toggle(label, isOn, change, ...icon) {
  const button = element("button", { type: "button", "aria-pressed": String(isOn) }, ...icon, label);
  button.addEventListener("click", () => {
    const next = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(next));
    change(next);
  });
  return button;
}

function drawPanel(panel, curves, isHidden) {
  const shown = new Set([panel.quality, ...panel.networks.map(([key]) => key)]);
  const svg = element("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": `${panel.title} over bits per pixel`,
  });
  const figure = element("figure", { "data-quality": panel.quality }, element("figcaption", {}, panel.title), svg);
  const scale = scales(panel, curves),
    targets = [];
  const draw = () => {
    targets.length = 0;
    svg.replaceChildren(axes(panel, scale));
    for (const key of [...shown].sort((a) => (a === panel.quality ? 1 : -1))) {
      // the mean above its networks
      for (const curve of [...curves].sort((a, b) => a.isLearned - b.isLearned)) {
        if (!isHidden.has(curve)) svg.append(drawCurve(curve, key, key !== panel.quality, scale, targets));
      }
    }
  };
  if (panel.networks.length) {
    const set = (key) => (isOn) => {
      isOn ? shown.add(key) : shown.delete(key);
      draw();
    };
    const names = [[panel.quality, "mean"], ...panel.networks];
    figure.append(
      element(
        "div",
        { class: "networks", "aria-label": "networks" },
        ...names.map(([key, name]) => toggle(name, true, set(key))),
      ),
    );
  }
  hover(figure, svg, panel, targets);
  draw();
  return { figure, draw };
}

function drawCurves(section, data) {
  const isHidden = new Set();
  const isMeasured = (panel) =>
    data.curves.some((curve) => curve.points.some((point) => point.scores[panel.quality] !== null));
  const panels = data.panels.filter(isMeasured).map((panel) => drawPanel(panel, data.curves, isHidden));
  section.querySelector(".panels").append(...panels.map((panel) => panel.figure));
  for (const curve of data.curves) {
    const line = {
      x1: 0,
      x2: 28,
      y1: 5,
      y2: 5,
      stroke: curve.colour,
      "stroke-width": 2.4,
      "stroke-dasharray": curve.dashes || null,
    };
    const icon = element(
      "svg",
      { viewBox: "0 0 28 10" },
      element("line", line),
      element("circle", { cx: 14, cy: 5, r: 4, fill: curve.colour }),
    );
    section.querySelector(".legend").append(
      toggle(
        curve.name,
        true,
        (isOn) => {
          isOn ? isHidden.delete(curve) : isHidden.add(curve);
          panels.forEach((panel) => panel.draw());
        },
        icon,
      ),
    );
  }
}
