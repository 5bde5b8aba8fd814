// The page's stream, with nothing but the browser's own means.
const body = document.body
let source

function connect() {
  source = new EventSource(body.dataset.events)
  for (const region of document.querySelectorAll('[data-region]'))
    source.addEventListener(region.id, event => region.innerHTML = event.data)
  source.onopen = () => body.dataset.stream = 'open'
  source.onerror = () => {
    body.dataset.stream = 'lost'
    // The browser tries again, but Firefox not while nobody listens at all.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000)
  }
}
addEventListener('pageshow', connect) // a first time, and when the visitor comes back
addEventListener('pagehide', () => source.close())

// What htmx does for the forms of the other two pages.
addEventListener('submit', async event => {
  const form = event.target
  if (form.method !== 'post') return
  event.preventDefault()
  const body = new URLSearchParams(new FormData(form, event.submitter))
  const answer = await fetch(form.action, {method: 'POST', body}).catch(() => null)
  if (answer?.ok) form.dispatchEvent(new Event('saved', {bubbles: true}))
  else if (answer) (form.querySelector('output') ?? document.querySelector('#notice')).innerHTML = await answer.text()
  else document.dispatchEvent(new Event('unsent'))
})
