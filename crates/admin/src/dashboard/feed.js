// What the node says, asked for every two seconds and whenever its event stream tells of a change; and whether it says anything at all.

const EVERY = 2000;
const PATIENCE = 8000;
const LONGEST_PAUSE = 10000;
const KEPT = 900;

export class Feed {
  #listener;
  #timer;
  #asking = false;
  #again = false;
  #failures = 0;
  #samples = [];
  #stream;

  /// `listener` has `told(state)`, `live()` and `lost(why, retryAt)`.
  constructor(listener) {
    this.#listener = listener;
    document.addEventListener("visibilitychange", () => document.hidden || this.#soon(0));
    window.addEventListener("online", () => this.#soon(0));
  }

  start() {
    this.#soon(0);
  }

  #soon(after) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), after);
  }

  async #ask() {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    let pause = EVERY;
    try {
      const since = this.#samples.at(-1)?.at_ms ?? 0;
      const [status, topology, convergence, sessions, history] = await Promise.all(
        ["status", "topology", "convergence", "sessions", `history?since=${since}`].map((path) => get(`/v1/${path}`)));
      this.#samples = [...this.#samples, ...history.samples].slice(-KEPT);
      this.#failures = 0;
      this.#listener.live();
      this.#listener.told({ status, topology, convergence, sessions: sessions.sessions, samples: this.#samples });
      this.#follow();
    } catch (error) {
      this.#failures += 1;
      pause = Math.min(LONGEST_PAUSE, 500 * 2 ** this.#failures);
      this.#stream?.close();
      this.#stream = undefined;
      this.#listener.lost(error, Date.now() + pause);
    }
    this.#asking = false;
    if (this.#again) {
      this.#again = false;
      pause = Math.min(pause, 200);
    }
    this.#soon(document.hidden ? EVERY * 5 : pause);
  }

  /// Changes of the members are asked for as they happen. Without the stream, for which there may be no place, the page is two seconds late.
  #follow() {
    if (this.#stream && this.#stream.readyState !== EventSource.CLOSED) return;
    this.#stream = new EventSource("/v1/events");
    for (const name of ["change", "missed"]) this.#stream.addEventListener(name, () => this.#soon(100));
    // The next question finds out whether the node is there.
    this.#stream.onerror = () => this.#soon(0);
  }
}

export async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
  return answer.json();
}
