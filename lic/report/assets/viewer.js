// The viewer: two sources of one image under a wipe, at matched rates, with what the networks saw in them.

function drawLayer(layer, width, height) {
  const drawn = layer.mask ? [element("img", { src: layer.mask, alt: "" })] : [];
  if (!layer.boxes.length) return drawn;
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}` }),
    size = Math.max(width, height) / 38;
  for (const [[x, y, boxWidth, boxHeight], label, colour] of layer.boxes) {
    svg.append(element("rect", { x, y, width: boxWidth, height: boxHeight, stroke: colour }));
    svg.append(
      element(
        "text",
        { x: x + size / 3, y: Math.max(y, 0) + size * 1.1, "font-size": size, "stroke-width": size / 5 },
        label,
      ),
    );
  }
  return [...drawn, svg];
}

function drawSide(view, sample, layers) {
  const side = element(
    "div",
    { class: sample.width < 300 ? "side small" : "side" },
    element("img", { src: view.picture, alt: view.source }),
  );
  side.style.aspectRatio = `${sample.width} / ${sample.height}`;
  for (const [key, layer] of Object.entries(view.layers)) {
    if (layers.has(key)) side.append(...drawLayer(layer, sample.width, sample.height));
  }
  return side;
}

function describeView(view) {
  const facts = [
    view.setting,
    view.bpp === null ? "" : `${view.bpp.toFixed(3)} bpp`,
    view.psnr_db === null ? "" : `${view.psnr_db.toFixed(1)} dB`,
  ];
  const answers = Object.values(view.layers)
    .map((layer) => layer.text)
    .filter((text) => text);
  const lines = [facts.filter((fact) => fact).join(", "), ...answers].filter((line) => line);
  return [element("b", {}, view.source), ...lines.flatMap((line, i) => (i ? [element("br"), line] : [line]))];
}

// Of each source, the view whose rate is nearest to the target; the original as it is.
function match(sample, target) {
  const found = new Map();
  const away = (view) => Math.abs(Math.log((view.bpp ?? target) / target));
  for (const view of sample.views) {
    if (!found.has(view.source) || away(view) < away(found.get(view.source))) found.set(view.source, view);
  }
  return found;
}

function layerNames(samples) {
  const kinds = new Map();
  for (const [key, layer] of samples.flatMap((sample) => sample.views).flatMap((view) => Object.entries(view.layers))) {
    const kind = kinds.get(key) ?? new Set();
    if (layer.boxes.length) kind.add("boxes");
    if (layer.mask) kind.add("masks");
    kinds.set(key, kind);
  }
  return [...kinds]
    .filter(([, kind]) => kind.size)
    .map(([key, kind]) => [key, `${[...kind].join(" and ")}: ${key.replace("@", ", ")}`]);
}

function select(label, options, chosen, change) {
  const list = element(
    "select",
    { onchange: () => change(list.value) },
    ...options.map(([value, name]) => element("option", { value }, name)),
  );
  list.value = chosen;
  return [element("label", {}, label, list), list];
}

function drawViewer(section, { samples, curves }) {
  const rates = samples
    .flatMap((sample) => sample.views)
    .map((view) => view.bpp)
    .filter((bpp) => bpp);
  const [low, high] = [Math.min(...rates), Math.max(...rates)];
  const sources = [...new Set(samples.flatMap((sample) => sample.views).map((view) => view.source))];
  const names = layerNames(samples);
  const first = (kind) => names.find(([, name]) => name.startsWith(kind))?.[0];
  const state = {
    sample: 0,
    first: sources[0],
    second: curves.find((curve) => curve.isLearned && sources.includes(curve.name))?.name ?? sources.at(-1),
    rate: Math.sqrt(low * high),
    layers: new Set([first("boxes"), first("masks")]),
  };
  const sides = element("div", { class: "sides" }),
    captions = element("div", { class: "captions" }),
    strip = element("div", { class: "strip" });
  const rateText = element("output");

  const draw = () => {
    const sample = samples[state.sample],
      matched = match(sample, state.rate);
    const views = [state.first, state.second].map((source) => matched.get(source) ?? sample.views[0]);
    sides.style.aspectRatio = `${sample.width} / ${sample.height}`;
    sides.replaceChildren(
      ...views.map((view) => drawSide(view, sample, state.layers)),
      element("div", { class: "divider" }),
    );
    captions.replaceChildren(...views.map((view) => element("div", {}, ...describeView(view))));
    strip.replaceChildren(
      ...[...matched.values()].map((view) =>
        element(
          "button",
          {
            type: "button",
            "aria-pressed": String(view.source === state.second),
            onclick: () => {
              state.second = secondList.value = view.source;
              draw();
            },
          },
          drawSide(view, sample, state.layers),
          ...describeView(view),
        ),
      ),
    );
    rateText.value = `${state.rate.toFixed(2)} bpp`;
  };
  const set = (name) => (value) => {
    state[name] = value;
    draw();
  };

  const pairs = sources.map((source) => [source, source]);
  const [image] = select(
    "image",
    samples.map((sample, i) => [i, sample.stem]),
    0,
    set("sample"),
  );
  const [left] = select("left", pairs, state.first, set("first"));
  const [right, secondList] = select("right", pairs, state.second, set("second"));
  const rate = element("input", {
    type: "range",
    class: "rate",
    min: 0,
    max: 200,
    value: 100,
    "aria-label": "rate",
    oninput: () => {
      state.rate = low * (high / low) ** (rate.value / 200);
      draw();
    },
  });
  const boxes = names.map(([key, name]) => {
    const box = element("input", {
      type: "checkbox",
      onchange: () => {
        box.checked ? state.layers.add(key) : state.layers.delete(key);
        draw();
      },
    });
    box.checked = state.layers.has(key);
    return element("label", {}, box, name);
  });
  const stage = element("div", { class: "stage" }, captions, sides, wipeSlider(sides));
  section
    .querySelector(".viewer")
    .append(
      element("div", { class: "settings" }, image, left, right, flickerButton(sides)),
      element("div", { class: "settings" }, element("label", {}, "rate", rate, rateText), ...boxes),
      stage,
      strip,
    );
  draw();
}

function wipeSlider(sides) {
  const wipe = (share) => {
    sides.style.setProperty("--wipe", `${share}%`);
    slider.value = share;
  };
  const slider = element("input", {
    type: "range",
    class: "wipe",
    min: 0,
    max: 100,
    step: 0.1,
    "aria-label": "wipe from left to right",
    oninput: () => wipe(slider.value),
  });
  const follow = (event) => {
    const box = sides.getBoundingClientRect();
    if (event.buttons || event.pointerType === "mouse")
      wipe(Math.max(0, Math.min(100, (100 * (event.clientX - box.left)) / box.width)));
  };
  sides.addEventListener("pointermove", follow);
  sides.addEventListener("pointerdown", follow);
  wipe(50);
  return slider;
}

// While it is held, or the key F, both images take turns in the same place.
function flickerButton(sides) {
  let timer = null;
  const show = (name) => {
    sides.classList.remove("first", "second");
    if (name) sides.classList.add(name);
  };
  const start = () => {
    if (timer) return;
    show("second");
    timer = setInterval(() => show(sides.classList.contains("second") ? "first" : "second"), 400);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    show("");
  };
  const isTyped = (event) =>
    event.key.toLowerCase() === "f" &&
    !event.ctrlKey &&
    !event.metaKey &&
    !event.altKey &&
    event.target.tagName !== "SELECT";
  document.addEventListener("keydown", (event) => {
    if (isTyped(event)) start();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "f") stop();
  });
  window.addEventListener("blur", stop);
  return element(
    "button",
    {
      type: "button",
      class: "flicker",
      onpointerdown: start,
      onpointerup: stop,
      onpointerleave: stop,
      onpointercancel: stop,
    },
    "Flicker (hold, or hold F)",
  );
}
