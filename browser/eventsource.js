// An EventSource that reconnects after every failure, and resumes after the last event.
// See package browser.
//   import { EventSource } from "/eventsource.js"

const defaultRetry = 3000 // as in Chromium; all times are in milliseconds
const minRetry = 100, maxRetry = 60_000, maxRetryAfter = 3_600_000

export class EventSource extends EventTarget {
  static CONNECTING = 0
  static OPEN = 1
  static CLOSED = 2

  #url; #withCredentials; #beforeRequest; #heartbeat; #openWhenHidden
  #readyState = 0
  #lastEventId = ''
  #retry = defaultRetry
  #failures = 0
  #request = new AbortController() // aborted while there is no request
  #timer         // of the next request, or of the next look at a silent stream
  #heard = 0     // when the request began, or the last bytes came
  #notBefore = 0 // when the server's Retry-After is over
  #paused = true // the page is not shown
  #handlers = {}

  constructor(url, init) {
    super()
    this.#url = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href)
    const { withCredentials = false, beforeRequest, heartbeat = 30_000, openWhenHidden = true } = init ?? {}
    this.#withCredentials = Boolean(withCredentials)
    this.#beforeRequest = beforeRequest
    this.#heartbeat = heartbeat > 0 ? heartbeat : Infinity
    this.#openWhenHidden = openWhenHidden
    EventSource.#watch()
    EventSource.#live.add(this)
    this.#wake(Infinity)
  }

