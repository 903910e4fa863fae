// Follows the agent: asks for the page again and changes what has changed, so that nothing jumps and what is selected stays so.
// The words are made in one place, on the agent.
"use strict";
(() => {
  const interval = 2000;
  const timeout = 8000;
  const silent = document.getElementById("silent");
  let answered = new Date();

  const follow = (now, next) => {
    if (now.nodeName !== next.nodeName) {
      now.replaceWith(next);
      return;
    }
    if (now.nodeType === Node.TEXT_NODE) {
      if (now.data !== next.data) now.data = next.data;
      return;
    }
    for (const { name, value } of next.attributes) {
      if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    }
    const old = [...now.childNodes];
    const wanted = [...next.childNodes];
    wanted.forEach((child, i) => (i < old.length ? follow(old[i], child) : now.append(child)));
    old.slice(wanted.length).forEach((child) => child.remove());
  };

  const look = async () => {
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(timeout) });
      if (!answer.ok) throw new Error(`it answers ${answer.status}`);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (next.documentElement.dataset.version !== document.documentElement.dataset.version) {
        location.reload();
        return;
      }
      follow(document.querySelector("main"), next.querySelector("main"));
      document.title = next.title;
      answered = new Date();
      silent.hidden = true;
    } catch {
      silent.textContent = `The agent does not answer since ${answered.toLocaleTimeString()}: what is shown is of that time.`;
      silent.hidden = false;
    }
  };

  const tick = async () => {
    if (!document.hidden) await look();
    setTimeout(tick, interval);
  };
  document.addEventListener("visibilitychange", () => document.hidden || look());
  setTimeout(tick, interval);
})();
