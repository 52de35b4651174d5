"use strict";
// The page of `bastion-replay export --html`: the player, and rows that lead to their moment. #t=90 starts there.
const IDLE = 2; // seconds: longer pauses are cut to that
const cast = document.getElementById("cast").textContent.trim();
const times = Array.from(cast.matchAll(/^\[([0-9.]+),/gm), (line) => Number(line[1]));
// The player's clock leaves out what it cuts: where is a moment of the recording on it?
function shown(t) {
  let cut = 0, last = 0;
  for (const at of times) {
    if (at > t) break;
    cut += Math.max(0, at - last - IDLE);
    last = at;
  }
  return last - cut + Math.min(t - last, IDLE);
}
const start = Number((/^#t=([0-9.]+)$/.exec(location.hash) || [0, 0])[1]);
const player = AsciinemaPlayer.create(
  { data: cast },
  document.getElementById("player"),
  { preload: true, startAt: start, poster: "npt:" + shown(start), idleTimeLimit: IDLE, fit: "width", terminalFontSize: "15px" });
document.addEventListener("click", (event) => {
  const row = event.target.closest("button[data-t]");
  if (row) player.seek(shown(Number(row.dataset.t))).then(() => player.play());
});
