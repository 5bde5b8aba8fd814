// The three pages share this script, which has nothing to do with streams: forms, drag
// and drop, the keyboard. Each update replaces the whole board, so the script keeps no
// reference to an element of it.

// The server shows the time in the visitor's time zone.
document.cookie = `timezone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; samesite=lax; max-age=31536000`

const $ = selector => document.querySelector(selector)

// The server has accepted a form.
document.addEventListener('saved', event => {
  $('#notice').replaceChildren()
  if (!event.target.closest('dialog')) event.target.reset?.()
})

// The server could not be reached. Each page has another event for that. With an errorInfo,
// htmx:error is htmx 2's, which also fires it for a stream that was lost and reconnects.
for (const name of ['unsent', 'htmx:sendError', 'htmx:error'])
  document.addEventListener(name, event => {
    if (name === 'htmx:error' && event.detail?.errorInfo) return
    const notice = $('dialog[open] form output') ?? $('#notice')
    notice.innerHTML = '<p class="mistake">The server could not be reached. Try again in a moment.</p>'
  })

// Ctrl-Enter submits a text.
document.addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && event.target.matches('[data-submit]'))
    event.target.form.requestSubmit()
})

// Drag and drop. A form sends the new place, like all other changes.
let dragged
document.addEventListener('dragstart', event => {
  dragged = event.target.closest?.('.card')?.dataset.card
  if (dragged) event.dataTransfer.setData('text/plain', event.target.closest('.card').querySelector('.text').textContent)
})
document.addEventListener('dragend', () => { dragged = undefined; mark() })
document.addEventListener('dragover', event => {
  const place = dragged && placeAt(event)
  if (!place) return
  event.preventDefault()
  mark(place)
})
document.addEventListener('drop', event => {
  const place = dragged && placeAt(event)
  if (!place) return
  event.preventDefault()
  const form = $('#mover')
  form.elements.id.value = dragged
  form.elements.to.value = `${place.column.dataset.column}/${place.before?.dataset.card ?? 0}`
  form.requestSubmit()
  dragged = undefined
  mark()
})

// placeAt returns the column under the pointer, and the card below the pointer.
function placeAt(event) {
  const column = event.target.closest?.('.column')
  if (!column) return
  const before = [...column.querySelectorAll('.card')].find(card => {
    const box = card.getBoundingClientRect()
    return event.clientY < box.top + box.height / 2
  })
  return {column, before: before?.dataset.card === dragged ? nextCard(before) : before}
}

const nextCard = card => card.nextElementSibling?.matches('.card') ? card.nextElementSibling : undefined

function mark(place) {
  for (const element of document.querySelectorAll('.into, .before')) element.classList.remove('into', 'before')
  place?.column.classList.add('into')
  place?.before?.classList.add('before')
}

// The focus stays on a button that an update replaces. If there is no such button any more, it
// goes to the card's next best, to the card that was below or above, or to the composer.
let focused = []
document.addEventListener('focusin', event => {
  const card = event.target.closest('.card')
  const ids = [card, card?.nextElementSibling, card?.previousElementSibling].filter(Boolean).map(near => near.dataset.card)
  focused = event.target.id ? [event.target.id, ...ids.map(id => `edit-${id}`)] : []
})
document.addEventListener('pointerdown', () => focused = [])
new MutationObserver(() => {
  if (!focused.length || document.activeElement !== document.body) return
  const next = focused.map(id => document.getElementById(id)).find(Boolean) ?? $('.composer textarea')
  next.focus()
}).observe($('#board'), {childList: true})
