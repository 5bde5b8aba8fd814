// The page's stream, by the browser's EventSource alone. /page.js makes it reconnect
// after errors that end an EventSource.
const body = document.body
const source = new EventSource(body.dataset.events)
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
