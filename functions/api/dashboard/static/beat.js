/** When what is asked again: while the page is seen, and the less often the worse it goes. */

const PAUSE_MS = 2_000;
const LONGEST_MS = 30_000;

/** When a part is to be asked for again; each part of the page has one. */
export class Due {
  #at = 0;

  /** Whether it is time. */
  get now() {
    return performance.now() >= this.#at;
  }

  /** Not before so many milliseconds have passed. */
  in(milliseconds) {
    this.#at = performance.now() + milliseconds;
  }
}

/**
 * Does `work` again and again while the page is seen: two seconds after it has ended, or, when it failed, after ever
 * longer pauses. `tell` hears "live", "paused", or "trouble" with the error. The answer is a function that has it done
 * at once.
 */
export function repeat(work, tell) {
  let timer, failures = 0, busy = false, again = false;

  async function beat() {
    clearTimeout(timer);
    if (document.hidden) {
      tell("paused");
      return;
    }
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      await work();
      failures = 0;
      tell("live");
    } catch (error) {
      if (error.name !== "AbortError") {
        failures += 1;
        tell("trouble", error);
      }
    }
    busy = false;
    timer = setTimeout(beat, again ? 0 : pause(failures));
    again = false;
  }

  document.addEventListener("visibilitychange", beat);
  window.addEventListener("online", beat);
  return beat;
}

function pause(failures) {
  if (failures === 0) return PAUSE_MS;
  const longest = Math.min(LONGEST_MS, PAUSE_MS * 2 ** failures);
  return longest * (0.75 + Math.random() / 4); // many pages must not come back at once
}
