/** The list of tasks, a page at a time. */

import { Due } from "./beat.js";
import { Refused, address, getJson } from "./client.js";
import { arrange, element, setAttribute, setText } from "./dom.js";
import { count, setTime } from "./format.js";
import * as place from "./place.js";

export const FINAL = new Set(["completed", "failed", "cancelled", "expired"]);

const LIMIT = 50;
const PAUSE_MS = 1_900; // a beat has passed
const SEARCH_PAUSE_MS = 10_000; // a page that is not full has cost a look at a thousand tasks
const BUSY_FACTOR = 4; // an API that is slow has this much more time for others

/** The list; `refresh` asks where it is time, `go` shows another page, and `heard` is told of each task that is shown. */
export function tasks(heard) {
  const section = document.querySelector("#tasks");
  const body = section.querySelector("tbody");
  const rows = new Map();
  let due = new Due();
  let at = place.read();
  let trail = []; // the cursors of the pages that lead here
  let following = null;
  let settled = false; // an older page whose tasks have all ended: it stays as it is

  document.querySelector("#status").addEventListener("change", (event) => place.go({ status: event.target.value, cursor: "" }));
  document.querySelector("#newest").addEventListener("click", () => place.go({ cursor: "" }));
  document.querySelector("#newer").addEventListener("click", () => place.go({ cursor: trail.at(-2) ?? "" }));
  document.querySelector("#older").addEventListener("click", () => place.go({ cursor: following }));
  body.addEventListener("click", open);

  function show(page) {
    for (const id of [...rows.keys()]) {
      if (!page.tasks.some((task) => task.id === id)) rows.delete(id);
    }
    for (const task of page.tasks) {
      if (!rows.has(task.id)) rows.set(task.id, new Row(task.id));
      rows.get(task.id).show(task, at.task);
      heard(task);
    }
    arrange(body, page.tasks.map((task) => rows.get(task.id).node));
    section.toggleAttribute("data-tenants", page.tasks.some((task) => task.tenant !== "default"));
    following = page.next_cursor;
    settled = at.cursor !== "" && page.tasks.every((task) => FINAL.has(task.status));
    tell(page);
  }

  function tell(page) {
    const what = `${at.status} ${page.tasks.length === 1 ? "task" : "tasks"}`.trim();
    const number = count(page.tasks.length);
    const all = settled ? "; all have ended, so they are not asked for again" : "";
    const words = at.cursor === "" ? `${number} ${what}, the newest` : `${number} older ${what}${all}`;
    setText(document.querySelector("#position"), page.tasks.length ? words : "");
    document.querySelector("#newest").disabled = document.querySelector("#newer").disabled = at.cursor === "";
    document.querySelector("#older").disabled = following === null;
    explain(page.tasks.length ? null : nothing());
  }

  function nothing() {
    if (following !== null) return [element("p", {}, `None of the thousand tasks here is ${at.status || "left"}. Older ones may be.`)];
    if (at.cursor !== "") return [element("p", {}, "There are no older ones.")];
    if (at.status !== "") return [element("p", {}, `No task is ${at.status}.`)];
    const body = '{"type": "FibonacciTask", "payload": {"n": 10}}';
    const example = `curl -s ${address("v1/tasks")} -H 'Content-Type: application/json' -d '${body}'`;
    return [element("p", {}, "No tasks yet. Submit one, and it appears here:"), element("pre", {}, example)];
  }

  function explain(nodes) {
    const empty = document.querySelector("#empty");
    empty.hidden = nodes === null;
    if (nodes === null) empty.replaceChildren();
    else if (empty.textContent !== nodes.map((node) => node.textContent).join("")) empty.replaceChildren(...nodes);
  }

  function refuse(problem) {
    show({ tasks: [], next_cursor: null });
    explain([element("p", {}, problem), element("p", {}, element("a", { href: "#" }, "Show the newest tasks"))]);
    due.in(Infinity);
  }

  return {
    async refresh(signal) {
      if (settled || !due.now) return;
      const began = performance.now();
      const parameters = { limit: LIMIT, status: at.status, cursor: at.cursor };
      try {
        const page = await getJson("v1/tasks", { parameters, signal });
        show(page);
        const searched = page.tasks.length < LIMIT && page.next_cursor !== null;
        due.in(Math.max(searched ? SEARCH_PAUSE_MS : PAUSE_MS, BUSY_FACTOR * (performance.now() - began)));
      } catch (error) {
        if (!(error instanceof Refused && error.status === 400)) throw error;
        refuse(error.message); // an address that somebody has typed
      }
      section.removeAttribute("aria-busy");
    },

    /** Show the page that the address names; true where that is another one than before. */
    go(to) {
      const other = to.status !== at.status || to.cursor !== at.cursor;
      if (other) {
        if (to.status !== at.status || to.cursor === "") trail = [];
        const known = trail.indexOf(to.cursor);
        if (to.cursor !== "") trail = known < 0 ? [...trail, to.cursor] : trail.slice(0, known + 1);
        due = new Due();
        settled = false;
        section.setAttribute("aria-busy", "true");
      }
      at = to;
      document.querySelector("#status").value = at.status;
      rows.forEach((row, id) => row.mark(id === at.task));
      return other;
    },

    /** Give the focus to a task's link, where it is shown. */
    focus(id) {
      rows.get(id)?.link.focus();
    },
  };
}

