"use strict";
const find = document.getElementById("find");
const places = [...document.querySelectorAll("tbody tr")];
find.parentElement.hidden = false;
find.addEventListener("input", () => {
  const text = find.value.trim().toLowerCase();
  const off = places.filter((place) => !place.textContent.toLowerCase().includes(text));
  for (const place of places) place.classList.toggle("off", off.includes(place));
  document.getElementById("count").textContent =
    text && `${places.length - off.length} rows`;
});

// A number, a text, or null for what is not measured.
function valueOf(row, column) {
  const cell = row.cells[column];
  if (!cell) return null;
  const size = cell.querySelector("data");
  if (size) return Number(size.value);
  const text = cell.textContent.trim();
  if (!cell.classList.contains("n")) return text;
  const count = Number(text.replaceAll(",", ""));
  return Number.isNaN(count) ? null : count;
}

function compare(one, other) {
  if (typeof one === "number") return one - other;
  return one.localeCompare(other, undefined, { numeric: true });
}

function sort(body, column, falling) {
  const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, column) }));
  const known = rows.filter((each) => each.value !== null);
  const unknown = rows.filter((each) => each.value === null);
  known.sort((one, other) => compare(one.value, other.value) * (falling ? -1 : 1));
  for (const each of [...known, ...unknown]) body.append(each.row);
}

for (const head of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  // The largest comes first, and so does A.
  const first = head.classList.contains("n") ? "descending" : "ascending";
  const second = first === "descending" ? "ascending" : "descending";
  button.addEventListener("click", () => {
    const order = head.getAttribute("aria-sort") === first ? second : first;
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const body = head.closest("table").tBodies[0];
    sort(body, head.cellIndex, order === "descending");
  });
}
