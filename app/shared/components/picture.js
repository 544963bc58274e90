// A picture that says what is under the pointer and reports clicks and strokes in pixels of the image.
// Text from people is set by textContent only. `data` is what picture.py passes.
const kept = new WeakMap() // what lasts from one run of the script to the next, by place on the page
const STEP_PX = 4, MOST_POINTS = 200

export default function ({ data, parentElement, setTriggerValue }) {
  const [stage, image, ink, cross, tip, spoken] =
    ["stage", "image", "ink", "cross", "tip", "spoken"].map((name) => parentElement.querySelector(`.${name}`))
  const own = kept.get(parentElement) ?? { cursor: null, stroke: null }
  kept.set(parentElement, own)
  if (own.stamp !== data.stamp) { // a new picture: the old stroke belongs to the old one
    image.src = `data:image/webp;base64,${data.webp}`
    ink.setAttribute("points", "")
  }
  if (own.image !== data.image) {
    own.cursor = null
    cross.hidden = true
  }
  Object.assign(own, { stamp: data.stamp, image: data.image })
  image.alt = data.alt
  stage.style.aspectRatio = `${data.width} / ${data.height}`
  stage.setAttribute("aria-label", data.help)
  const labels = Uint8Array.from(atob(data.labels), (sign) => sign.charCodeAt(0)) // two bytes a label

  const place = (event) => {
    const box = image.getBoundingClientRect()
    const part = (at, size) => Math.min(Math.max(at / size, 0), 0.999999)
    return [part(event.clientX - box.left, box.width) * data.width, part(event.clientY - box.top, box.height) * data.height]
  }
  const title = ([x, y]) => {
    const row = Math.floor((y / data.height) * data.rows), column = Math.floor((x / data.width) * data.columns)
    const at = 2 * (row * data.columns + column)
    const name = data.titles[labels[at] + 256 * labels[at + 1]] ?? ""
    return data.name && name ? `${name} → ${data.name}` : name
  }
  const point_at = (element, [x, y]) => {
    element.style.left = `${(100 * x) / data.width}%`
    element.style.top = `${(100 * y) / data.height}%`
  }
  const say = (at) => {
    own.at = at
    tip.textContent = title(at)
    tip.hidden = !tip.textContent
    tip.classList.toggle("left", at[0] > 0.7 * data.width)
    point_at(tip, at)
  }
  if (!tip.hidden && own.at) say(own.at) // its name may be another one now
  const draw = () => ink.setAttribute("points", own.stroke.map(([x, y]) => `${(1000 * x) / data.width},${(1000 * y) / data.height}`).join(" "))
  const report = (points) =>
    setTriggerValue("stroke", { image: data.image, points: points.map((at) => at.map(Math.floor)) })

  stage.onpointerdown = (event) => {
    if (event.button !== 0) return
    event.preventDefault() // the arrow keys go on turning pages
    stage.setPointerCapture(event.pointerId)
    own.stroke = [place(event)]
    point_at(cross, own.stroke[0])
    cross.hidden = false
    draw()
  }
  stage.onpointermove = (event) => {
    say(place(event))
    const last = own.stroke?.at(-1), now = place(event)
    if (!last || !data.name || own.stroke.length >= MOST_POINTS) return
    const scale = image.getBoundingClientRect().width / data.width
    if (Math.hypot(now[0] - last[0], now[1] - last[1]) * scale < STEP_PX) return
    own.stroke.push(now)
    draw()
  }
  stage.onpointerup = () => {
    if (own.stroke) report(own.stroke)
    own.stroke = null
  }
  stage.onpointercancel = () => { own.stroke = null }
  stage.onpointerleave = () => { tip.hidden = true }
  stage.onblur = () => { tip.hidden = true }

  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
  stage.onkeydown = (event) => {
    const way = ways[event.key], step = data.width * (event.shiftKey ? 0.005 : 0.03)
    const start = own.cursor ?? [data.width / 2, data.height / 2]
    if (way) {
      own.cursor = [0, 1].map((i) => Math.min(Math.max(start[i] + way[i] * step, 0), [data.width, data.height][i] - 0.001))
      cross.hidden = false
      point_at(cross, own.cursor)
      say(own.cursor)
      spoken.textContent = tip.textContent
    } else if (event.key === "Enter" || event.key === " ") {
      report([start])
    } else if (event.key === "Escape") {
      Object.assign(own, { cursor: null })
      tip.hidden = cross.hidden = true
    } else return
    event.preventDefault()
    event.stopPropagation()
  }
}
