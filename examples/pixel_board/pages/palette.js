// The colours to paint with: radio buttons, so that keyboards and screen readers know what to do.

export function makePalette(fieldset, colours, choose) {
  const buttons = colours.map(([name, colour], index) => {
    const label = document.createElement("label");
    const button = Object.assign(document.createElement("input"), { type: "radio", name: "colour", value: index });
    button.setAttribute("aria-label", index ? name : "paper, which takes a pixel away");
    button.addEventListener("change", () => pick(index));
    label.title = index ? name : "take a pixel away";
    if (index) label.style.setProperty("--colour", colour);
    label.append(button);
    fieldset.append(label);
    return button;
  });

  const made = {
    colour: 0,
    of: (index) => ({ name: colours[index][0], colour: index ? colours[index][1] : "var(--paper)" }),
    step: (by) => pick((made.colour + by + colours.length) % colours.length),
  };

  function pick(index) {
    made.colour = index;
    buttons[index].checked = true;
    choose(index);
  }

  pick(colours.findIndex(([name]) => name === "red"));
  return made;
}
