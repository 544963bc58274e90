// The field that names the cluster in focus: typing, completing, keys, and clicks on contact sheets and neighbours.
// Text from people is set by textContent only. `data` is what naming.py passes.
const kept = new WeakMap() // what lasts from one run of the script to the next, by place on the page
const SHOWN = 7

const folded = (text) => text.trim().toLocaleLowerCase()

function matches(names, typed) {
  const wanted = folded(typed)
  if (!wanted) return []
  const starts = names.filter((name) => folded(name).startsWith(wanted))
  const holds = names.filter((name) => !folded(name).startsWith(wanted) && folded(name).includes(wanted))
  return [...starts, ...holds].slice(0, SHOWN)
}

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable='true']")
const pressing = (target) => target.closest?.("button, a, [role='button'], [role='tab'], [role='radio'], [role='option']")
const inDialog = () => document.querySelector("[role='dialog']")

function press(selector) {
  const button = document.querySelector(selector)
  if (button && !button.disabled) button.click()
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const [form, swatch, title, input, list] =
    ["form", ".swatch", ".title", "input", "ul"].map((name) => parentElement.querySelector(name))
  const own = kept.get(parentElement) ?? { stamp: null, shown: "", chosen: -1, found: [], waiting: false, queue: [] }
  kept.set(parentElement, own)
  Object.assign(own, { data, setTriggerValue })

  swatch.style.background = data.color
  swatch.hidden = !data.color
  title.textContent = data.title
  own.input = input // the page may draw this component anew, and listeners outlive that
  input.placeholder = data.hint
  input.disabled = data.disabled
  input.setAttribute("aria-label", data.label)
  const untouched = input.value === own.shown
  if (own.stamp !== data.stamp) { // another cluster is in focus, or the name that was sent has arrived
    if (!own.waiting || untouched) show(data.name)
    else own.shown = "" // what was typed meanwhile is for this cluster
    if (own.stamp !== null && data.card) document.querySelector(data.card)?.scrollIntoView({ block: "nearest" })
    Object.assign(own, { stamp: data.stamp, waiting: false })
    if (own.queue.length) send(own.queue.shift())
  } else if (untouched && data.name !== own.shown) show(data.name) // renamed elsewhere

  function show(name) {
    input.value = own.shown = name
    own.found = []
    draw()
    if (parentElement.activeElement === input) input.select()
  }

  function draw() {
    list.replaceChildren(...own.found.map((name, at) => {
      const item = document.createElement("li")
      item.textContent = name
      item.setAttribute("role", "option")
      item.setAttribute("aria-selected", String(at === own.chosen))
      item.onpointerdown = (event) => {
        event.preventDefault() // the field keeps the focus
        submit(name)
      }
      return item
    }))
    list.hidden = !own.found.length
    input.setAttribute("aria-expanded", String(!list.hidden))
  }

  function complete() {
    own.found = matches(own.data.names, input.value)
    own.chosen = -1
    draw()
  }

  function submit(name) {
    own.found = []
    draw()
    if (own.waiting) own.queue.push(name) // for the next cluster, which is not known yet
    else send(name)
  }

  function send(name) {
    own.waiting = true
    input.value = own.shown = "" // the field is free for the next name at once
    own.setTriggerValue("named", { name, stamp: own.data.stamp })
  }

  input.oninput = complete
  input.onblur = () => {
    own.found = []
    draw()
  }
  input.onkeydown = (event) => {
    event.stopPropagation() // letters are a name here, not keys of the page
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step && own.found.length) {
      own.chosen = (own.chosen + step + own.found.length + (own.chosen < 0 && step < 0 ? 1 : 0)) % own.found.length
      draw()
    } else if (event.key === "Tab" && !event.shiftKey && own.found.length) {
      input.value = own.found[Math.max(0, own.chosen)]
      complete()
    } else if (event.key === "Enter") {
      submit(own.chosen >= 0 ? own.found[own.chosen] : input.value)
    } else if (event.key === "Escape") {
      if (own.found.length) own.found = []
      else input.blur()
      draw()
    } else if (event.altKey && { n: 1, p: 1, l: 1, i: 1 }[event.key.toLowerCase()]) {
      press(`.st-key-naming_${event.key.toLowerCase()} button`)
    } else return
    event.preventDefault()
  }
  form.onsubmit = (event) => event.preventDefault()

  own.click ??= (event) => {
    const target = event.target
    const jump = target.closest?.("[class*='picie-jump-']")
    if (jump) return own.setTriggerValue("jump", Number(/picie-jump-(\d+)/.exec(jump.className)[1]))
    const place = target.closest?.("[class*='st-key-sheet_']")
    const image = place?.querySelector("img") // a click falls beside it when it is drawn anew under the pointer
    if (!image) return
    const box = image.getBoundingClientRect()
    const name = /st-key-sheet_([\w-]+)/.exec(place.className)[1]
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
    own.setTriggerValue("sheet", { sheet: name, x, y })
  }
  own.key ??= (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || inDialog()) return
    if (typing(event.target)) return
    const jump = event.target.closest?.("[class*='picie-jump-']")
    if (jump && event.key === "Enter") jump.click()
    else if (event.key === "Enter" && !pressing(event.target)) {
      own.input.focus()
      own.input.select() // what is typed replaces the name that stands there
    } else if (event.key === "x" && own.data.card) press(`${own.data.card} input[type=checkbox]`)
    else if (event.key === "?") press(".st-key-key_sheet button")
    else return
    event.preventDefault()
  }
  if (!own.listening) {
    document.addEventListener("click", own.click)
    document.addEventListener("keydown", own.key)
    own.listening = true
  }
  return () => {
    document.removeEventListener("click", own.click)
    document.removeEventListener("keydown", own.key)
    own.listening = false
  }
}
