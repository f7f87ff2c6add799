/** Times and numbers as people read them. */

import { now } from "./client.js";
import { element, setText } from "./dom.js";

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
];
const RENEW_MS = 1_000;

/** A count, with its thousands apart. */
export function count(number) {
  return number.toLocaleString("en");
}

/** Milliseconds, roughly. */
export function duration(milliseconds) {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  return whole(seconds);
}

/** A point in time that says how long ago it was, with the time itself as its title; goes on by itself. */
export function time(text) {
  const made = element("time");
  setTime(made, text);
  return made;
}

/** Let a time be another one; null: none. */
export function setTime(node, text) {
  if (node.dateTime === (text ?? "")) return;
  node.dateTime = text ?? "";
  node.title = text === null ? "" : absolute(text);
  renew(node);
}

/** The time itself, to the millisecond. */
export function absolute(text) {
  return `${new Date(text).toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

function renew(node) {
  setText(node, node.dateTime === "" ? "" : distance(Date.parse(node.dateTime) - now()));
}

function distance(milliseconds) {
  const seconds = Math.abs(milliseconds) / 1_000;
  if (seconds < 1) return "now";
  return milliseconds > 0 ? `in ${whole(seconds)}` : `${whole(seconds)} ago`;
}

function whole(seconds) {
  for (const [size, unit] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

setInterval(() => {
  if (!document.hidden) document.querySelectorAll("time").forEach(renew);
}, RENEW_MS);
