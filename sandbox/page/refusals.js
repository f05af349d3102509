// What a phone of Telegram has and this one has not: each question gets the answer that says so.
// Source: https://docs.telegram-mini-apps.com/platform/methods

const UNSUPPORTED = { error: "UNSUPPORTED" };
const NO_MARGIN = { top: 0, bottom: 0, left: 0, right: 0 };

const ANSWERS = {
  web_app_biometry_get_info: ["biometry_info_received", { available: false }],
  web_app_start_accelerometer: ["accelerometer_failed", UNSUPPORTED],
  web_app_start_gyroscope: ["gyroscope_failed", UNSUPPORTED],
  web_app_start_device_orientation: ["device_orientation_failed", UNSUPPORTED],
  web_app_request_safe_area: ["safe_area_changed", NO_MARGIN],
  web_app_request_content_safe_area: ["content_safe_area_changed", NO_MARGIN],
};

/** @param {(event: string, data: object) => void} post */
export function refusals(post) {
  return Object.fromEntries(Object.entries(ANSWERS).map(([question, answer]) => [question, () => post(...answer)]));
}
