// Brings the page up to date: asks for it again, and replaces the parts marked data-live that changed.
// The server answers 304 while nothing changed, so an idle page costs next to nothing.
const PAUSE_MS = 3000;
const LONGEST_PAUSE_MS = 30000;
let tag = null;
let pause = PAUSE_MS;

function focusIn(part) {
  const focused = document.activeElement;
  return focused && part.contains(focused) ? focused.getAttribute("href") || focused.id : null;
}

function replace(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || next.outerHTML === part.outerHTML) continue;
    const focused = focusIn(part);
    const scrolled = part.querySelector(".scroll")?.scrollLeft ?? 0;
    part.replaceWith(document.adoptNode(next));
    const scroll = next.querySelector(".scroll");
    if (scroll) scroll.scrollLeft = scrolled;
    if (focused) [...next.querySelectorAll("a, [id]")].find((one) => one.getAttribute("href") === focused || one.id === focused)?.focus();
  }
}

function disconnected() {
  const connection = document.getElementById("connection");
  connection.className = "connection bad";
  connection.textContent = "No connection to the console";
  tag = null;
}

async function refresh() {
  const response = await fetch(location.pathname + location.search, {
    headers: tag ? { "If-None-Match": tag } : {},
    cache: "no-store",
    signal: AbortSignal.timeout(20000),
  });
  if (response.status === 304) return;
  if (response.redirected) return location.reload();
  if (!response.ok) throw new Error(String(response.status));
  replace(new DOMParser().parseFromString(await response.text(), "text/html"));
  tag = response.headers.get("ETag");
}

async function keepFresh() {
  if (!document.hidden) {
    try {
      await refresh();
      pause = PAUSE_MS;
    } catch {
      disconnected();
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  }
  setTimeout(keepFresh, pause);
}

for (const select of document.querySelectorAll(".filters select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
setTimeout(keepFresh, PAUSE_MS);
