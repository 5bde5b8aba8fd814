// Reports when the page is left, and keeps its streams connected. See package presence.
//   <script src="/page.js" data-page="{{.Token}}"></script>   in front of scripts that open streams
(() => {
  // A module has no currentScript.
  const tag = document.currentScript ?? document.querySelector('script[data-page]')
  if (!tag?.dataset.page) {
    console.error('presence: the script needs the page\'s token in its tag: data-page="…"')
    return
  }
  const {src, dataset} = tag
  const streams = new Set()
  let sent = 0, left = false

  // Messages may overtake each other, so they are numbered.
  const message = state => {
    const url = new URL(src)
    url.search = new URLSearchParams({page: dataset.page, state, n: ++sent})
    return url
  }
  const send = state => {
    if (left) return
    const url = message(state)
    // Blockers remove sendBeacon, and so does a setting of Firefox. It can also refuse.
    if (!navigator.sendBeacon?.(url)) fetch(url, {method: 'POST', keepalive: true}).catch(() => {})
  }
  // Sends the page's state where there is time for the response, which shows whether the
  // token is still valid.
  const ask = async () => {
    const response = await fetch(message(document.visibilityState), {method: 'POST', signal: AbortSignal.timeout(2000)}).catch(() => null)
    if (response?.status === 403) refused()
    else if (response?.ok) sessionStorage.removeItem('presence.reloaded')
  }
  // Tokens of before a restart are refused if the server has another key. The page gets a new
  // one by a reload, once until a message is accepted, unless it prevents that.
  const refused = () => {
    if (left || sessionStorage.getItem('presence.reloaded')) return
    if (!document.dispatchEvent(new CustomEvent('presence:refused', {cancelable: true}))) return
    sessionStorage.setItem('presence.reloaded', '1')
    left = true // without a goodbye, which would be that of the other tab as well
    location.reload()
  }
  // A tab that was duplicated has the token of the first one, which holds a Web Lock of that
  // name. Two pages must not be one session. The lock is given back while the browser keeps
  // the page, which it would not do otherwise.
  let release = () => {}
  const claim = options => navigator.locks?.request('presence ' + dataset.page, options,
    lock => lock ? new Promise(resolve => release = resolve) : refused()).catch(refused)
  claim({ifAvailable: true})

  addEventListener('pagehide', () => {
    release()
    for (const stream of streams) stream.pause() // the browser may keep the page and its streams
    send('gone')
    left = true // so that the following "hidden" is not sent
  })
  addEventListener('pageshow', event => {
    if (!event.persisted) return
    left = false
    claim({signal: AbortSignal.timeout(5000)}) // its own lock may not be back yet
    // Streams are opened only after this message, so that the goodbye is handled first.
    ask().then(() => { for (const stream of streams) left || stream.open() })
  })
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' ? ask() : send('hidden'))
  if (dataset.renew > 0) setInterval(ask, dataset.renew * 1000)

  // An EventSource that can be opened again: when the user goes back to the page, and
  // when the browser has given up, as Firefox does if the server is down.
  const Native = window.EventSource
  window.EventSource = class EventSource extends EventTarget {
    static CONNECTING = 0; static OPEN = 1; static CLOSED = 2
    CONNECTING = 0; OPEN = 1; CLOSED = 2
    #url; #init; #source; #closed = false; #failures = 0; #timer; #last = ''
    #types = new Set(['open', 'error', 'message']); #handlers = {}

    constructor(url, init) {
      super()
      this.#url = new URL(url, document.baseURI)
      this.#init = init
      this.open()
      streams.add(this)
    }
    get url() { return this.#url.href }
    get withCredentials() { return this.#source.withCredentials }
    get readyState() { return this.#closed ? 2 : this.#source.readyState === 1 ? 1 : 0 }

    close() { this.#closed = true; streams.delete(this); this.pause() }
    pause() { clearTimeout(this.#timer); this.#source.close() }
    open() {
      this.#source?.close()
      const url = new URL(this.#url)
      if (this.#last) url.searchParams.set('lastEventId', this.#last)
      this.#source = new Native(url, this.#init)
      for (const type of this.#types) this.#source.addEventListener(type, this.#pass)
    }

    #pass = event => {
      if (event.target !== this.#source) return
      if (event.type === 'open') this.#failures = 0
      if (event instanceof MessageEvent) {
        this.#last = event.lastEventId
        const {data, origin, lastEventId} = event
        this.dispatchEvent(new MessageEvent(event.type, {data, origin, lastEventId}))
        return
      }
      if (this.#source.readyState === 2) { // the browser has given up: retry after 2 to 4 s, then after longer
        ask()
        clearTimeout(this.#timer)
        this.#timer = setTimeout(() => this.open(), (2 + 2 * Math.random()) * 1000 * 2 ** Math.min(this.#failures++, 4))
      }
      this.dispatchEvent(new Event(event.type))
    }

    addEventListener(type, ...rest) {
      super.addEventListener(type, ...rest)
      if (!this.#types.has(type)) this.#source.addEventListener(type, this.#pass)
      this.#types.add(type)
    }
    #handle(type, f) {
      this.removeEventListener(type, this.#handlers[type])
      this.addEventListener(type, this.#handlers[type] = f)
    }
    get onopen() { return this.#handlers.open ?? null }
    set onopen(f) { this.#handle('open', f) }
    get onmessage() { return this.#handlers.message ?? null }
    set onmessage(f) { this.#handle('message', f) }
    get onerror() { return this.#handlers.error ?? null }
    set onerror(f) { this.#handle('error', f) }
  }
})()
