/** JSON as it was sent: numbers keep the digits that JavaScript's would lose. */

const LONGEST = 100_000; // characters; a browser would be busy with more for seconds

/** A member of a JSON object's text, written with indents; `cut` where that is only the beginning. */
export function pretty(text, member) {
  const value = parse(text)[member];
  const written = JSON.stringify(value, null, 2);
  return { text: written.slice(0, LONGEST), cut: written.length > LONGEST };
}

function parse(text) {
  if (!JSON.rawJSON) return JSON.parse(text); // a browser of before 2025
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context.source !== String(value) ? JSON.rawJSON(context.source) : value,
  );
}
