// Sorting by a click on a heading: numbers by `data-order`, what has none last; a second click turns the order.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells],
    body = table.tBodies[0];
  heads.forEach((head, column) =>
    head.querySelector("button").addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.order ?? row.cells[column].textContent;
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        const isNumber = !Number.isNaN(Number(a)) && !Number.isNaN(Number(b));
        return sign * (isNumber ? a - b : a.localeCompare(b, "en", { numeric: true }));
      };
      body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
    }),
  );
}

for (const section of document.querySelectorAll("section")) {
  const data = JSON.parse(section.querySelector("script").textContent);
  drawCurves(section, data);
  if (data.samples.length) drawViewer(section, data);
  section.querySelectorAll("table.sortable").forEach(makeSortable);
}

// On paper everything is unfolded, and folded again afterwards as it was.
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((each) => {
    each.open = true;
  });
});
window.addEventListener("afterprint", () =>
  folded.forEach((each) => {
    each.open = false;
  }),
);
