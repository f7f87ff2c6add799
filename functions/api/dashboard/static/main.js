/** Puts the parts together: the address says what is shown, a beat keeps it up to date. */

import { repeat } from "./beat.js";
import { Unreachable } from "./client.js";
import { details } from "./details.js";
import { setText } from "./dom.js";
import * as place from "./place.js";
import { queues } from "./queues.js";
import { tasks } from "./tasks.js";

const SIDE_BY_SIDE = matchMedia("(min-width: 70rem)"); // as in style.css
const connection = document.querySelector("#connection");

const shownDetails = details();
const shownTasks = tasks((task) => shownDetails.hear(task));
const shownQueues = queues();
let asked = new AbortController();

const beat = repeat(refresh, tell);

async function refresh() {
  asked = new AbortController();
  const parts = [shownTasks, shownQueues, shownDetails].map((part) => part.refresh(asked.signal));
  const failed = (await Promise.allSettled(parts)).find((part) => part.status === "rejected");
  if (failed) throw failed.reason;
}

function tell(state, error) {
  const words = { live: "Live", paused: "Paused while nobody looks", trouble: error?.message };
  connection.dataset.state = state;
  setText(connection, error instanceof Unreachable ? `${words[state]} Trying again.` : words[state]);
}

/** Show what the address names; true where that has to be asked for. */
function follow() {
  const to = place.read();
  const before = document.querySelector("tr[aria-current]")?.dataset.id;
  cover(to.task !== "");
  const other = shownTasks.go(to);
  const opened = shownDetails.go(to.task);
  if (opened && to.task === "") shownTasks.focus(before);
  if (other) scrollTo(0, 0);
  return other || opened;
}

/** Where a task's details cover the rest, nobody is to wander about below them. */
function cover(open) {
  document.body.toggleAttribute("data-open", open);
  document.querySelector("#page").inert = open && !SIDE_BY_SIDE.matches;
}

function close() {
  if (place.read().task !== "") place.go({ task: "" });
}

document.querySelector("#close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
});
SIDE_BY_SIDE.addEventListener("change", () => cover(place.read().task !== ""));
addEventListener("hashchange", () => {
  if (!follow()) return;
  asked.abort();
  beat();
});
follow();
beat();
