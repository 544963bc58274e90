// Ctrl+Z in a text field is the undo of the field. Streamlit runs a shortcut with Ctrl wherever the focus is, so the
// event is stopped before it arrives there; what the browser does by itself with the keys goes on.
const NO_TEXT = ["checkbox", "radio", "range", "button", "file", "reset", "submit", "color"]

function takesText(element) {
  if (element?.tagName === "INPUT") return !NO_TEXT.includes(element.type)
  return element?.tagName === "TEXTAREA" || element?.isContentEditable === true
}

const guard = (event) => {
  const undo = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "z"
  if (undo && takesText(event.composedPath()[0])) event.stopPropagation() // the first is within the shadow of a component
}

export default function () {
  document.addEventListener("keydown", guard, true) // once, as it is the same function each time
}
