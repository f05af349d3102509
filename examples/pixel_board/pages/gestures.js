// Fingers, mouse and wheel on the board become panning, zooming and taps.

const SLOP = 8; // CSS pixels a finger may move and still tap

/** `on` has pan(x, y), zoom(factor, x, y), tap(x, y), hover(x, y) and leave(); x and y are within the canvas. */
export function listen(canvas, on) {
  const fingers = new Map();
  let start = null; // of what may become a tap

  const point = ({ clientX, clientY }) => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, point(event));
    start = fingers.size === 1 ? point(event) : null;
  });

  canvas.addEventListener("pointermove", (event) => {
    const now = point(event);
    const before = fingers.get(event.pointerId);
    if (!before) return event.pointerType === "mouse" && on.hover(now.x, now.y);
    if (start && Math.hypot(now.x - start.x, now.y - start.y) <= SLOP) return;
    start = null;
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, other]) => other);
    fingers.set(event.pointerId, now);
    if (others.length) pinch(others[0], before, now);
    else on.pan(now.x - before.x, now.y - before.y);
  });

  /** One finger moved while another stayed: the middle between them moves half as far. */
  function pinch(other, before, now) {
    const apart = (finger) => Math.max(1, Math.hypot(finger.x - other.x, finger.y - other.y));
    on.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    on.zoom(apart(now) / apart(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  canvas.addEventListener("pointerup", (event) => {
    if (fingers.delete(event.pointerId) && start) on.tap(start.x, start.y);
    start = null;
  });
  canvas.addEventListener("pointercancel", (event) => {
    fingers.delete(event.pointerId);
    start = null;
  });
  canvas.addEventListener("pointerleave", () => on.leave());

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { x, y } = point(event);
    const lines = event.deltaMode ? 16 : 1;
    on.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0018)), x, y); // a trackpad's pinch comes with Ctrl
  }, { passive: false });
}
