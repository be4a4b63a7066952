// The card that turns a text into sound.

import { $, call, job, seconds, since } from "./server.js";

const MEDIA_TYPES = { mp3: "audio/mpeg", opus: "audio/ogg", aac: "audio/aac", flac: "audio/flac", wav: "audio/wav" };

let speech = null;

/** Feed a player as bytes arrive, where the browser can play a format in pieces; else do nothing. */
async function openPlayer(audio, type) {
  if (!globalThis.MediaSource?.isTypeSupported(type)) return null;
  const source = new MediaSource();
  const opened = new Promise((resolve) => source.addEventListener("sourceopen", resolve, { once: true }));
  audio.src = URL.createObjectURL(source);
  await opened;
  return { source, buffer: source.addSourceBuffer(type) };
}

function append({ buffer }, bytes) {
  return new Promise((resolve, reject) => {
    buffer.onupdateend = resolve;
    buffer.onerror = reject;
    buffer.appendBuffer(bytes);
  });
}

/** Write the true sizes into a WAV that was streamed before its length was known. */
async function mendWav(blob) {
  const head = new DataView(await blob.slice(0, 44).arrayBuffer());
  if (head.byteLength < 44 || head.getUint32(36) !== 0x64617461) return blob;
  head.setUint32(4, blob.size - 8, true);
  head.setUint32(40, blob.size - 44, true);
  return new Blob([head, blob.slice(44)], { type: blob.type });
}

async function receive(response, format) {
  const audio = $("spoken");
  const type = MEDIA_TYPES[format];
  let player = await openPlayer(audio, type);
  const parts = [];
  const reader = response.body.getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    parts.push(step.value);
    if (!player) continue;
    if (parts.length === 1) audio.play().catch(() => {});
    await append(player, step.value).catch(() => (player = null));
  }
  if (player?.source.readyState === "open") player.source.endOfStream();
  const blob = new Blob(parts, { type });
  return { blob: format === "wav" ? await mendWav(blob) : blob, played: Boolean(player) };
}

const say = job($("speak"), $("tts-go"), $("tts-error"), async (signal) => {
  const audio = $("spoken");
  const format = $("tts-format").value;
  const start = performance.now();
  let first = null;
  let took = null;
  const note = () => {
    const heard = first === null ? "" : `First sound after ${seconds(first)}. `;
    const made = took === null ? "" : `All of it after ${seconds(took)}.`;
    $("tts-note").textContent = heard + made;
  };
  audio.pause();
  audio.hidden = false;
  audio.onplaying = () => {
    first ??= since(start);
    note();
  };
  note();
  showDownload(null);
  signal.addEventListener("abort", () => audio.pause());
  const response = await call("/v1/audio/speech", {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(speechRequest()),
  });
  const { blob, played } = await receive(response, format);
  took = since(start);
  showDownload(blob, `speech.${format}`);
  note();
  if (!played) {
    audio.src = $("download").href;
    await audio.play().catch(() => {});
  }
});

export function speechRequest() {
  return {
    model: $("tts-model").value,
    input: $("text").value,
    voice: $("voice").value,
    response_format: $("tts-format").value,
    speed: Number($("speed").value),
  };
}

function showDownload(blob, name) {
  const link = $("download");
  if (speech) URL.revokeObjectURL(speech);
  speech = blob && URL.createObjectURL(blob);
  link.toggleAttribute("href", Boolean(speech));
  if (speech) Object.assign(link, { href: speech, download: name });
  link.setAttribute("aria-disabled", String(!speech));
}

export function count() {
  $("count").textContent = `${$("text").value.length} of ${$("text").maxLength}`;
}

$("speak").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
});
$("text").addEventListener("input", count);
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("speak").requestSubmit();
});
$("speed").addEventListener("input", () => {
  $("speed-value").textContent = `${Number($("speed").value).toFixed(2)}×`;
});