  get url() { return this.#url.href }
  get withCredentials() { return this.#withCredentials }
  get readyState() { return this.#readyState }
  get CONNECTING() { return 0 }
  get OPEN() { return 1 }
  get CLOSED() { return 2 }

  close() {
    this.#readyState = 2
    EventSource.#live.delete(this)
    this.#stop()
  }

  reconnect() {
    if (this.#readyState !== 2 && !this.#paused) this.#open()
  }

  get onopen() { return this.#handlers.open ?? null }
  set onopen(f) { this.#handle('open', f) }
  get onmessage() { return this.#handlers.message ?? null }
  set onmessage(f) { this.#handle('message', f) }
  get onerror() { return this.#handlers.error ?? null }
  set onerror(f) { this.#handle('error', f) }
  #handle(type, f) {
    this.removeEventListener(type, this.#handlers[type])
    this.#handlers[type] = typeof f === 'function' ? f : null
    this.addEventListener(type, this.#handlers[type])
  }

  #stop() {
    clearTimeout(this.#timer)
    this.#request.abort()
  }

  #pause() {
    this.#paused = true
    this.#readyState = 0
    this.#stop()
  }

  async #open() {
    this.#stop()
    this.#paused = false
    this.#readyState = 0
    this.#heard = Date.now()
    const { signal } = this.#request = new AbortController()
    this.#look(signal)
    let response, error
    try {
      response = await this.#fetch(signal)
      if (response.status === 200 && isEventStream(response)) await this.#read(response, signal)
    } catch (reason) {
      error = reason
    }
    if (!signal.aborted) this.#lost(response, error)
  }

  async #fetch(signal) {
    const headers = new Headers({ Accept: 'text/event-stream' })
    const url = new URL(this.#url)
    await this.#beforeRequest?.(url, headers)
    // A header would need a preflight, and cannot have every id.
    if (this.#lastEventId) url.searchParams.set('lastEventId', this.#lastEventId)
    const credentials = this.#withCredentials ? 'include' : 'same-origin'
    // If a cache is allowed, Firefox holds a second request for a URL back, for 20 s.
    return fetch(url, { headers, signal, credentials, cache: 'no-store' })
  }

  async #read(response, signal) {
    this.#failures = 0
    this.#readyState = 1
    this.dispatchEvent(new Event('open'))
    const { origin } = new URL(response.url || this.#url)
    const reader = response.body.getReader()
    const decoder = new TextDecoder()
    const lines = new Lines()
    const block = { data: null, type: '', id: this.#lastEventId }
    for (;;) {
      const { done, value } = await reader.read()
      if (done || signal.aborted) return
      this.#heard = Date.now()
      for (const line of lines.split(decoder.decode(value, { stream: true }))) {
        if (line) this.#field(line, block)
        else this.#dispatch(block, origin)
        if (signal.aborted) return
      }
    }
  }

  #field(line, block) {
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'data') block.data = block.data === null ? value : block.data + '\n' + value
    else if (name === 'event') block.type = value
    else if (name === 'id' && !value.includes('\0')) block.id = value
    else if (name === 'retry' && /^[0-9]+$/.test(value)) this.#retry = Number(value)
  }

  #dispatch(block, origin) {
    const { data, type, id } = block
    block.data = null
    block.type = ''
    this.#lastEventId = id
    if (data !== null) this.dispatchEvent(new MessageEvent(type || 'message', { data, origin, lastEventId: id }))
  }

  // A stream that is silent for two heartbeats is dead, and so is a request without a
  // response for half of one. After a computer has slept its timers are late, but its clock
  // is right.
  #look(signal) {
    if (signal.aborted) return
    const open = this.#readyState === 1
    const left = this.#heard + this.#heartbeat * (open ? 2.1 : 0.5) - Date.now()
    if (left > 0) {
      if (left < Infinity) this.#timer = setTimeout(() => this.#look(signal), Math.min(left, this.#heartbeat / 2))
    } else if (open) this.#lost(undefined, undefined, 0)
    else this.#lost()
  }

  // Reports that there is no stream, and waits before the next request: as long as the server
  // wants, or longer after each failure.
  #lost(response, error, wait = this.#wait(response)) {
    this.#stop()
    if (response?.status === 204) this.close()
    else {
      this.#readyState = 0
      this.#timer = setTimeout(() => this.#open(), wait)
    }
    this.dispatchEvent(Object.assign(new Event('error'), { status: response?.status ?? 0, error }))
  }

  #wait(response) {
    const after = retryAfter(response)
    this.#notBefore = Date.now() + after
    const base = Math.min(Math.max(this.#retry, minRetry) * 2 ** Math.max(this.#failures++ - 1, 0), Math.max(maxRetry, this.#retry))
    return Math.min(Math.max(base, after) * (1 + Math.random() / 2), 0x7fffffff)
  }

  static #live = new Set()
  static #watching = false

  static #watch() {
    if (EventSource.#watching) return
    EventSource.#watching = true
    const on = (target, type, f) => target?.addEventListener?.(type, event => {
      for (const source of [...EventSource.#live]) f(source, event)
    })
    // A browser may keep a page that was left, and its connections.
    on(globalThis, 'pagehide', source => source.#pause())
    on(globalThis, 'pageshow', source => source.#paused && source.#wake(Infinity))
    on(globalThis, 'online', source => source.#wake(0))
    on(globalThis.document, 'visibilitychange', source => {
      if (!source.#mayOpen()) source.#pause()
      else if (document.visibilityState === 'visible') source.#wake(1.1 * source.#heartbeat)
    })
  }

  #mayOpen() { return this.#openWhenHidden || globalThis.document?.visibilityState !== 'hidden' }

  // Opens a stream that was paused, that waits for its next request, or that has been silent.
  #wake(silence) {
    const now = Date.now()
    const due = this.#request.signal.aborted ? now >= this.#notBefore : now - this.#heard >= silence
    if (this.#mayOpen() && (this.#paused || due)) this.#open()
  }
}

// Splits texts into lines, each without its end, which is CR, LF or CRLF.
class Lines {
  #line = ''; // the beginning of the next line
  #cr = false; // whether a LF that follows belongs to a CR

  *split(text) {
    let start = this.#cr && text.startsWith('\n') ? 1 : 0
    if (text) this.#cr = false
    const ends = /\r\n?|\n/g
    ends.lastIndex = start
    for (let end; (end = ends.exec(text));) {
      const line = this.#line + text.slice(start, end.index)
      this.#line = ''
      start = ends.lastIndex
      this.#cr = end[0] === '\r' && start === text.length
      yield line
    }
    this.#line += text.slice(start)
  }
}

function isEventStream(response) {
  return /^text\/event-stream[\t ]*(;|$)/i.test(response.headers.get('Content-Type') ?? '')
}

// retryAfter returns the time that the server asks for, which is a number of seconds or a date.
function retryAfter(response) {
  const value = response?.headers.get('Retry-After') ?? ''
  const after = /^[0-9]+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Math.min(Math.max(after || 0, 0), maxRetryAfter)
}

// htmx 2 makes its streams with this function, as soon as the document is complete.
const serveHTMX = () => {
  if (globalThis.htmx) htmx.createEventSource = url => new EventSource(url, { withCredentials: true })
}
if (globalThis.htmx) serveHTMX()
else globalThis.document?.addEventListener('DOMContentLoaded', serveHTMX)
