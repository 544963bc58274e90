// A picture that says what is under the pointer and reports clicks and strokes in pixels of the image. Of a large image
// it shows a part, the view, and reports where a person zooms or moves to. Text from people is set by textContent only.
// `data` is what picture.py passes.
const kept = new WeakMap() // what lasts from one run of the script to the next, by place on the page
const STEP_PX = 4, MOST_POINTS = 200, ZOOM_STEP = 1.25, SETTLE_MS = 160

export default function ({ data, parentElement, setTriggerValue }) {
  const [stage, image, ink, cross, tip, spoken, navigator, overview, box] =
    ["stage", "image", "ink", "cross", "tip", "spoken", "navigator", "overview", "box"].map((name) => parentElement.querySelector(`.${name}`))
  const own = kept.get(parentElement) ?? { cursor: null, stroke: null, wanted: null }
  kept.set(parentElement, own)
  const full = data.width, aspect = data.height / data.width
  const shown = { left: data.view[0], top: data.view[1], width: data.view[2], height: data.view[3] }
  if (own.image !== data.image) {
    Object.assign(own, { cursor: null, wanted: null })
    cross.hidden = true
  }
  if (own.wanted && !own.timer) own.wanted = null // what was asked for is here, or was refused
  const view = () => own.wanted ?? shown
  const zoomed = () => view().width < full

  // -- what is drawn: the picture of `shown`, moved to where the view is already
  const preview = () => {
    const now = view(), scale = shown.width / now.width
    const across = (100 * (shown.left - now.left)) / now.width, down = (100 * (shown.top - now.top)) / now.height
    image.style.transform = own.wanted ? `translate(${across}%, ${down}%) scale(${scale})` : ""
    stage.classList.toggle("zoomed", zoomed())
    stage.classList.toggle("moves", zoomed() && !data.name)
    navigator.hidden = !zoomed() || !data.overview
    Object.assign(box.style, {
      left: `${(100 * now.left) / full}%`, top: `${(100 * now.top) / data.height}%`,
      width: `${(100 * now.width) / full}%`, height: `${(100 * now.height) / data.height}%`,
    })
  }
  if (own.stamp !== data.stamp) { // a new picture: the old stroke belongs to the old one
    image.onload = preview // not before: the old picture would jump
    image.src = `data:image/webp;base64,${data.webp}`
    ink.setAttribute("points", "")
  } else preview()
  if (data.overview && own.overview !== data.overview) overview.style.backgroundImage = `url(data:image/webp;base64,${data.overview})`
  Object.assign(own, { stamp: data.stamp, image: data.image, overview: data.overview })
  navigator.style.aspectRatio = `${data.width} / ${data.height}`
  image.alt = data.alt
  stage.style.aspectRatio = `${data.width} / ${data.height}`
  stage.setAttribute("aria-label", data.help)
  const labels = Uint8Array.from(atob(data.labels), (sign) => sign.charCodeAt(0)) // two bytes a label

  // -- zoom and move
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high)
  const go = ({ left, top, width }) => {
    width = clamp(width, data.least, full)
    own.wanted = { width, height: width * aspect, left: clamp(left, 0, full - width), top: clamp(top, 0, (full - width) * aspect) }
    cross.hidden = tip.hidden = true
    preview()
    clearTimeout(own.timer)
    own.timer = setTimeout(() => {
      own.timer = null
      const { left, top, width } = own.wanted ?? shown
      setTriggerValue("view", { image: data.image, left, top, width })
    }, SETTLE_MS)
  }
  const zoom = (factor, [x, y]) => {
    const now = view(), width = clamp(now.width / factor, data.least, full), part = width / now.width
    go({ width, left: x - (x - now.left) * part, top: y - (y - now.top) * part })
  }

  const place = (event) => {
    const edge = stage.getBoundingClientRect(), now = view()
    const part = (at, size) => clamp(at / size, 0, 0.999999)
    return [now.left + part(event.clientX - edge.left, edge.width) * now.width,
      now.top + part(event.clientY - edge.top, edge.height) * now.height]
  }
  const title = ([x, y]) => {
    const row = Math.floor(((y - shown.top) / shown.height) * data.rows), column = Math.floor(((x - shown.left) / shown.width) * data.columns)
    if (row < 0 || column < 0 || row >= data.rows || column >= data.columns) return ""
    const at = 2 * (row * data.columns + column)
    const name = data.titles[labels[at] + 256 * labels[at + 1]] ?? ""
    return data.name && name ? `${name} → ${data.name}` : name
  }
  const point_at = (element, [x, y]) => {
    element.style.left = `${(100 * (x - view().left)) / view().width}%`
    element.style.top = `${(100 * (y - view().top)) / view().height}%`
  }
  const say = (at) => {
    own.at = at
    tip.textContent = title(at)
    tip.hidden = !tip.textContent
    tip.classList.toggle("left", at[0] - view().left > 0.7 * view().width)
    point_at(tip, at)
  }
  if (!tip.hidden && own.at) say(own.at) // its name may be another one now
  const draw = () => ink.setAttribute("points", own.stroke.map(([x, y]) =>
    `${(1000 * (x - shown.left)) / shown.width},${(1000 * (y - shown.top)) / shown.height}`).join(" "))
  const report = (points) =>
    setTriggerValue("stroke", { image: data.image, points: points.map((at) => at.map(Math.floor)) })

  const start_moving = ({ x, y }) => {
    own.moving = { x, y, from: view() }
    stage.classList.add("moving")
  }
  stage.onpointerdown = (event) => {
    const middle = event.button === 1
    if ((event.button !== 0 && !middle) || event.target === navigator || navigator.contains(event.target)) return
    event.preventDefault() // the arrow keys go on turning pages
    stage.setPointerCapture(event.pointerId)
    own.pressed = { x: event.clientX, y: event.clientY }
    if (middle && zoomed()) start_moving(own.pressed)
    if (middle) return
    own.stroke = [place(event)]
    point_at(cross, own.stroke[0])
    cross.hidden = false
    draw()
  }
  stage.onpointermove = (event) => {
    const { pressed } = own
    if (own.stroke && !data.name && zoomed() && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) >= STEP_PX) {
      own.stroke = null // without a name to give, dragging moves the image
      ink.setAttribute("points", "")
      start_moving(pressed)
    }
    const { moving } = own
    if (moving) {
      const unit = moving.from.width / stage.getBoundingClientRect().width
      return go({ width: moving.from.width, left: moving.from.left - (event.clientX - moving.x) * unit, top: moving.from.top - (event.clientY - moving.y) * unit })
    }
    if (event.target === navigator || navigator.contains(event.target)) { tip.hidden = true; return }
    say(place(event))
    const last = own.stroke?.at(-1), now = place(event)
    if (!last || !data.name || own.stroke.length >= MOST_POINTS) return
    const scale = stage.getBoundingClientRect().width / view().width
    if (Math.hypot(now[0] - last[0], now[1] - last[1]) * scale < STEP_PX) return
    own.stroke.push(now)
    draw()
  }
  stage.onpointerup = () => {
    if (own.stroke) report(own.stroke)
    Object.assign(own, { stroke: null, moving: null })
    stage.classList.remove("moving")
  }
  stage.onpointercancel = () => {
    Object.assign(own, { stroke: null, moving: null })
    stage.classList.remove("moving")
  }
  stage.onpointerleave = () => { tip.hidden = true }
  stage.onblur = () => { tip.hidden = true }
  stage.onwheel = (event) => {
    if (!event.ctrlKey) return // the page scrolls; two fingers on a touchpad come with Ctrl
    event.preventDefault()
    zoom(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, place(event))
  }

  const centre_on = (event) => {
    const edge = navigator.getBoundingClientRect(), { width, height } = view()
    const x = ((event.clientX - edge.left) / edge.width) * full, y = ((event.clientY - edge.top) / edge.height) * data.height
    go({ width, left: x - width / 2, top: y - height / 2 })
  }
  navigator.onpointerdown = (event) => {
    event.preventDefault()
    event.stopPropagation()
    navigator.setPointerCapture(event.pointerId)
    own.navigating = true
    centre_on(event)
  }
  navigator.onpointermove = (event) => { if (own.navigating) { event.stopPropagation(); centre_on(event) } }
  navigator.onpointerup = navigator.onpointercancel = (event) => { event.stopPropagation(); own.navigating = false }

  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
  stage.onkeydown = (event) => {
    const way = ways[event.key], now = view(), step = now.width * (event.shiftKey ? 0.005 : 0.03)
    const corner = [now.left, now.top], size = [now.width, now.height]
    const inside = own.cursor && own.cursor.every((at, i) => at >= corner[i] && at < corner[i] + size[i])
    const start = inside ? own.cursor : [0, 1].map((i) => corner[i] + size[i] / 2)
    if (way) {
      own.cursor = [0, 1].map((i) => clamp(start[i] + way[i] * step, corner[i], corner[i] + size[i] - 0.001))
      cross.hidden = false
      point_at(cross, own.cursor)
      say(own.cursor)
      spoken.textContent = tip.textContent
    } else if (event.key === "+" || event.key === "=" || event.key === "-") {
      zoom(event.key === "-" ? 1 / ZOOM_STEP : ZOOM_STEP, start)
    } else if (event.key === "0") {
      go({ left: 0, top: 0, width: full })
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
