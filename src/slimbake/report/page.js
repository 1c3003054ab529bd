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
