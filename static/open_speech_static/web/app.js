// The page at /web: colours, status, lists, key, and the curl commands.

import { $, call, hasKey, keepKey } from "./server.js";
import { count, speechRequest } from "./speak.js";
import { recording } from "./transcribe.js";

const THEME = "open-speech-theme";
// OpenAI's names stand for the default of their kind, which the lists already offer as "Default".
const ALIAS = /^(whisper-1|tts-1(-hd)?|gpt-.*(transcribe|tts).*)$/;

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  for (const input of $("theme").querySelectorAll("input")) input.checked = input.value === theme;
}

paint(localStorage.getItem(THEME) ?? "auto");
$("theme").addEventListener("change", (event) => {
  localStorage.setItem(THEME, event.target.value);
  paint(event.target.value);
});

async function showHealth() {
  const state = await fetch("/health").then((r) => (r.ok ? r.json() : null)).catch(() => null);
  const loaded = state?.models_loaded ?? 0;
  $("health").dataset.state = state ? "ok" : "down";
  // Written only when it changed: a live region reads each change aloud.
  const ready = loaded ? `${loaded} model${loaded === 1 ? "" : "s"} loaded` : "ready";
  const text = state ? ready : "not reachable";
  if ($("health-text").textContent !== text) $("health-text").textContent = text;
}

function fill(select, items) {
  const chosen = select.value;
  const options = items.map(({ id, name }) => new Option(name ?? id, id));
  select.replaceChildren(select.options[0], ...options);
  if (items.some(({ id }) => id === chosen)) select.value = chosen;
}

async function showModels() {
  const { data } = await call("/v1/models").then((r) => r.json());
  const models = data.filter((m) => !ALIAS.test(m.id));
  fill($("stt-model"), models.filter((m) => m.kind === "transcriber"));
  fill($("tts-model"), models.filter((m) => m.kind === "synthesizer"));
}

async function showVoices() {
  const query = $("tts-model").selectedIndex ? `?model=${encodeURIComponent($("tts-model").value)}` : "";
  const { voices } = await call(`/v1/audio/voices${query}`).then((r) => r.json());
  fill($("voice"), voices.filter((v) => !v.alias));
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function showCurl() {
  const key = hasKey() ? ' -H "Authorization: Bearer $OS_API_KEY"' : "";
  const language = $("language").value.trim() ? ` -F language=${quote($("language").value.trim())}` : "";
  const speech = speechRequest();
  $("curl").textContent = [
    `curl ${location.origin}/v1/audio/transcriptions${key} \\`,
    `  -F file=@${quote(recording?.name ?? "speech.wav")} -F model=${quote($("stt-model").value)}${language} -F response_format=${$("stt-format").value}`,
    "",
    `curl ${location.origin}/v1/audio/speech${key} -H 'Content-Type: application/json' \\`,
    `  -d ${quote(JSON.stringify(speech))} -o speech.${speech.response_format}`,
  ].join("\n");
}

$("tts-model").addEventListener("change", () => showVoices().catch(() => {}));
document.addEventListener("input", showCurl);
document.addEventListener("change", showCurl);

async function showAll() {
  count();
  showCurl();
  await Promise.all([showHealth(), showModels(), showVoices()]);
}

$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey($("key-value").value);
  $("key-value").value = "";
  $("key").hidden = true;
  $("stt-error").hidden = $("tts-error").hidden = true;
  showAll().catch(() => {});
});
document.addEventListener("rest", showHealth);
setInterval(() => document.hidden || showHealth(), 15_000);
showAll().catch(() => {});
