// A question in; its answer, drawn section by section as it arrives, and its sources with the quoted passages, out.
// Whatever comes from documents or the model goes into the page as text, never as HTML.
"use strict";

const at = (id) => document.getElementById(id);
const make = (tag, text, attributes = {}) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};
const conversation = []; // messages, as the protocol has them
let count = 0; // answers on the page
let running = null; // the AbortController of the answer that is being written

// `code`, **bold** and [1] of one line of markdown.
function inline(line, parent, n) {
  for (const part of line.split(/(`[^`]+`|\*\*[^*]+\*\*|\[\d+\])/)) {
    if (/^`.+`$/.test(part)) parent.append(make("code", part.slice(1, -1)));
    else if (/^\*\*.+\*\*$/.test(part)) parent.append(make("strong", part.slice(2, -2)));
    else if (/^\[\d+\]$/.test(part)) {
      const number = part.slice(1, -1);
      parent.append(make("a", part, { href: `#source-${n}-${number}`, "aria-label": `source ${number}` }));
    } else if (part) parent.append(part);
  }
}

// Headings, lists, paragraphs and the quotes that explain terms: all that an answer consists of.
function markdown(text, parent, n) {
  parent.replaceChildren();
  let list = null;
  for (const line of text.split("\n")) {
    const item = line.match(/^\s*(?:[-*]|(\d+)[.)])\s+(.*)/);
    const kind = item ? (item[1] ? "OL" : "UL") : "";
    if (!item || (list && list.tagName !== kind)) list = null;
    if (line.startsWith("### ")) parent.append(make("h3", line.slice(4)));
    else if (item) {
      if (!list) parent.append((list = make(kind, "", kind === "OL" ? { start: item[1] } : {})));
      const entry = make("li");
      inline(item[2], entry, n);
      list.append(entry);
    } else if (line.trim()) {
      const aside = line.startsWith("> ");
      const paragraph = make("p", "", aside ? { class: "note", role: "note" } : {});
      inline(aside ? line.slice(2) : line, paragraph, n);
      parent.append(paragraph);
    }
  }
}

function place(source) {
  const where = source.page ? `page ${source.page}` : source.line ? `line ${source.line}` : "";
  return [source.document, source.heading, where].filter(Boolean).join(" › ");
}

function below(answer, parent, n) {
  if (answer.asked_as && answer.asked_as !== answer.question)
    parent.append(make("p", `Asked as: ${answer.asked_as}`, { class: "note" }));
  if (answer.findings.length)
    parent.append(make("p", "Check: not in the documents found, or not the shape asked for: "
      + answer.findings.map((finding) => finding.text).join(", "), { class: "wrong" }));
  if (answer.note) parent.append(make("p", answer.note, { class: "note" }));
  if (answer.sources.length) parent.append(make("h3", "Sources"));
  for (const source of answer.sources) {
    const details = make("details", "", { id: `source-${n}-${source.number}` });
    details.append(make("summary", `[${source.number}] ${place(source)}${source.cited ? "" : " (not cited)"}`));
    for (const hit of source.hits) details.append(make("blockquote", answer.hits[hit].text));
    parent.append(details);
  }
}

// The data of server-sent events, one by one.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let waiting = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (waiting + value).split("\n\n");
    waiting = lines.pop();
    for (const line of lines) if (line !== "data: [DONE]") yield JSON.parse(line.slice("data: ".length));
  }
}

async function refusal(response) {
  if (response.status === 401) at("secret").hidden = false;
  const said = await response.json().catch(() => ({}));
  const wait = response.headers.get("Retry-After");
  return new Error((said.error?.message ?? `status ${response.status}`) + (wait ? ` (in about ${wait} s)` : ""));
}

async function write(body, n) {
  const headers = { "Content-Type": "application/json" };
  if (at("token").value) headers.Authorization = `Bearer ${at("token").value}`;
  const sent = JSON.stringify({ messages: conversation, stream: true });
  const response = await fetch("v1/chat/completions", { method: "POST", headers, body: sent, signal: running.signal });
  if (!response.ok) throw await refusal(response);
  let text = "";
  for await (const chunk of events(response)) {
    if (chunk.error) throw new Error(chunk.error.message);
    text += chunk.choices[0]?.delta.content ?? "";
    markdown(text, body, n);
    if (chunk.copilot) return [text, chunk.copilot];
  }
  throw new Error("the answer broke off");
}

function busy(is) {
  at("ask").disabled = is;
  at("stop").hidden = !is;
  at("new").hidden = is || !conversation.length;
}

async function ask(question) {
  const n = ++count, article = make("article", "", { "aria-busy": "true" }), body = make("div");
  article.append(make("h2", question), body);
  at("answers").append(article);
  conversation.push({ role: "user", content: question });
  running = new AbortController();
  busy(true);
  at("status").textContent = "Writing the answer …";
  try {
    const [text, answer] = await write(body, n);
    conversation.push({ role: "assistant", content: text });
    below(answer, article, n);
    at("status").textContent = `Answered in ${answer.usage.seconds.toFixed(1)} s.`;
  } catch (error) {
    conversation.pop();
    const stopped = error.name === "AbortError";
    if (!stopped) article.append(make("p", `No answer: ${error.message}`, { class: "wrong" }));
    at("status").textContent = stopped ? "Stopped." : "No answer.";
    if (!stopped && !at("question").value) at("question").value = question;
  }
  article.removeAttribute("aria-busy");
  running = null;
  busy(false);
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = at("question").value.trim();
  if (!question || running) return;
  at("question").value = "";
  ask(question);
});
at("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("form").requestSubmit();
});
at("stop").addEventListener("click", () => running?.abort());
at("new").addEventListener("click", () => {
  conversation.length = 0;
  at("answers").replaceChildren();
  at("status").textContent = "";
  at("new").hidden = true;
  at("question").focus();
});
// A number in the text opens the source that it names.
addEventListener("hashchange", () => {
  const source = document.getElementById(location.hash.slice(1));
  if (source?.tagName === "DETAILS") source.open = true;
});
