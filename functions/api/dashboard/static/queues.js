/** The lanes and the callback queue. */

import { Due } from "./beat.js";
import { getJson } from "./client.js";
import { arrange, element, setAttribute, setText } from "./dom.js";
import { count, setTime } from "./format.js";

const PAUSE_MS = 6_000; // each look asks SQS about twelve queues
const FIGURES = ["waiting", "delayed", "in_flight", "dead_letters"];

/** The table of queues; `refresh` asks where it is time. */
export function queues() {
  const body = document.querySelector("#queues tbody");
  const due = new Due();
  const rows = new Map();

  function show(name, queue) {
    if (!rows.has(name)) rows.set(name, new Row(name));
    rows.get(name).show(queue);
  }

  return {
    async refresh(signal) {
      if (!due.now) return;
      const { lanes, callbacks } = await getJson("v1/lanes", { signal });
      for (const lane of lanes) show(`Lane ${lane.lane}`, lane);
      show("Callbacks", callbacks);
      arrange(body, [...rows.values()].map((row) => row.node));
      due.in(PAUSE_MS);
    },
  };
}

class Row {
  constructor(name) {
    this.since = element("time");
    const badge = element("span", { class: "badge", "data-status": "paused" }, "paused");
    this.paused = element("span", { hidden: "" }, badge, " ", element("span", { class: "remark" }, this.since));
    this.figures = FIGURES.map(() => element("td", { class: "number" }));
    this.node = element("tr", {}, element("th", { scope: "row" }, name, " ", this.paused), ...this.figures);
  }

  show(queue) {
    this.paused.hidden = !queue.paused_since;
    setTime(this.since, queue.paused_since ?? null);
    FIGURES.forEach((name, place) => {
      setText(this.figures[place], count(queue[name]));
      setAttribute(this.figures[place], "data-zero", queue[name] === 0 ? "" : null);
    });
    setAttribute(this.figures.at(-1), "data-alarm", queue.dead_letters > 0 ? "" : null);
  }
}
