// The API reference: OpenAPI Explorer over the server's own document, in the colours of /web.

const COLOURS = {
  light: {
    "bg-color": "#ffffff", "text-color": "#1a1d1f", "header-color": "#1a1d1f", "primary-color": "#0e6f66", "secondary-color": "#0e6f66",
    "nav-bg-color": "#f5f4f0", "nav-text-color": "#4a5054", "nav-hover-bg-color": "#e7f2f0", "nav-hover-text-color": "#0a5850",
  },
  dark: {
    "bg-color": "#191c1f", "text-color": "#e9eae8", "header-color": "#e9eae8", "primary-color": "#5fd0c0", "secondary-color": "#5fd0c0",
    "nav-bg-color": "#111315", "nav-text-color": "#b3b9bc", "nav-hover-bg-color": "#15292a", "nav-hover-text-color": "#86e0d3",
  },
};

const page = document.createElement("openapi-explorer");
const dark = matchMedia("(prefers-color-scheme: dark)");

function paint() {
  const chosen = localStorage.getItem("open-speech-theme");
  const theme = chosen in COLOURS ? chosen : dark.matches ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
  for (const [name, colour] of Object.entries(COLOURS[theme])) page.setAttribute(name, colour);
}

dark.addEventListener("change", paint);
paint();
page.setAttribute("spec-url", new URL("/openapi.json", location.href).href);
page.setAttribute("server-url", location.origin);
page.setAttribute("hide-server-selection", "");
page.setAttribute("use-path-in-nav-bar", "");
document.body.append(page);
