// The little of Telegram that this page needs, without loading a script from elsewhere: colours that follow the app
// around it, "ready", a tap under the finger, sharing by inline mode, and leave for the bot to write.
// Source: https://docs.telegram-mini-apps.com/platform/methods and /platform/events

const inFrame = window.parent !== window;

export const inTelegram = inFrame || Boolean(window.TelegramWebviewProxy);

/** Takes over Telegram's colours as `--tg-theme-…`, now and whenever they change, and says that the page can be shown. */
export function moveIn() {
  const launch = new URLSearchParams(location.hash.slice(1));
  paint(parse(launch.get("tgWebAppThemeParams")));
  addEventListener("message", ({ source, data }) => {
    const { eventType, eventData } = (source === window.parent && parse(data)) || {};
    if (eventType === "theme_changed") paint(eventData?.theme_params);
  });
  tell("web_app_ready");
}

/** Lets the phone answer a press. */
export function tap() {
  tell("web_app_trigger_haptic_feedback", { type: "impact", impact_style: "light" });
}

/** Lets people choose a chat, where the bot's inline mode then offers what fits `query`. */
export function shareInline(query) {
  tell("web_app_switch_inline_query", { query, chat_types: ["users", "groups", "channels"] });
}

/** Asks for leave to write, if the bot has none: without it nobody hears that an event starts once the page is closed. */
export function askToWrite(initData) {
  if (!parse(new URLSearchParams(initData).get("user"))?.allows_write_to_pm) tell("web_app_request_write_access");
}

function tell(eventType, eventData = {}) {
  if (window.TelegramWebviewProxy) window.TelegramWebviewProxy.postEvent(eventType, JSON.stringify(eventData));
  else if (inFrame) window.parent.postMessage(JSON.stringify({ eventType, eventData }), "*"); // nothing secret in it
}

function paint(params) {
  const root = document.documentElement;
  for (const [name, color] of Object.entries(params ?? {})) {
    if (/^\w+$/.test(name) && /^#[0-9a-f]{6}$/i.test(color)) {
      root.style.setProperty(`--tg-theme-${name.replaceAll("_", "-")}`, color);
    }
  }
  if (params?.bg_color) root.style.colorScheme = isDark(params.bg_color) ? "dark" : "light";
}

function isDark(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return red * 0.299 + green * 0.587 + blue * 0.114 < 128;
}

function parse(text) {
  try {
    return typeof text === "string" ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
