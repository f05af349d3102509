// How many pixels were painted in each of the last minutes, as bars.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 24;
const number = new Intl.NumberFormat("en");

export function drawChart(svg, minutes) {
  svg.setAttribute("viewBox", `0 0 ${minutes.length * 3} ${HEIGHT}`);
  while (svg.childElementCount < minutes.length) svg.append(document.createElementNS(SVG, "rect"));
  const most = Math.max(...minutes, 1);
  minutes.forEach((count, index) => {
    const tall = count ? Math.max(2, (count / most) * HEIGHT) : 1;
    const bar = svg.children[index];
    Object.entries({ x: index * 3, y: HEIGHT - tall, width: 2, height: tall, rx: 0.8 }).forEach((pair) => bar.setAttribute(...pair));
    bar.classList.toggle("none", !count);
  });
  svg.setAttribute("aria-label", `Painted in each of the last ${minutes.length} minutes, at most ${number.format(most)}`);
}
