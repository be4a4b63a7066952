// The way to the server, and what both cards share. Plain browser code: no dependency, no build step.

export const $ = (id) => document.getElementById(id);
const KEY = "open-speech-key";

export async function call(path, options = {}) {
  const headers = new Headers(options.headers);
  if (hasKey()) headers.set("Authorization", `Bearer ${sessionStorage.getItem(KEY)}`);
  const response = await fetch(path, { ...options, headers }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it running?");
  });
  if (response.ok) return response;
  if (response.status === 401) askForKey();
  const body = await response.json().catch(() => ({}));
  throw new Error(body.error?.message ?? body.message ?? `The server answered ${response.status}.`);
}

export const hasKey = () => Boolean(sessionStorage.getItem(KEY));
export const keepKey = (key) => sessionStorage.setItem(KEY, key);

function askForKey() {
  $("key").hidden = false;
  $("key-label").textContent = hasKey() ? "That key was refused. Try another." : "This server wants an API key. It is kept until you close this tab.";
  $("key-value").focus();
}

/** Yield the JSON of each server-sent event. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const blocks = (rest + (value ?? "")).split(/\r?\n\r?\n/);
    rest = done ? "" : blocks.pop();
    for (const block of blocks) {
      const data = block.replace(/^data: ?/gm, "").trim();
      if (!data || data === "[DONE]") continue;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
    if (done) return;
  }
}

/** Run the work of one card: its button stops what runs, an error is shown as its message, "rest" says it is over. */
export function job(form, button, error, work) {
  const label = button.textContent;
  let running = null;
  return async () => {
    if (running) return running.abort();
    running = new AbortController();
    error.hidden = true;
    form.classList.add("busy");
    button.textContent = "Stop";
    try {
      await work(running.signal);
    } catch (failure) {
      if (failure.name !== "AbortError") {
        // A connection that breaks is a TypeError, whose text differs from browser to browser.
        error.textContent = failure instanceof TypeError ? "The connection broke off." : failure.message;
        error.hidden = false;
      }
    } finally {
      running = null;
      form.classList.remove("busy");
      button.textContent = label;
      form.dispatchEvent(new Event("rest", { bubbles: true }));
    }
  };
}

export const seconds = (value) => `${value.toFixed(value < 10 ? 2 : 1)} s`;
export const since = (start) => (performance.now() - start) / 1000;
