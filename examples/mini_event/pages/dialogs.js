// What admins fill in and confirm.

import { troubleOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const HOUR = 3_600_000;

/** Lets somebody describe an event; `create(fields, picture)` does it, and what it throws is shown in the form. */
export function newEventDialog(create) {
  const dialog = $("new-event");
  const form = dialog.querySelector("form");
  let shown; // the preview's address

  const preview = () => {
    if (shown) URL.revokeObjectURL(shown);
    const [file] = form.elements.image.files;
    shown = file && URL.createObjectURL(file);
    $("preview").hidden = !file;
    if (file) $("preview").src = shown;
  };
  form.elements.image.addEventListener("change", preview);
  $("preview").addEventListener("error", () => fail({ message: "This file is no picture that can be shown." }));
  $("cancel").addEventListener("click", () => dialog.close());

  const fail = (error) => ($("form-error").textContent = troubleOf(error));

  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    const { title, description, start, duration, image } = form.elements;
    const wrong = [title, start, duration].find((input) => !input.checkValidity());
    if (wrong) {
      fail({ message: wrong === title ? "Give it a title." : wrong === start ? "When does it start?" : "How many hours does it take?" });
      return wrong.focus();
    }
    $("create").disabled = true;
    $("create").textContent = image.files.length ? "Sending…" : "Creating…";
    fail({ message: "" });
    try {
      const fields = { title: title.value, description: description.value, start: new Date(start.value).toISOString(), duration: Number(duration.value) };
      await create(fields, image.files[0]);
      dialog.close();
    } catch (error) {
      fail(error);
    } finally {
      $("create").disabled = false;
      $("create").textContent = "Create";
    }
  });

  return () => {
    form.reset();
    preview();
    fail({ message: "" });
    form.elements.start.value = localTime(Math.ceil(Date.now() / HOUR) * HOUR + HOUR);
    dialog.showModal();
    form.elements.title.focus();
  };
}

/** Asks whether an event shall go; resolves to true for yes. */
export function confirmDelete({ title, attendees }) {
  const dialog = $("confirm");
  const people = attendees === 1 ? "1 person" : `${attendees} people`;
  $("confirm-text").textContent = `Delete “${title}”? ${attendees ? `${people} wanted to come.` : ""}`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true }));
}

/** The form of `<input type=datetime-local>`. */
function localTime(ms) {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
