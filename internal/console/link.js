// Looks again and again how far the session is, until it is open. The server
// renders everything; this only puts its answer in place.
const form = document.querySelector("form");
let timer;

async function look(begin) {
  clearTimeout(timer);
  try {
    const answer = await fetch(location.href, {method: "POST", body: new URLSearchParams(begin ? {begin: "1"} : {})});
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("link").replaceWith(page.getElementById("link"));
  } catch { /* the next look may go better */ }
  const open = document.getElementById("link").dataset.state === "open";
  form.hidden = open;
  if (!open) timer = setTimeout(look, 2000);
}

form.addEventListener("submit", event => { event.preventDefault(); look(true); });
look(false);
