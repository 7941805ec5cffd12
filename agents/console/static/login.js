// A link such as /login#TOKEN signs in by itself: what stands behind # is never sent to a server or written to a log.
const form = document.getElementById("login");
const token = decodeURIComponent(location.hash.slice(1));
if (token && form) {
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("token").value = token;
  form.requestSubmit();
}
