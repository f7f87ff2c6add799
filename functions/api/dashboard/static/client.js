/** Every request of the page: what each of them has to carry, such as a key, has its place here. */

const BASE = new URL("../../", import.meta.url); // of the API: the page may lie under a path of somebody else's
const PATIENCE_MS = 20_000;
const SKEW_MS = 5_000; // what is less comes from the Date header's seconds, and from the way

let skew = 0;

/** No answer came. */
export class Unreachable extends Error {}

/** The API answered, but not with what was asked for; `message` is its problem's own. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The time by the API's clock, in milliseconds, as far as it told. */
export function now() {
  return Date.now() + skew;
}

/** The whole address of a path of the API. */
export function address(path, parameters = {}) {
  const url = new URL(path.replace(/^\/+/, ""), BASE);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "") url.searchParams.set(name, value);
  }
  return url.href;
}

/** What is there, as text. Throws Unreachable, Refused, or an AbortError once `signal` says so. */
export async function get(path, { parameters, signal }) {
  let answer, text;
  try {
    answer = await fetch(address(path, parameters), {
      cache: "no-cache", // the browser keeps it, and asks with its ETag whether it is still the same
      headers: { Accept: "application/json" },
      redirect: "error",
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
    text = await answer.text();
  } catch (error) {
    signal.throwIfAborted();
    throw new Unreachable("The API cannot be reached.", { cause: error });
  }
  compareClocks(answer.headers.get("date"));
  if (!answer.ok) throw new Refused(answer.status, reason(answer.status, text));
  if (!answer.headers.get("content-type")?.includes("json")) {
    throw new Refused(answer.status, "Somebody else answers in the API's place.");
  }
  return text;
}

/** The same as a JSON value. */
export async function getJson(path, options) {
  return JSON.parse(await get(path, options));
}

function compareClocks(date) {
  const difference = Date.parse(date) - Date.now();
  skew = Math.abs(difference) > SKEW_MS ? difference : 0;
}

function reason(status, text) {
  try {
    const { title, detail } = JSON.parse(text);
    if (title) return `${title} (${status}): ${detail}`;
  } catch {
    // whoever stands before the API answered in words of its own
  }
  return `The API answers ${status}.`;
}
