// The page's stream, by an EventSource of /page.js. It is closed while the page is hidden: over
// HTTP/1.1 a browser opens six connections to a server, for all of its tabs.
import { connect } from '/page.js'

const body = document.body
const source = connect('/events', { openWhenHidden: false })
for (const region of document.querySelectorAll('[data-region]'))
  source.addEventListener(region.id, event => region.innerHTML = event.data)
source.onopen = () => body.dataset.stream = 'open'
source.onerror = () => body.dataset.stream = 'lost'

// Sends the forms, as htmx does on the other two pages.
addEventListener('submit', async event => {
  const form = event.target
  if (form.method !== 'post') return
  event.preventDefault()
  const fields = new URLSearchParams(new FormData(form, event.submitter))
  const response = await fetch(form.action, {method: 'POST', body: fields}).catch(() => null)
  const notice = form.querySelector('output') ?? document.querySelector('#notice')
  if (!response) document.dispatchEvent(new Event('unsent'))
  else {
    if (response.ok) form.dispatchEvent(new Event('saved', {bubbles: true}))
    if (response.status !== 204) notice.innerHTML = await response.text()
  }
})
