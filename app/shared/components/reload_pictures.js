// A picture of Streamlit is gone (404) when the next run of the script replaces it before the browser has fetched it;
// when that run draws the same picture again, its address is the same and the browser does not ask for it again.
const WAITS_MS = [200, 500, 1000, 2000, 4000]
const tried = new WeakMap()

const retry = ({ target }) => {
  if (target?.tagName !== "IMG" || !target.src.includes("/media/")) return
  const last = tried.get(target)
  const count = last?.src === target.src ? last.count : 0
  if (count === WAITS_MS.length) return
  const src = target.src
  tried.set(target, { src, count: count + 1 })
  setTimeout(() => {
    if (target.isConnected && target.src === src) target.src = src // asks again
  }, WAITS_MS[count])
}

export default function () {
  document.addEventListener("error", retry, true) // once, as it is the same function each time
}
