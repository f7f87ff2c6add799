/** What the page shows, as its address says after the #: a status, a page of the list, a task. */

/** The place that the address names. */
export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(["status", "cursor", "task"].map((name) => [name, given.get(name) ?? ""]));
}

/** The address of this place, but for what `changes` says. */
export function link(changes) {
  const named = Object.entries({ ...read(), ...changes }).filter(([, value]) => value !== "");
  return `#${new URLSearchParams(named)}`;
}

/** Go there; the browser's own "back" leads back. */
export function go(changes) {
  location.hash = link(changes);
}
