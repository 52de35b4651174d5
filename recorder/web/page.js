"use strict";
// The page of `bastion-replay export --html`: the player, and rows that lead to their moment. #t=90 starts there.
const start = Number((/^#t=([0-9.]+)$/.exec(location.hash) || [0, 0])[1]);
const player = AsciinemaPlayer.create(
  { data: document.getElementById("cast").textContent.trim() },
  document.getElementById("player"),
  { preload: true, startAt: start, poster: "npt:" + start, idleTimeLimit: 2, fit: "width", terminalFontSize: "15px" });
document.addEventListener("click", (event) => {
  const row = event.target.closest("button[data-t]");
  if (row) player.seek(Number(row.dataset.t)).then(() => player.play());
});