/** A click anywhere in a row opens its task; one that ends a selection does not. */
function open(event) {
  const id = event.target.closest("tr")?.dataset.id;
  if (id && !event.target.closest("a") && getSelection().isCollapsed) place.go({ task: id });
}

class Row {
  constructor(id) {
    this.type = element("span", { class: "type" });
    this.link = element("a", { href: place.link({ task: id }) }, this.type, element("span", { class: "id" }, id));
    this.status = element("span", { class: "badge" });
    this.remark = element("span", { class: "remark" });
    this.bar = element("progress", { max: "1", "aria-label": "Progress" });
    this.fraction = element("span", { class: "fraction" });
    this.priority = cell("Priority", "number");
    this.tenant = cell("Tenant", "tenant");
    this.created = element("time");
    this.updated = element("time");
    this.node = element(
      "tr",
      { role: "row", "data-id": id },
      element("th", { role: "rowheader", scope: "row" }, this.link),
      cell("Status", null, this.status, " ", this.remark),
      cell("Progress", "progress", this.bar, " ", this.fraction),
      this.priority,
      this.tenant,
      cell("Created", null, this.created),
      cell("Updated", null, this.updated),
    );
  }

  show(task, open) {
    setText(this.type, task.type);
    setText(this.status, task.status);
    setAttribute(this.status, "data-status", task.status);
    setText(this.remark, remark(task));
    this.bar.hidden = task.progress === null;
    this.bar.value = task.progress?.fraction ?? 0;
    setText(this.fraction, task.progress === null ? "" : `${Math.floor(task.progress.fraction * 100)} %`);
    setAttribute(this.fraction, "title", task.progress?.message ?? null);
    setText(this.priority, String(task.priority));
    setText(this.tenant, task.tenant);
    setTime(this.created, task.created_at);
    setTime(this.updated, task.finished_at ?? task.started_at ?? task.created_at);
    this.mark(task.id === open);
  }

  mark(open) {
    setAttribute(this.node, "aria-current", open ? "true" : null);
    setAttribute(this.link, "href", place.link({ task: this.node.dataset.id }));
  }
}

function cell(label, kind, ...children) {
  return element("td", { role: "cell", "data-label": label, class: kind }, ...children);
}

/** What there is to say besides the status. */
function remark(task) {
  if (task.cancel_requested) return "asked to stop";
  if (FINAL.has(task.status)) return "";
  if (task.held_by !== null) return `waits for ${task.held_by}`;
  return task.attempt > 1 || (task.attempt === 1 && task.status !== "running")
    ? `attempt ${task.attempt} of ${task.max_attempts}`
    : "";
}
