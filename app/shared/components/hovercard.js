// The card of hovercard.py. Names of files and clusters are set by textContent only.
const KEPT = 300, ASK_AFTER_MS = 60, GAP = 16

export default function (component) {
  const { data, parentElement } = component
  const find = name => parentElement.querySelector(name)
  const card = find("#card"), picture = find("#card img")
  const own = (parentElement.picie ??= { crops: new Map(), over: null })
  own.component = component

  const fill = () => {
    const crop = own.crops.get(own.over)
    picture.style.visibility = crop ? "visible" : "hidden"
    if (crop) picture.src = crop.picture
    find("#more").textContent = crop ? crop.more : "\u00a0"
    if (crop?.name) find("#name").textContent = crop.name
  }
  if (own.of !== data.of) { own.crops.clear(); own.of = data.of } // other clusters or names
  if (data.at && !own.crops.has(String(data.at))) {
    if (own.crops.size > KEPT) own.crops.clear()
    own.crops.set(String(data.at), data)
  }
  if (own.over) fill()

  own.hover = event => {
    const point = event.points[0], at = String([point.x, point.y])
    const { clientX: x, clientY: y } = event.event
    card.style.display = "block"
    card.style.left = `${x + GAP + card.offsetWidth > window.innerWidth ? x - GAP - card.offsetWidth : x + GAP}px`
    card.style.top = `${Math.max(4, Math.min(y - 40, window.innerHeight - card.offsetHeight - 4))}px`
    if (own.over === at) return
    own.over = at
    find("#name").textContent = point.text ?? point.data.meta
    fill()
    clearTimeout(own.asking)
    if (!own.crops.has(at))
      own.asking = setTimeout(() => own.component.setStateValue("at", [point.x, point.y]), ASK_AFTER_MS)
  }
  own.leave = () => { clearTimeout(own.asking); own.over = null; card.style.display = "none" }
  own.view = chart => {
    const { xaxis, yaxis } = chart.layout, view = [...xaxis.range, ...yaxis.range].map(Number)
    const hidden = chart.data.flatMap((trace, number) => trace.visible === "legendonly" ? [number] : [])
    const seen = { of: own.component.data.chart, view: xaxis.autorange ? null : view, hidden }
    if (own.reported !== JSON.stringify(seen)) own.component.setStateValue("view", seen)
    own.reported = JSON.stringify(seen)
  }
  // a chart that is drawn anew is another element, so it is met where the pointer enters it
  own.enter ??= event => {
    const chart = event.target.closest?.(".js-plotly-plot")
    if (!chart?.on || chart.picie === own || !chart.closest(`.st-key-${own.component.data.key}`)) return
    chart.picie = own
    chart.addEventListener("pointerleave", () => own.leave?.()) // Plotly misses a pointer that leaves quickly
    chart.on("plotly_hover", event => own.hover?.(event))
    chart.on("plotly_unhover", () => own.leave?.())
    chart.on("plotly_click", event => own.component?.setTriggerValue("opened", [event.points[0].x, event.points[0].y]))
    chart.on("plotly_deselect", () => own.component?.setTriggerValue("cleared", true))
    chart.on("plotly_relayout", () => own.view?.(chart))
    chart.on("plotly_restyle", () => own.view?.(chart))
  }
  document.addEventListener("pointerover", own.enter)
  return () => {
    document.removeEventListener("pointerover", own.enter)
    own.leave()
    own.component = own.hover = own.leave = own.view = null
  }
}
