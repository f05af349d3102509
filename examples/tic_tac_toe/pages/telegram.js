// The little of Telegram that this page needs, without loading a script from elsewhere: colours, the back button,
// the tap under the finger, sharing.
// Source: https://docs.telegram-mini-apps.com/platform/methods and /platform/events

const launch = new URLSearchParams(location.hash.slice(1));
const inFrame = window.parent !== window;
const listeners = new Map();

/** Whether there is a Telegram around this page. */
export const inTelegram = Boolean(window.TelegramWebviewProxy) || inFrame;

/** Takes over Telegram's colours as `--tg-theme-…`, now and whenever they change, and says that the page can be shown. */
export function moveIn() {
  paint(parse(launch.get("tgWebAppThemeParams")));
  hear("theme_changed", ({ theme_params }) => paint(theme_params));
  addEventListener("message", ({ source, data }) => source === window.parent && receive(parse(data)));
  // Where there is no frame around it, Telegram calls this.
  window.Telegram ??= {};
  window.Telegram.WebView ??= { receiveEvent: (eventType, eventData) => receive({ eventType, eventData }) };
  tell("web_app_ready");
  tell("web_app_expand"); // a board wants the whole screen
}

/** Lets the phone answer: `light` for a press, `success` and `error` for an outcome. */
export function tap(kind = "light") {
  const how = kind === "light" ? { type: "impact", impact_style: kind } : { type: "notification", notification_type: kind };
  tell("web_app_trigger_haptic_feedback", how);
}

/** Calls `go` when Telegram's back button is pressed. */
export const onBack = (go) => hear("back_button_pressed", go);

export const showBack = (is_visible) => tell("web_app_setup_back_button", { is_visible });

/** Whether this Telegram can share a message that the bot prepared. */
export const sharesMessages = inTelegram && parseFloat(launch.get("tgWebAppVersion")) >= 8;

export const shareMessage = (id) => tell("web_app_send_prepared_message", { id });

/** Lets people choose a chat to send a link to. */
export function shareLink(url, text) {
  tell("web_app_open_tg_link", { path_full: `/share/url?${new URLSearchParams({ url, text })}` });
}

/** Whether the bot may not write to this person yet, and Telegram can ask them to let it. */
export function mayAskToWrite() {
  const user = parse(new URLSearchParams(launch.get("tgWebAppData")).get("user"));
  return inTelegram && !user?.allows_write_to_pm;
}

/** Asks them; calls `allowed` if they let it. */
export function askToWrite(allowed) {
  hear("write_access_requested", ({ status }) => status === "allowed" && allowed());
  tell("web_app_request_write_access");
}

function hear(eventType, listener) {
  listeners.set(eventType, listener);
}

function receive(message) {
  if (message) listeners.get(message.eventType)?.(message.eventData ?? {});
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
