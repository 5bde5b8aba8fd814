import { EventSource } from '../browser/eventsource.js'; export { EventSource }

// Reports when the page is left, and opens its streams. See package presence.
//   <script type="module" src="/page.js" data-page="{{.Token}}"></script>
//   import { connect } from "/page.js"

const updateInterval = 100 // at least, in milliseconds

let tag          // the script's element
let token = ''   // the page's
let sent = 0     // messages may overtake each other, so they are numbered
let left = false // the session has ended, or belongs to another tab
let ready = Promise.resolve() // when the server knows that the page is back
let release = () => {}
const streams = new Set()

// id returns the page's name: Session.Page on the server.
export function id() {
  const raw = atob(token.replaceAll('-', '+').replaceAll('_', '/')) // signature, page, user
  return btoa(raw.slice(16, 28)).replaceAll('+', '-').replaceAll('/', '_')
}

// connect opens a stream of the page's session.
export function connect(url, init) {
  const source = new EventSource(url, {
    ...init,
    async beforeRequest(url, headers) {
      await ready
      url.searchParams.set('page', token)
      await init?.beforeRequest?.(url, headers)
    },
  })
  source.addEventListener('open', () => last !== undefined && update(last)) // it may be another session
  source.addEventListener('error', event => {
    if (event.status === 403) ask()
    if (source.readyState === 2) streams.delete(source)
  })
  streams.add(source)
  return source
}

// post sends a form with the page's token, as the handlers of package locks expect it.
export function post(url, fields) {
  return fetch(url, { method: 'POST', keepalive: true, headers: { 'Page-Token': token }, body: new URLSearchParams(fields) })
}

// update sets the data of the page's session. Of several calls within a short time, the last
// one counts. It is sent again as long as the session is not present yet.
let last, waiting, updating
export function update(data) {
  last = data
  waiting = JSON.stringify(data)
  updating ??= (async () => {
    while (waiting !== undefined) {
      const body = waiting
      waiting = undefined
      const headers = { 'Content-Type': 'application/json' }
      const response = await fetch(message(document.visibilityState), { method: 'POST', body, headers }).catch(() => null)
      const absent = response?.status === 409
      await new Promise(resolve => setTimeout(resolve, absent ? 10 * updateInterval : updateInterval))
      if (absent && !left) waiting ??= body
    }
    updating = undefined
  })()
  return updating
}

// leave ends the session, and closes the streams that connect has opened.
export function leave() {
  say('gone')
  left = true
  release()
  for (const source of streams) source.close()
  streams.clear()
}

function message(state) {
  const url = new URL(import.meta.url)
  url.search = new URLSearchParams({ page: token, state, n: ++sent })
  return url
}

function say(state) {
  if (left || !token) return
  const url = message(state)
  // Blockers remove sendBeacon, and so does a setting of Firefox. It can also refuse.
  if (!navigator.sendBeacon?.(url)) fetch(url, { method: 'POST', keepalive: true }).catch(() => {})
}

// ask sends the page's state where there is time for the response, which shows whether the
// token is still valid.
async function ask() {
  if (left || !token) return
  const asked = token
  const response = await fetch(message(document.visibilityState), { method: 'POST', signal: AbortSignal.timeout(2000) }).catch(() => null)
  if (asked !== token) return
  if (response?.status === 403) refused()
  else if (response?.ok) sessionStorage.removeItem('presence.reloaded')
}

// Tokens of before a restart are refused if the server has another key. The page gets a new
// one by a reload, once until a message is accepted, unless it prevents that.
function refused() {
  if (left || sessionStorage.getItem('presence.reloaded')) return
  if (!document.dispatchEvent(new CustomEvent('presence:refused', { cancelable: true }))) return
  sessionStorage.setItem('presence.reloaded', '1')
  left = true // without a goodbye, which would be the other tab's as well
  location.reload()
}

// A tab that was duplicated has the token of the first one, which holds a Web Lock of that
// name. Two pages must not be one session. The lock is given back while the browser keeps the
// page, which it would not do otherwise.
function claim(options) {
  const claimed = token
  navigator.locks?.request('presence ' + claimed, options, lock => {
    if (claimed !== token) return
    return lock ? new Promise(resolve => release = resolve) : refused()
  }).catch(() => claimed === token && refused())
}

// A page whose body is replaced, as with hx-boost, gets another token if the tag is in the
// body. The session of the old one ends.
function follow() {
  const tags = document.querySelectorAll('script[data-page]')
  if (tag === tags[tags.length - 1]) return
  tag = tags[tags.length - 1]
  const next = tag?.dataset.page ?? ''
  if (next === token) return
  say('gone')
  release()
  token = next
  left = false
  if (!token) return
  claim({ ifAvailable: true })
  for (const source of streams) source.reconnect()
}

follow()
if (!token) console.error('presence: the script needs the page\'s token in its tag: data-page="…"')
new MutationObserver(follow).observe(document, { childList: true, subtree: true })
if (tag?.dataset.renew > 0) setInterval(ask, tag.dataset.renew * 1000)

// Firefox may not have the time for more than this, and it comes before the streams are closed.
let hiding = false // the page is being left
addEventListener('pagehide', () => {
  hiding = true
  say('gone')
  release()
}, { capture: true })
addEventListener('pageshow', event => {
  hiding = false
  if (!event.persisted) return
  claim({ signal: AbortSignal.timeout(5000) }) // its own lock may not be back yet
  ready = ask() // streams are opened after it, so that the goodbye is handled first
}, { capture: true })
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') ask()
  else say(hiding ? 'gone' : 'hidden')
})

// htmx 2 makes its streams with this function, as soon as the document is complete.
const connectHTMX = () => {
  if (globalThis.htmx) htmx.createEventSource = url => connect(url, { withCredentials: true })
}
if (globalThis.htmx) connectHTMX()
else document.addEventListener('DOMContentLoaded', connectHTMX)
