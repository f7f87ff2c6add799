/** Everything about one task. */

import { Due } from "./beat.js";
import { Refused, address, get } from "./client.js";
import { element, setText } from "./dom.js";
import { absolute, duration, time } from "./format.js";
import { pretty } from "./json.js";
import { FINAL } from "./tasks.js";

const PAUSE_MS = 1_900; // a beat has passed
const OWED = new Set(["waiting", "pending"]);

/** The task that the address names; `refresh` asks as long as something may change. */
export function details() {
  const section = document.querySelector("#details");
  const title = document.querySelector("#details-title");
  const body = document.querySelector("#task");
  let due = new Due();
  let id = "";
  let text = "";
  let shown = null;

  function show(answer) {
    if (answer === text) return;
    text = answer;
    shown = JSON.parse(answer);
    setText(title, shown.type);
    body.replaceChildren(...parts(shown, answer));
  }

  return {
    async refresh(signal) {
      if (id === "" || !due.now) return;
      try {
        show(await get(`v1/tasks/${encodeURIComponent(id)}`, { signal }));
        due.in(settled(shown) ? Infinity : PAUSE_MS);
      } catch (error) {
        if (!(error instanceof Refused && error.status === 404)) throw error;
        text = "";
        body.replaceChildren(element("p", {}, error.message));
        due.in(Infinity);
      }
    },

    /** Show this task, none for ""; true where that is another one than before. */
    go(to) {
      if (to === id) return false;
      id = to;
      text = "";
      shown = null;
      due = new Due();
      section.hidden = id === "";
      body.replaceChildren();
      setText(title, "Task");
      if (id !== "") {
        section.scrollTop = 0;
        title.focus({ preventScroll: true });
      }
      return true;
    },

    /** Hear of a task that is in the list: it may have begun again after its end. */
    hear(task) {
      if (task.id === id && shown && task.status !== shown.status) due = new Due();
    },
  };
}

function settled(task) {
  return FINAL.has(task.status) && !OWED.has(task.callback?.state);
}

function parts(task, text) {
  return [
    facts([
      ["Status", badge(task.status)],
      ["Id", element("code", {}, task.id)],
      ["Waits for", task.held_by],
      ["Asked to stop", task.cancel_requested ? "yes" : null],
      ["Progress", task.progress && progress(task.progress)],
      ["Priority", String(task.priority)],
      ["Tenant", task.tenant],
      ["Contract", task.contract],
      ["Attempt", `${task.attempt} of ${task.max_attempts}`],
      ["Continuations", task.continuations ? String(task.continuations) : null],
      ["Time limit", duration(task.timeout_seconds * 1_000)],
      ["Created", moment(task.created_at)],
      ["Not before", moment(task.run_at)],
      ["Expires", moment(task.expires_at)],
      ["Started", moment(task.started_at)],
      ["Finished", moment(task.finished_at)],
      ["Waited", task.timings.waited_ms === null ? null : duration(task.timings.waited_ms)],
      ["Ran", task.timings.ran_ms === null ? null : duration(task.timings.ran_ms)],
      ["Labels", list(Object.entries(task.labels).map(([key, value]) => `${key}: ${value}`))],
      ["Limits", list(task.throttle_keys)],
    ]),
    ...part("Error", task.error && failure(task.error)),
    ...part("Payload", json(task, text, "payload")),
    ...part("Result", task.status === "completed" ? json(task, text, "result") : null),
    ...part("Failed attempts", task.attempts.length ? attempts(task.attempts) : null),
    ...part("Callback", task.callback && callback(task.callback)),
    element("p", { class: "note" }, element("a", { href: address(`v1/tasks/${task.id}`) }, "All of it as JSON")),
  ];
}

function part(title, content) {
  return content === null ? [] : [element("h3", {}, title), content];
}

function facts(pairs) {
  const made = element("dl");
  for (const [name, value] of pairs) {
    if (value !== null) made.append(element("dt", {}, name), element("dd", {}, value));
  }
  return made;
}

function badge(status) {
  return element("span", { class: "badge", "data-status": status }, status);
}

function progress({ fraction, message }) {
  const bar = element("progress", { max: "1", value: String(fraction), "aria-label": "Progress" });
  return element("span", {}, bar, ` ${Math.floor(fraction * 100)} %`, message === null ? null : `, ${message}`);
}

function moment(text) {
  return text && element("span", {}, absolute(text), " (", time(text), ")");
}

function list(texts) {
  return texts.length ? element("ul", {}, ...texts.map((text) => element("li", {}, text))) : null;
}

function failure({ type, message }) {
  return element("p", { class: "failure" }, element("strong", {}, type), ": ", message);
}

function json(task, text, name) {
  const url = task[`${name}_url`];
  if (url !== null) {
    return element("p", {}, element("a", { href: address(url) }, `Too large to be shown here: the whole ${name}`));
  }
  const written = pretty(text, name);
  const whole = element("a", { href: address(`v1/tasks/${task.id}/${name}`) }, `the whole ${name}`);
  const rest = written.cut ? element("p", { class: "note" }, "That was the beginning: ", whole) : null;
  return element("div", {}, element("pre", { tabindex: "0" }, written.text), rest);
}

function attempts(all) {
  return table(
    ["Attempt", "Started", "Took", "Error"],
    all.map((one) => [
      String(one.number),
      time(one.started_at),
      duration(Date.parse(one.finished_at) - Date.parse(one.started_at)),
      `${one.error.type}: ${one.error.message}`,
    ]),
  );
}

function callback(one) {
  const tries = one.history.map((tried) => [
    String(tried.number),
    time(tried.started_at),
    duration(tried.duration_ms),
    [tried.status_code, tried.error].filter((said) => said !== null).join(" "),
  ]);
  const known = facts([
    ["State", badge(one.state)],
    ["To", one.url],
    ["Also tells", list(one.events)],
    ["Tries", String(one.tries)],
    ["Next try", moment(one.next_at)],
  ]);
  return element("div", {}, known, tries.length ? table(["Try", "Started", "Took", "Answer"], tries) : null);
}

function table(titles, rows) {
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((one) => element("td", {}, one))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}
