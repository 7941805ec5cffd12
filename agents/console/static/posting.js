// Tells how posting stands: what is still to be posted, when that will be done, and what a person has paused.
const ASK_AGAIN_MS = 15000;
const number = new Intl.NumberFormat("en");
const time = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

function amount(posting) {
  if (!posting.backlog) return "Nothing waits to be posted.";
  const waiting = posting.waiting ? `, ${number.format(posting.waiting)} of them wait for another try or for their turn` : "";
  const first = `Vouchers still to be posted: ${number.format(posting.backlog)}${waiting}.`;
  if (!posting.clearAt) return `${first} Nothing is posted until a person lets posting go on.`;
  const learnt = posting.requestsPerMinute < posting.configuredPerMinute ? ", which is as many as IFS takes now" : "";
  const limit = `${number.format(posting.requestsPerMinute)} requests a minute${learnt}`;
  const reached = `${number.format(posting.reachedPerMinute)} requests a minute, for IFS answers slowly`;
  const held = posting.held ? ` Not counted: ${number.format(posting.held)} of companies that are paused.` : "";
  return `${first} Done at about ${time.format(new Date(posting.clearAt))} UTC, at ${posting.ifsIsSlow ? reached : limit}, if nothing new comes.${held}`;
}

function pause(one) {
  const item = document.createElement("li");
  const company = one.company === "*" ? "every company" : `company ${one.company}`;
  item.textContent = `Paused for ${company} by ${one.actor} since ${time.format(new Date(one.at))} UTC: ${one.reason}`;
  return item;
}

async function showPosting() {
  const section = document.getElementById("posting");
  if (section && !document.hidden) {
    try {
      const response = await fetch("/api/posting", { cache: "no-store", signal: AbortSignal.timeout(12000) });
      if (!response.ok) throw new Error(String(response.status));
      const posting = await response.json();
      section.querySelector(".count").textContent = number.format(posting.backlog);
      section.querySelector(".hint").textContent = amount(posting);
      section.querySelector(".pauses").replaceChildren(...posting.paused.map(pause));
      section.hidden = false;
    } catch {
      section.hidden = true; // an old figure would be worse than none; the header tells whether there is a connection
    }
  }
  setTimeout(showPosting, ASK_AGAIN_MS);
}

showPosting();
