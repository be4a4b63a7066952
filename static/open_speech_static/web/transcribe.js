// The card that turns a recording into text.

import { $, call, events, job, seconds, since } from "./server.js";

const EXTENSIONS = { text: "txt", srt: "srt", vtt: "vtt", verbose_json: "json" };

export let recording = null;
let transcript = { text: "", extension: "txt" };

function choose(file) {
  if (!file) return;
  recording = file;
  URL.revokeObjectURL($("heard").src);
  $("heard").src = URL.createObjectURL(file);
  $("heard").hidden = false;
  $("drop").classList.add("small");
  $("file-name").textContent = file.name;
  $("file-note").textContent = `${(file.size / 1e6).toFixed(file.size < 1e6 ? 2 : 1)} MB · drop another to replace it`;
  $("stt-go").disabled = false;
  if ($("transcribe").classList.contains("busy")) $("transcribe").addEventListener("rest", transcribe, { once: true });
  transcribe();
}

function transcription(format) {
  const form = new FormData();
  form.set("model", $("stt-model").value);
  form.set("response_format", format);
  if ($("language").value.trim()) form.set("language", $("language").value.trim());
  if (format === "text") form.set("stream", "true");
  form.set("file", recording, recording.name);
  return form;
}

function showTranscript(text, format) {
  transcript = { text, extension: EXTENSIONS[format] };
  $("transcript").textContent = text;
  $("transcript").classList.toggle("code", format !== "text");
  $("copy").disabled = $("save").disabled = !text;
}

const transcribe = job($("transcribe"), $("stt-go"), $("stt-error"), async (signal) => {
  const format = $("stt-format").value;
  const start = performance.now();
  showTranscript("", format);
  $("stt-note").textContent = "";
  const body = transcription(format);
  const response = await call("/v1/audio/transcriptions", { method: "POST", body, signal });
  if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
    for await (const event of events(response)) {
      if (event.type === "transcript.text.delta") showTranscript((transcript.text + event.delta).trimStart(), format);
      if (event.type === "transcript.text.done") showTranscript(event.text.trim(), format);
    }
  } else {
    const text = await response.text();
    showTranscript(format === "verbose_json" ? JSON.stringify(JSON.parse(text), null, 2) : text.trim(), format);
  }
  const took = since(start);
  const length = $("heard").duration;
  const timed = `${seconds(length)} of audio in ${seconds(took)}, ${(length / took).toFixed(1)} times as fast as it was spoken.`;
  const note = Number.isFinite(length) ? timed : `Took ${seconds(took)}.`;
  $("stt-note").textContent = transcript.text ? note : `No speech found. ${note}`;
});

$("transcribe").addEventListener("submit", (event) => {
  event.preventDefault();
  transcribe();
});
$("file").addEventListener("change", () => choose($("file").files[0]));
$("copy").addEventListener("click", async () => {
  // Over plain HTTP from another machine a browser offers no clipboard: then select, for the person to copy.
  const copied = await navigator.clipboard?.writeText(transcript.text).then(() => true, () => false);
  if (!copied) getSelection().selectAllChildren($("transcript"));
  $("copy").textContent = copied ? "Copied" : "Selected";
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
});
$("save").addEventListener("click", () => {
  const name = recording.name.replace(/\.[^.]*$/, "") || "transcript";
  save(new Blob([transcript.text, "\n"], { type: "text/plain" }), `${name}.${transcript.extension}`);
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  choose(event.dataTransfer.files[0]);
});

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
