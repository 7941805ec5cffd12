// A link such as /login#TOKEN signs in by itself: what stands behind # is never sent to a server or written to a log.
const token = decodeURIComponent(location.hash.slice(1));
if (token) {
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("token").value = token;
  document.getElementById("login").requestSubmit();
}
